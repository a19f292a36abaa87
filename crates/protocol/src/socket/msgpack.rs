//! `socket.io-msgpack-parser`: one binary message per packet, a map of `type`, `data`, `nsp` and `id`.
//!
//! Keys without a value are left out: the official parser refuses nil where it expects nothing.

use super::{Body, DecodeError, Frames, Packet};
use crate::{
    adapter::{OFFSET_WIDTH, Offset},
    engine::{Frame, Message},
    limits,
    value::{
        Object, Value,
        msgpack::{self, Writer},
    },
};

/// Room made for a frame, in bytes: most events fit.
const FRAME_CAPACITY: usize = 256;

/// Writes a packet as one binary frame.
///
/// ```
/// use carillon_protocol::{engine::Frame, socket::{Body, Packet, msgpack}};
///
/// let packet = Packet { nsp: "/".into(), body: Body::Disconnect };
/// assert_eq!(msgpack::encode(&packet)[0], Frame::Binary(b"\x82\xa4type\x01\xa3nsp\xa1/"[..].into()));
/// ```
#[must_use]
pub fn encode(packet: &Packet) -> Frames {
    match &packet.body {
        Body::Connect(auth) => encode_payload(0, &packet.nsp, auth),
        Body::Disconnect => encode_payload(1, &packet.nsp, &Value::Null),
        Body::Event { args, id } => encode_event(&packet.nsp, args, None, *id),
        Body::Ack { args, id } => encode_ack(&packet.nsp, args, *id),
        Body::ConnectError(error) => encode_payload(4, &packet.nsp, error),
    }
}

/// Writes an event from borrowed parts, its keys in the order of Node's server: `type`, `data`, `id`, `nsp`.
///
/// ```
/// use carillon_protocol::{engine::Frame, socket::msgpack, value::Value};
///
/// let frames = msgpack::encode_event("/", &[Value::from("hi")], None, Some(7));
/// let bytes = b"\x84\xa4type\x02\xa4data\x91\xa2hi\xa2id\x07\xa3nsp\xa1/";
/// assert_eq!(frames[0], Frame::Binary(bytes[..].into()));
/// ```
#[must_use]
pub fn encode_event(nsp: &str, args: &[Value], offset: Option<Offset>, id: Option<u64>) -> Frames {
    let mut writer = Writer {
        out: Vec::with_capacity(FRAME_CAPACITY),
    };
    writer.map(3 + usize::from(id.is_some()));
    writer.text("type");
    writer.uint(2);
    writer.text("data");
    writer.array(args.len() + usize::from(offset.is_some()));
    args.iter().for_each(|arg| writer.value(arg));
    if let Some(offset) = offset {
        writer.text_header(OFFSET_WIDTH);
        writer.out.extend_from_slice(&offset.to_bytes());
    }
    if let Some(id) = id {
        writer.text("id");
        writer.uint(id);
    }
    finish(writer, nsp)
}

/// As Node's server has it: `id`, `type`, `data`, `nsp`.
fn encode_ack(nsp: &str, args: &[Value], id: u64) -> Frames {
    let mut writer = Writer {
        out: Vec::with_capacity(FRAME_CAPACITY),
    };
    writer.map(4);
    writer.text("id");
    writer.uint(id);
    writer.text("type");
    writer.uint(3);
    writer.text("data");
    writer.array(args.len());
    args.iter().for_each(|arg| writer.value(arg));
    finish(writer, nsp)
}

/// A packet without id; its `data` is left out where it is `Null`.
fn encode_payload(kind: u64, nsp: &str, payload: &Value) -> Frames {
    let mut writer = Writer {
        out: Vec::with_capacity(FRAME_CAPACITY),
    };
    let has_payload = *payload != Value::Null;
    writer.map(2 + usize::from(has_payload));
    writer.text("type");
    writer.uint(kind);
    if has_payload {
        writer.text("data");
        writer.value(payload);
    }
    finish(writer, nsp)
}

/// The namespace comes last in every packet.
fn finish(mut writer: Writer, nsp: &str) -> Frames {
    writer.text("nsp");
    writer.text(nsp);
    Frames::from_elem(Frame::Binary(writer.out.into()), 1)
}

/// Reads one packet. Keys other than the four (`options`, from official clients) are ignored.
///
/// ```
/// use carillon_protocol::{engine::Message, socket::{Body, msgpack}, value::Value};
///
/// let bytes = b"\x83\xa4type\x00\xa4data\xd4\x00\x00\xa3nsp\xa4/adm";
/// let packet = msgpack::decode(&Message::Binary(bytes[..].into())).unwrap();
/// assert_eq!((&*packet.nsp, packet.body), ("/adm", Body::Connect(Value::Null)));
/// ```
///
/// # Errors
/// Where the message is text or its content is no packet.
pub fn decode(message: &Message) -> Result<Packet, DecodeError> {
    let Message::Binary(bytes) = message else {
        return Err(DecodeError("text where msgpack belongs"));
    };
    // The packet's own map is one level more than what it carries. Keys that are `undefined` are not in it.
    let Ok(Value::Object(mut packet)) = msgpack::read(bytes, limits::MAX_DEPTH + 1) else {
        return Err(DecodeError("no msgpack map"));
    };
    let kind = packet
        .get("type")
        .and_then(Value::as_u64)
        .ok_or(DecodeError("invalid packet type"))?;
    let Some(Value::String(nsp)) = packet.remove("nsp") else {
        return Err(DecodeError("invalid namespace"));
    };
    let id = decode_id(&packet)?;
    let payload = packet.remove("data");
    if payload.is_none() && kind > 1 {
        return Err(DecodeError("invalid payload"));
    }
    let body = Body::new(kind, payload, id)?;
    Ok(Packet { nsp, body })
}

fn decode_id(packet: &Object) -> Result<Option<u64>, DecodeError> {
    let id = packet
        .get("id")
        .map(|id| id.as_u64().ok_or(DecodeError("invalid ack id")));
    id.transpose()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Packet, DecodeError> {
        decode(&Message::Binary(Bytes::copy_from_slice(bytes)))
    }

    fn packet(nsp: &str, body: Body) -> Packet {
        Packet {
            nsp: nsp.into(),
            body,
        }
    }

    #[test]
    fn reads_and_writes_the_same_bytes() {
        let sid = Object::new().with("sid", "lv_VI97HAXpY6yYWAAAC");
        let message = Object::new().with("message", "Invalid namespace");
        let event = |id| Body::Event {
            args: vec!["hello".into(), Value::Int(1)],
            id,
        };
        let vectors: [(&[u8], Packet); 7] = [
            (
                b"\x82\xa4type\x00\xa3nsp\xa4/adm",
                packet("/adm", Body::Connect(Value::Null)),
            ),
            (
                b"\x83\xa4type\x00\xa4data\x81\xa3sid\xb4lv_VI97HAXpY6yYWAAAC\xa3nsp\xa1/",
                packet("/", Body::Connect(sid.into())),
            ),
            (b"\x82\xa4type\x01\xa3nsp\xa1/", packet("/", Body::Disconnect)),
            (
                b"\x83\xa4type\x02\xa4data\x92\xa5hello\x01\xa3nsp\xa1/",
                packet("/", event(None)),
            ),
            (
                b"\x84\xa4type\x02\xa4data\x92\xa5hello\x01\xa2id\x07\xa3nsp\xa1/",
                packet("/", event(Some(7))),
            ),
            (
                b"\x84\xa2id\x07\xa4type\x03\xa4data\x91\xa2ok\xa3nsp\xa1/",
                packet(
                    "/",
                    Body::Ack {
                        args: vec!["ok".into()],
                        id: 7,
                    },
                ),
            ),
            (
                b"\x83\xa4type\x04\xa4data\x81\xa7message\xb1Invalid namespace\xa3nsp\xa7/random",
                packet("/random", Body::ConnectError(message.into())),
            ),
        ];
        for (bytes, packet) in vectors {
            assert_eq!(read(bytes), Ok(packet.clone()));
            assert_eq!(encode(&packet).as_slice(), [Frame::Binary(bytes.into())]);
        }
    }

    #[test]
    fn undefined_is_an_absent_key() {
        assert_eq!(
            read(b"\x84\xa4type\x00\xa4data\xd4\x00\x00\xa3nsp\xa4/adm\xa2id\xd4\x00\x00"),
            Ok(packet("/adm", Body::Connect(Value::Null))),
        );
        let node = b"\x83\xa4type\x00\xa4data\x82\xa3sid\xa1a\xa3pid\xd4\x00\x00\xa3nsp\xa1/";
        assert_eq!(
            read(node),
            Ok(packet("/", Body::Connect(Object::new().with("sid", "a").into())))
        );
    }

    #[test]
    fn other_keys_and_other_number_forms_are_read() {
        let event = packet(
            "/",
            Body::Event {
                args: vec![Value::Int(5)],
                id: Some(2),
            },
        );
        let options =
            b"\x85\xa4type\x02\xa4data\x91\x05\xa7options\x81\xa8compress\xc3\xa2id\x02\xa3nsp\xa1/";
        assert_eq!(read(options), Ok(event.clone()));
        let wide =
            b"\x84\xa4type\xd1\x00\x02\xa4data\xdc\x00\x01\x05\xa2id\xcb\x40\x00\0\0\0\0\0\0\xa3nsp\xd9\x01/";
        assert_eq!(read(wide), Ok(event));
    }

    #[test]
    fn refuses_what_is_no_packet() {
        let messages: [&[u8]; 24] = [
            b"",
            b"\xc0",
            b"\x90",
            b"\x80",
            b"\xc1",
            b"\x83\xa4type\x05\xa4data\x91\xa1a\xa3nsp\xa1/",
            b"\x83\xa4type\xff\xa4data\x91\xa1a\xa3nsp\xa1/",
            b"\x83\xa4type\xa12\xa4data\x91\xa1a\xa3nsp\xa1/",
            b"\x82\xa4data\x91\xa1a\xa3nsp\xa1/",
            b"\x82\xa4type\x02\xa4data\x91\xa1a",
            b"\x83\xa4type\x02\xa4data\x91\xa1a\xa3nsp\xc0",
            b"\x82\xa4type\x02\xa3nsp\xa1/",
            b"\x83\xa4type\x02\xa4data\x90\xa3nsp\xa1/",
            b"\x83\xa4type\x02\xa4data\x80\xa3nsp\xa1/",
            b"\x83\xa4type\x02\xa4data\x91\x80\xa3nsp\xa1/",
            b"\x83\xa4type\x02\xa4data\x91\xaadisconnect\xa3nsp\xa1/",
            b"\x83\xa4type\x00\xa4data\xc0\xa3nsp\xa1/",
            b"\x83\xa4type\x00\xa4data\x90\xa3nsp\xa1/",
            b"\x83\xa4type\x01\xa4data\xc0\xa3nsp\xa1/",
            b"\x82\xa4type\x04\xa3nsp\xa1/",
            b"\x83\xa4type\x03\xa4data\x90\xa3nsp\xa1/",
            b"\x84\xa4type\x02\xa4data\x91\xa1a\xa3nsp\xa1/\xa2id\xc0",
            b"\x84\xa4type\x02\xa4data\x91\xa1a\xa3nsp\xa1/\xa2id\xff",
            b"\x82\xa4type\x01\xa3nsp\xa1/\x00",
        ];
        for message in messages {
            assert!(read(message).is_err(), "{message:02x?}");
        }
        assert!(decode(&Message::Text("2[\"a\"]".into())).is_err());
    }

    #[test]
    fn the_offset_is_one_more_argument() {
        let offset = Offset::parse("k3Zp09aQ.0000000000000042");
        let frames = encode_event("/", &["a".into()], offset, None);
        assert_eq!(
            frames.as_slice(),
            [Frame::Binary(
                b"\x83\xa4type\x02\xa4data\x92\xa1a\xb9k3Zp09aQ.0000000000000042\xa3nsp\xa1/"[..].into()
            )]
        );
    }

    #[test]
    fn what_a_packet_carries_nests_as_deep_as_in_json() {
        let nested = |depth| {
            let mut bytes = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1a".to_vec();
            bytes.extend(std::iter::repeat_n(0x91, depth - 2));
            bytes.push(0x90);
            read(&bytes)
        };
        assert!(nested(limits::MAX_DEPTH).is_ok());
        assert!(nested(limits::MAX_DEPTH + 1).is_err());
    }
}
