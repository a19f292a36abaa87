//! The default parser: `<type>[<n>-][<nsp>,][<ackid>][<json>]`, binary as attachments that follow.

mod decoder;

use super::{Body, Frames, Packet};
use crate::{
    adapter::Offset,
    engine::Frame,
    value::{
        Value,
        json::{Writer, write_display},
    },
};

pub use decoder::Decoder;

/// Room made for a text frame, in bytes: most events fit.
const FRAME_CAPACITY: usize = 256;

/// Writes a packet: one text frame, then its attachments.
///
/// ```
/// use carillon_protocol::{engine::Frame, socket::{Body, Packet, json}};
///
/// let packet = Packet { nsp: "/custom".into(), body: Body::Disconnect };
/// assert_eq!(json::encode(&packet)[0], Frame::Text("41/custom,".into()));
/// ```
#[must_use]
pub fn encode(packet: &Packet) -> Frames {
    match &packet.body {
        Body::Connect(auth) => encode_text('0', &packet.nsp, auth),
        Body::Disconnect => encode_text('1', &packet.nsp, &Value::Null),
        Body::Event { args, id } => encode_event(&packet.nsp, args, None, *id),
        Body::Ack { args, id } => encode_args(['3', '6'], &packet.nsp, Some(*id), args, None),
        Body::ConnectError(error) => encode_text('4', &packet.nsp, error),
    }
}

/// Writes an event from borrowed parts. At most [`crate::limits::MAX_ATTACHMENTS`] of the values may be binary, and the name
/// must not be reserved: clients leave on either.
///
/// ```
/// use carillon_protocol::{adapter::Offset, engine::Frame, socket::json, value::Value};
///
/// let args = [Value::from("bin"), Value::from(bytes::Bytes::from_static(&[1, 2, 3]))];
/// let offset = Offset::parse("k3Zp09aQ.0000000000000042");
/// let frames = json::encode_event("/", &args, offset, Some(7));
/// let text = r#"451-7["bin",{"_placeholder":true,"num":0},"k3Zp09aQ.0000000000000042"]"#;
/// assert_eq!(frames[0], Frame::Text(text.into()));
/// assert_eq!(frames[1], Frame::Binary(vec![1, 2, 3].into()));
/// ```
#[must_use]
pub fn encode_event(nsp: &str, args: &[Value], offset: Option<Offset>, id: Option<u64>) -> Frames {
    encode_args(['2', '5'], nsp, id, args, offset)
}

/// A packet of type `plain`, or `binary` where `args` have attachments.
fn encode_args(
    [plain, binary]: [char; 2],
    nsp: &str,
    id: Option<u64>,
    args: &[Value],
    offset: Option<Offset>,
) -> Frames {
    let mut out = String::with_capacity(FRAME_CAPACITY);
    let count = args.iter().map(Value::count_binary).sum();
    out.push('4');
    if count == 0 {
        out.push(plain);
    } else {
        out.push(binary);
        write_display(&mut out, count);
        out.push('-');
    }
    write_nsp(&mut out, nsp);
    if let Some(id) = id {
        write_display(&mut out, id);
    }
    let mut attachments = Vec::with_capacity(count);
    out.push('[');
    Writer {
        out: &mut out,
        attachments: Some(&mut attachments),
    }
    .items(args);
    if let Some(offset) = offset {
        if !args.is_empty() {
            out.push(',');
        }
        out.push('"');
        write_display(&mut out, offset);
        out.push('"');
    }
    out.push(']');
    std::iter::once(Frame::Text(out.into()))
        .chain(attachments.into_iter().map(Frame::Binary))
        .collect()
}

/// A packet that never has attachments.
fn encode_text(kind: char, nsp: &str, payload: &Value) -> Frames {
    let mut out = String::with_capacity(FRAME_CAPACITY);
    out.push('4');
    out.push(kind);
    write_nsp(&mut out, nsp);
    if *payload != Value::Null {
        Writer {
            out: &mut out,
            attachments: None,
        }
        .value(payload);
    }
    Frames::from_elem(Frame::Text(out.into()), 1)
}

fn write_nsp(out: &mut String, nsp: &str) {
    if !matches!(nsp, "/" | "") {
        out.push_str(nsp);
        out.push(',');
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::engine::Message;

    fn text(text: &str) -> Message {
        Message::Text(text.into())
    }

    fn binary(bytes: &'static [u8]) -> Message {
        Message::Binary(bytes.into())
    }

    fn list(json: &str) -> Vec<Value> {
        serde_json::from_str(json).unwrap()
    }

    fn event(json: &str, id: Option<u64>) -> Body {
        Body::Event { args: list(json), id }
    }

    fn ack(json: &str, id: u64) -> Body {
        Body::Ack { args: list(json), id }
    }

    /// Message texts as clients and servers write them, each with its namespace and what it says.
    fn vectors() -> Vec<(&'static str, &'static str, Body)> {
        let object = |json| Value::from_json(json).unwrap();
        vec![
            ("0", "/", Body::Connect(Value::Null)),
            (
                r#"0{"token":"123"}"#,
                "/",
                Body::Connect(object(r#"{"token":"123"}"#)),
            ),
            (
                r#"0/admin,{"sid":"oSO0OpakMV"}"#,
                "/admin",
                Body::Connect(object(r#"{"sid":"oSO0OpakMV"}"#)),
            ),
            ("0/random,", "/random", Body::Connect(Value::Null)),
            ("1", "/", Body::Disconnect),
            ("1/custom,", "/custom", Body::Disconnect),
            (r#"2["hello"]"#, "/", event(r#"["hello"]"#, None)),
            (
                r#"2/chat,12["hello",1,{"a":[]}]"#,
                "/chat",
                event(r#"["hello",1,{"a":[]}]"#, Some(12)),
            ),
            ("2[5,1]", "/", event("[5,1]", None)),
            (
                r#"2["hello","one","Q83TR2O"]"#,
                "/",
                event(r#"["hello","one","Q83TR2O"]"#, None),
            ),
            (
                r#"218446744073709551615["hello"]"#,
                "/",
                event(r#"["hello"]"#, Some(u64::MAX)),
            ),
            ("30[]", "/", ack("[]", 0)),
            (r#"3/admin,7["a",null]"#, "/admin", ack(r#"["a",null]"#, 7)),
            (
                r#"4/random,{"message":"Invalid namespace"}"#,
                "/random",
                Body::ConnectError(object(r#"{"message":"Invalid namespace"}"#)),
            ),
        ]
    }

    #[test]
    fn reads_and_writes_the_same_text() {
        for (message, nsp, body) in vectors() {
            let packet = Packet {
                nsp: nsp.into(),
                body,
            };
            assert_eq!(
                Decoder::default().push(text(message)),
                Ok(Some(packet.clone())),
                "{message}"
            );
            assert_eq!(
                encode(&packet).as_slice(),
                [Frame::Text(format!("4{message}").into())]
            );
        }
    }

    #[test]
    fn attachments_follow_in_depth_first_order() {
        let bytes = |bytes: &'static [u8]| Value::from(Bytes::from_static(bytes));
        let args = vec![
            Value::from("bin"),
            Value::from(
                crate::value::Object::new()
                    .with("a", vec![bytes(&[1])])
                    .with("b", bytes(&[2])),
            ),
            bytes(&[]),
        ];
        let head = r#"3-/chat,9["bin",{"a":[{"_placeholder":true,"num":0}],"b":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":2}]"#;

        for (kind, body) in [
            (
                5,
                Body::Event {
                    args: args.clone(),
                    id: Some(9),
                },
            ),
            (6, Body::Ack { args, id: 9 }),
        ] {
            let packet = Packet {
                nsp: "/chat".into(),
                body,
            };
            let frames = encode(&packet);
            assert_eq!(frames[0], Frame::Text(format!("4{kind}{head}").into()));
            assert_eq!(
                frames[1..],
                [&[1_u8][..], &[2], &[]].map(|bytes| Frame::Binary(bytes.into()))
            );

            let mut decoder = Decoder::default();
            assert_eq!(decoder.push(text(&format!("{kind}{head}"))), Ok(None));
            assert_eq!(decoder.push(binary(&[1])), Ok(None));
            assert_eq!(decoder.push(binary(&[2])), Ok(None));
            assert_eq!(decoder.push(binary(&[])), Ok(Some(packet)));
            assert!(decoder.push(binary(&[])).is_err());
        }
    }

    #[test]
    fn the_offset_is_one_more_argument() {
        let offset = Offset::parse("k3Zp09aQ.0000000000000042");
        let frames = encode_event("/", &["hello".into(), "one".into()], offset, None);
        assert_eq!(
            frames.as_slice(),
            [Frame::Text(
                r#"42["hello","one","k3Zp09aQ.0000000000000042"]"#.into()
            )]
        );
    }
}
