//! The dialect of `createShardedAdapter` (`@socket.io/redis-adapter` 8, Redis 7 and later): maps `{type, data, uid, nsp}`, in
//! JSON unless there is binary in them, then in msgpack. A broadcast goes to
//! [`Channels::of_rooms_sharded`](super::channel::Channels::of_rooms_sharded), a request to
//! [`Channels::base`](super::channel::Channels::base), an answer to the asking node's
//! [`Channels::node`](super::channel::Channels::node).

mod request;
mod response;

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    Broadcast, DecodeError, KeptTemplate, Received,
    cluster::{ClusterRequest, ClusterResponse},
    reader,
    writer::{Flags, Form, Writer},
};
use crate::value::Value;

pub use request::encode_request;
pub use response::encode_response;

/// Any message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// An event for sockets.
    Broadcast(Received),
    /// Something to do, or to answer.
    Request(ClusterRequest),
    /// An answer.
    Response {
        /// Who answers.
        uid: ByteString,
        /// What.
        response: ClusterResponse,
    },
}

/// Writes a broadcast as Node's adapter does.
///
/// `event` starts with a name that is not reserved, and has at most ten attachments.
#[must_use]
pub fn encode(uid: &str, broadcast: &Broadcast) -> Bytes {
    let (writer, _) = write_broadcast(uid, broadcast, Flags::default());
    writer.finish()
}

/// As [`encode`], for a broadcast that is kept under `id` (see [`Kept::id`](super::Kept::id)), so never a volatile one: its
/// offset is put in later.
#[must_use]
pub fn encode_kept(uid: &str, broadcast: &Broadcast, id: &str) -> KeptTemplate {
    let (writer, hole) = write_broadcast(uid, broadcast, Flags::kept(id));
    writer.finish_template(hole)
}

fn write_broadcast(uid: &str, broadcast: &Broadcast, flags: Flags<'_>) -> (Writer, usize) {
    let mut writer = start(Form::for_values(&broadcast.event), 3, 2, Some(uid));
    write_packet(&mut writer, broadcast);
    writer.key("opts");
    let hole = writer.options(broadcast, flags);
    finish(&mut writer, Some(uid), &broadcast.nsp);
    (writer, hole)
}

/// `{type: 2, data}`: here the packet says nothing about its namespace.
fn write_packet(writer: &mut Writer, broadcast: &Broadcast) {
    writer.key("packet");
    writer.open_map(2);
    writer.event(&broadcast.event);
    writer.close_map();
}

/// Opens a message and its `data` of `keys` keys.
fn start(form: Form, kind: u64, keys: usize, uid: Option<&str>) -> Writer {
    let mut writer = Writer::new(form);
    writer.open_map(3 + usize::from(uid.is_some()));
    writer.key("type");
    writer.uint(kind);
    writer.key("data");
    writer.open_map(keys);
    writer
}

/// Closes `data` and the message.
fn finish(writer: &mut Writer, uid: Option<&str>, nsp: &str) {
    writer.close_map();
    if let Some(uid) = uid {
        writer.key("uid");
        writer.text(uid);
    }
    writer.key("nsp");
    writer.text(nsp);
    writer.close_map();
}

/// Reads a message that came on a channel of `nsp`.
///
/// # Errors
/// Where it is no message, for another namespace, or an event that clients would refuse.
pub fn decode(payload: &Bytes, nsp: &str) -> Result<Message, DecodeError> {
    let mut message = reader::read_map(payload)?;
    if message
        .get("nsp")
        .and_then(Value::as_text)
        .is_none_or(|named| named != nsp)
    {
        return Err(DecodeError::OtherNamespace);
    }
    let kind = message.get("type").and_then(Value::as_u64);
    let uid = reader::take_text(&mut message, "uid").ok_or(DecodeError::Malformed("uid"))?;
    let mut data = reader::take_map(&mut message, "data")?;
    let Some(kind) = kind else {
        return Err(DecodeError::UnknownType);
    };
    match kind {
        3 if data.get("requestId").is_none() => {
            let (event, options) = reader::take_event(&mut data)?;
            Ok(Message::Broadcast(options.into_received(uid, nsp, event)))
        }
        8 | 10..=12 => {
            let response = response::read(kind, &mut data)?;
            Ok(Message::Response { uid, response })
        }
        _ => request::read(kind, &mut data, uid, nsp).map(Message::Request),
    }
}

/// Knows the messages of one node by their last bytes, without reading them.
#[derive(Debug, Clone)]
pub struct Echo {
    json: Bytes,
    msgpack: Bytes,
}

impl Echo {
    /// For what the node `uid` sends in `nsp`.
    ///
    /// ```
    /// use carillon_protocol::adapter::sharded::Echo;
    ///
    /// let own = Echo::new("5243f02be180aeae", "/");
    /// assert!(own.is(br#"{"type":1,"data":{},"uid":"5243f02be180aeae","nsp":"/"}"#));
    /// assert!(!own.is(br#"{"type":1,"data":{},"uid":"1243f02be180aeae","nsp":"/"}"#));
    /// ```
    #[must_use]
    pub fn new(uid: &str, nsp: &str) -> Self {
        let tail = |form| {
            let mut writer = Writer::new(form);
            finish(&mut writer, Some(uid), nsp);
            writer.finish()
        };
        Self {
            json: tail(Form::Json),
            msgpack: tail(Form::Msgpack),
        }
    }

    /// Whether `payload` is one of them.
    #[must_use]
    pub fn is(&self, payload: &[u8]) -> bool {
        payload.ends_with(if payload.starts_with(b"{") {
            &self.json
        } else {
            &self.msgpack
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        adapter::{
            Epoch, Kept, Offset,
            cluster::{Answer, Operation, Target},
        },
        event::Event,
        id::Room,
    };

    fn broadcast(event: Event) -> Broadcast {
        Broadcast {
            nsp: "/".into(),
            event,
            rooms: vec![Room::new("room1")],
            except: Vec::new(),
            volatile: false,
        }
    }

    fn read(payload: &[u8]) -> Result<Message, DecodeError> {
        decode(&Bytes::copy_from_slice(payload), "/")
    }

    #[test]
    fn reads_and_writes_what_node_sends() {
        let bytes = br#"{"type":3,"data":{"packet":{"type":2,"data":["hello","x"]},"opts":{"rooms":["room1"],"except":[],"flags":{}}},"uid":"5243f02be180aeae","nsp":"/"}"#;
        let broadcast = broadcast(vec!["hello".into(), "x".into()]);
        assert_eq!(encode("5243f02be180aeae", &broadcast), bytes[..]);
        let received = Received {
            uid: "5243f02be180aeae".into(),
            broadcast,
            kept: None,
        };
        assert_eq!(read(bytes), Ok(Message::Broadcast(received)));
    }

    #[test]
    fn requests_are_written_as_node_does() {
        let target = || Target {
            rooms: vec![Room::new("a")],
            except: Vec::new(),
        };
        let rooms = || vec![Room::new("r2")];
        let with_acks = Operation::Broadcast {
            broadcast: broadcast(vec!["q".into()]),
            timeout_ms: Some(500),
        };
        let options = r#""opts":{"rooms":["a"],"except":[],"flags":{}}"#;
        let vectors = [
            (None, Operation::Join { target: target(), rooms: rooms() }, format!(r#"{{"type":4,"data":{{{options},"rooms":["r2"]}}"#)),
            (None, Operation::Leave { target: target(), rooms: rooms() }, format!(r#"{{"type":5,"data":{{{options},"rooms":["r2"]}}"#)),
            (None, Operation::Disconnect { target: target(), close: false }, format!(r#"{{"type":6,"data":{{{options},"close":false}}"#)),
            (Some("r"), Operation::Fetch(target()), format!(r#"{{"type":7,"data":{{{options},"requestId":"r"}}"#)),
            (None, Operation::ServerSideEmit(vec!["a".into()]), r#"{"type":9,"data":{"packet":["a"]}"#.to_owned()),
            (Some("r"), Operation::ServerSideEmit(vec!["a".into()]), r#"{"type":9,"data":{"requestId":"r","packet":["a"]}"#.to_owned()),
            (Some("r"), with_acks, r#"{"type":3,"data":{"packet":{"type":2,"data":["q"]},"requestId":"r","opts":{"rooms":["room1"],"except":[],"flags":{"timeout":500}}}"#.to_owned()),
        ];
        for (id, operation, start) in vectors {
            let request = ClusterRequest {
                uid: Some("n".into()),
                id: id.map(Into::into),
                operation,
            };
            let written = encode_request("/", &request).unwrap();
            assert_eq!(written, format!(r#"{start},"uid":"n","nsp":"/"}}"#));
            assert_eq!(decode(&written, "/"), Ok(Message::Request(request)));
        }
    }

    #[test]
    fn answers_are_written_as_node_does() {
        for (answer, start) in [
            (
                Answer::Sockets(Vec::new()),
                r#"{"type":8,"data":{"requestId":"r","sockets":[]}"#,
            ),
            (
                Answer::ServerSideEmit("a".into()),
                r#"{"type":10,"data":{"requestId":"r","packet":"a"}"#,
            ),
            (
                Answer::ClientCount(0),
                r#"{"type":11,"data":{"requestId":"r","clientCount":0}"#,
            ),
            (
                Answer::Ack(Value::Null),
                r#"{"type":12,"data":{"requestId":"r","packet":null}"#,
            ),
        ] {
            let response = ClusterResponse {
                request_id: "r".into(),
                answer,
            };
            let written = encode_response("n", "/", &response).unwrap();
            assert_eq!(written, format!(r#"{start},"uid":"n","nsp":"/"}}"#));
            let uid = "n".into();
            assert_eq!(decode(&written, "/"), Ok(Message::Response { uid, response }));
        }
    }

    #[test]
    fn what_the_dialect_does_not_have_is_not_written() {
        let request = ClusterRequest {
            uid: None,
            id: Some("r".into()),
            operation: Operation::AllRooms,
        };
        assert_eq!(encode_request("/", &request), None);
        let response = ClusterResponse {
            request_id: "r".into(),
            answer: Answer::Done,
        };
        assert_eq!(encode_response("n", "/", &response), None);
    }

    #[test]
    fn binary_makes_a_message_msgpack() {
        let broadcast = broadcast(vec!["bin".into(), Bytes::from_static(&[1, 2, 3]).into()]);
        let written = encode("n", &broadcast);
        let bytes = b"\x84\xa4type\x03\xa4data\x82\xa6packet\x82\xa4type\x02\xa4data\x92\xa3bin\xc4\x03\x01\x02\x03\xa4opts\x83\xa5rooms\x91\xa5room1\xa6except\x90\xa5flags\x80\xa3uid\xa1n\xa3nsp\xa1/";
        assert_eq!(written, bytes[..]);
        assert!(matches!(read(&written), Ok(Message::Broadcast(_))));
    }

    #[test]
    fn a_kept_broadcast_has_a_hole_in_either_form() {
        let offset = Offset::new(Epoch::parse("k3Zp09aQ").unwrap(), 42).unwrap();
        for last in [Value::from("text"), Bytes::from_static(&[1]).into()] {
            let broadcast = broadcast(vec!["hello".into(), last]);
            let template = encode_kept("n", &broadcast, "a\"1");
            let filled = template.fill(offset);
            assert!(Echo::new("n", "/").is(&filled));
            let expected = Received {
                uid: "n".into(),
                broadcast,
                kept: Some(Kept {
                    offset,
                    id: "a\"1".into(),
                }),
            };
            assert_eq!(decode(&filled, "/"), Ok(Message::Broadcast(expected)));
        }
    }

    #[test]
    fn refuses_what_is_no_message() {
        let event = r#""packet":{"type":2,"data":["a"]}"#;
        for (kind, data) in [
            (1, "{}".to_owned()),
            (2, "{}".to_owned()),
            (13, "{}".to_owned()),
            (99, "{}".to_owned()),
            (3, "null".to_owned()),
            (3, "{}".to_owned()),
            (3, format!("{{{event}}}")),
            (3, format!("{{{event},\"opts\":null}}")),
            (3, format!("{{{event},\"opts\":{{\"rooms\":[null]}}}}")),
            (3, format!("{{{event},\"opts\":{{}},\"requestId\":null}}")),
            (
                3,
                r#"{"packet":{"type":2,"data":["connect"]},"opts":{}}"#.to_owned(),
            ),
            (4, r#"{"opts":{}}"#.to_owned()),
            (4, r#"{"rooms":["a"]}"#.to_owned()),
            (6, r#"{"close":true}"#.to_owned()),
            (7, r#"{"opts":{}}"#.to_owned()),
            (8, r#"{"requestId":"r"}"#.to_owned()),
            (9, "{}".to_owned()),
            (11, r#"{"requestId":"r"}"#.to_owned()),
            (12, "{}".to_owned()),
        ] {
            let json = format!(r#"{{"type":{kind},"data":{data},"uid":"n","nsp":"/"}}"#);
            assert!(read(json.as_bytes()).is_err(), "{json}");
        }
        assert_eq!(
            read(br#"{"type":3,"data":{},"uid":"n","nsp":"/chat"}"#),
            Err(DecodeError::OtherNamespace)
        );
        assert_eq!(
            read(br#"{"type":3,"data":{},"uid":"n"}"#),
            Err(DecodeError::OtherNamespace)
        );
        for payload in [&b""[..], b"{", b"[]", b"\xc0", b"\x93\xa1n\x80\x80"] {
            assert_eq!(read(payload), Err(DecodeError::Malformed("no map")));
        }
    }
}
