//! What nodes answer on the response channels.

use bytes::Bytes;

use crate::{
    adapter::{
        DecodeError,
        cluster::{Answer, ClusterResponse, RemoteSocket},
        reader,
        remote_socket::take_sockets,
        writer::{Form, Writer},
    },
    value::{Object, Value},
};

/// Writes an answer as Node's adapter does: msgpack for [`Answer::Ack`], JSON for all others, except that binary makes any
/// answer msgpack.
///
/// [`Answer::ServerSideEmit`] goes to [`Channels::response`](crate::adapter::channel::Channels::response); all others may go to
/// [`Channels::response_to`](crate::adapter::channel::Channels::response_to) where the request has a uid.
#[must_use]
pub fn encode_response(response: &ClusterResponse) -> Bytes {
    let ClusterResponse { request_id, answer } = response;
    let (kind, form) = shape(answer);
    let mut writer = Writer::new(form);
    let has_content = *answer != Answer::Done;
    writer.open_map(1 + usize::from(kind.is_some()) + usize::from(has_content));
    if let Some(kind) = kind {
        writer.key("type");
        writer.uint(kind);
    }
    writer.key("requestId");
    writer.text(request_id);
    match answer {
        Answer::SocketIds(ids) => {
            writer.key("sockets");
            writer.texts(ids.iter().map(|id| &**id));
        }
        Answer::Rooms(rooms) => {
            writer.key("rooms");
            writer.rooms(rooms);
        }
        Answer::Done => {}
        Answer::Sockets(sockets) => {
            writer.key("sockets");
            writer.sockets(sockets);
        }
        Answer::ServerSideEmit(value) => {
            writer.key("data");
            writer.value(value);
        }
        Answer::ClientCount(count) => {
            writer.key("clientCount");
            writer.uint(*count);
        }
        Answer::Ack(value) => {
            writer.key("packet");
            writer.value(value);
        }
    }
    writer.close_map();
    writer.finish()
}

/// The type's number, where answers of this kind have one, and the form.
fn shape(answer: &Answer) -> (Option<u64>, Form) {
    match answer {
        Answer::SocketIds(_) | Answer::Rooms(_) | Answer::Done => (None, Form::Json),
        Answer::Sockets(sockets) => (
            None,
            Form::for_values(sockets.iter().flat_map(RemoteSocket::values)),
        ),
        Answer::ServerSideEmit(value) => (Some(6), Form::for_values([value])),
        Answer::ClientCount(_) => (Some(8), Form::Json),
        Answer::Ack(_) => (Some(9), Form::Msgpack),
    }
}

/// Reads an answer, JSON or msgpack.
///
/// # Errors
/// Where it is none.
pub fn decode_response(payload: &Bytes) -> Result<ClusterResponse, DecodeError> {
    let mut response = reader::read_map(payload)?;
    let request_id =
        reader::take_text(&mut response, "requestId").ok_or(DecodeError::Malformed("requestId"))?;
    let answer = match response.get("type").map(Value::as_u64) {
        None => read_untyped(&mut response)?,
        Some(Some(6)) => Answer::ServerSideEmit(response.remove("data").unwrap_or_default()),
        Some(Some(8)) => Answer::ClientCount(reader::take_uint(&mut response, "clientCount")?),
        Some(Some(9)) => Answer::Ack(response.remove("packet").unwrap_or_default()),
        Some(_) => return Err(DecodeError::UnknownType),
    };
    Ok(ClusterResponse { request_id, answer })
}

/// An answer of a kind that has no number.
fn read_untyped(response: &mut Object) -> Result<Answer, DecodeError> {
    if response.get("rooms").is_some() {
        return Ok(Answer::Rooms(reader::take_rooms(response, "rooms")?));
    }
    match response.get("sockets") {
        None => Ok(Answer::Done),
        Some(Value::Array(sockets)) if matches!(sockets.first(), Some(Value::String(_))) => {
            let ids = reader::take_list(response, "sockets")?
                .into_iter()
                .map(|id| match id {
                    Value::String(id) => Ok(id),
                    _ => Err(DecodeError::Malformed("sockets")),
                });
            ids.collect::<Result<_, _>>().map(Answer::SocketIds)
        }
        Some(_) => take_sockets(response).map(Answer::Sockets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{adapter::cluster::HandshakeSummary, id::Room, time::Timestamp};

    fn response(request_id: &'static str, answer: Answer) -> ClusterResponse {
        ClusterResponse {
            request_id: request_id.into(),
            answer,
        }
    }

    fn read(payload: &[u8]) -> Result<ClusterResponse, DecodeError> {
        decode_response(&Bytes::copy_from_slice(payload))
    }

    fn socket() -> RemoteSocket {
        RemoteSocket {
            id: "sid1".into(),
            handshake: HandshakeSummary {
                issued: Timestamp::from_millis(1_790_000_000_120),
                address: "127.0.0.1".into(),
                path: "/socket.io/".into(),
                is_secure: true,
                is_cross_domain: false,
            },
            rooms: vec![Room::new("sid1"), Room::new("a")],
            data: Object::new().with("user", "ann"),
        }
    }

    #[test]
    fn reads_and_writes_what_node_sends() {
        let vectors: [(&[u8], ClusterResponse); 7] = [
            (
                br#"{"requestId":"r","sockets":["a","b"]}"#,
                response("r", Answer::SocketIds(vec!["a".into(), "b".into()])),
            ),
            (
                br#"{"requestId":"r","rooms":["a"]}"#,
                response("r", Answer::Rooms(vec![Room::new("a")])),
            ),
            (br#"{"requestId":"r"}"#, response("r", Answer::Done)),
            (
                br#"{"type":6,"requestId":"akLRWm","data":"pong5"}"#,
                response("akLRWm", Answer::ServerSideEmit("pong5".into())),
            ),
            (
                br#"{"type":8,"requestId":"7fGndT","clientCount":1}"#,
                response("7fGndT", Answer::ClientCount(1)),
            ),
            (
                b"\x83\xa4type\x09\xa9requestId\xa67fGndT\xa6packet\xa6answer",
                response("7fGndT", Answer::Ack("answer".into())),
            ),
            (
                br#"{"requestId":"r","sockets":[{"id":"sid1","handshake":{"headers":{},"time":"2026-09-21T14:13:20.120Z","address":"127.0.0.1","xdomain":false,"secure":true,"issued":1790000000120,"url":"/socket.io/","query":{},"auth":{}},"rooms":["sid1","a"],"data":{"user":"ann"}}]}"#,
                response("r", Answer::Sockets(vec![socket()])),
            ),
        ];
        for (bytes, response) in vectors {
            assert_eq!(encode_response(&response), bytes);
            assert_eq!(read(bytes), Ok(response));
        }
    }

    #[test]
    fn no_secret_of_a_handshake_is_taken_over() {
        let json = br#"{"requestId":"r","sockets":[{"id":"sid1","handshake":{"headers":{"cookie":"s3cret","authorization":"s3cret"},"time":"","address":"127.0.0.1","xdomain":false,"secure":true,"issued":1790000000120,"url":"/socket.io/?token=s3cret","query":{"token":"s3cret"},"auth":{"token":"s3cret"}},"rooms":["sid1","a"],"data":{"user":"ann"}}]}"#;
        let read = read(json).unwrap();
        assert_eq!(read, response("r", Answer::Sockets(vec![socket()])));

        let mut sent = socket();
        sent.handshake.path = "/socket.io/?token=s3cret".into();
        let written = encode_response(&response("r", Answer::Sockets(vec![sent])));
        assert!(!String::from_utf8_lossy(&written).contains("s3cret"));
    }

    #[test]
    fn sockets_of_other_programs_are_read_as_far_as_they_go() {
        let json = br#"{"requestId":"r","sockets":[{"id":"a","handshake":null,"data":5}]}"#;
        let Ok(ClusterResponse {
            answer: Answer::Sockets(sockets),
            ..
        }) = read(json)
        else {
            panic!("no sockets");
        };
        assert_eq!((&*sockets[0].id, &sockets[0].data), ("a", &Object::new()));
        assert_eq!(
            read(br#"{"requestId":"r","sockets":[]}"#),
            Ok(response("r", Answer::Sockets(vec![])))
        );
    }

    #[test]
    fn an_ack_without_argument_is_null() {
        let msgpack = b"\x82\xa4type\x09\xa9requestId\xa1r";
        assert_eq!(read(msgpack), Ok(response("r", Answer::Ack(Value::Null))));
        let json = br#"{"type":9,"requestId":"r","packet":[1]}"#;
        assert_eq!(
            read(json),
            Ok(response("r", Answer::Ack(vec![Value::Int(1)].into())))
        );
    }

    #[test]
    fn refuses_what_is_no_answer() {
        for payload in [
            &b""[..],
            b"{",
            b"[]",
            b"\xc0",
            b"{}",
            br#"{"requestId":5}"#,
            br#"{"requestId":"r","type":7}"#,
            br#"{"requestId":"r","type":null}"#,
            br#"{"requestId":"r","type":8}"#,
            br#"{"requestId":"r","type":8,"clientCount":-1}"#,
            br#"{"requestId":"r","type":8,"clientCount":"1"}"#,
            br#"{"requestId":"r","rooms":"a"}"#,
            br#"{"requestId":"r","rooms":[{}]}"#,
            br#"{"requestId":"r","sockets":5}"#,
            br#"{"requestId":"r","sockets":["a",5]}"#,
            br#"{"requestId":"r","sockets":[5]}"#,
            br#"{"requestId":"r","sockets":[{}]}"#,
        ] {
            assert!(read(payload).is_err(), "{}", String::from_utf8_lossy(payload));
        }
    }
}
