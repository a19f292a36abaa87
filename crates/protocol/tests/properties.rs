//! What holds for every input of the codecs: what is written is read again, and nothing from outside panics.

#[path = "properties/adapter.rs"]
mod adapter;
mod common;

use bytes::Bytes;
use bytestring::ByteString;
use carillon_protocol::{
    engine::{self, Frame, Message, payload},
    socket::{Decoder, Packet, Parser, json, msgpack},
    text::replace_lone_surrogates,
    value::Value,
};
use proptest::prelude::*;

/// The message that a frame carries.
fn message(frame: Frame) -> Option<Message> {
    match frame {
        Frame::Binary(bytes) => Some(Message::Binary(bytes)),
        Frame::Text(text) => match engine::decode_text(&text) {
            Ok(engine::Packet::Message(message)) => Some(message),
            _ => None,
        },
    }
}

/// All packets that `frames` of one connection carry.
fn decode(frames: impl IntoIterator<Item = Frame>) -> Vec<Packet> {
    let mut decoder = Decoder::default();
    let messages = frames.into_iter().filter_map(message);
    messages
        .filter_map(|message| decoder.push(message).ok().flatten())
        .collect()
}

fn any_message() -> impl Strategy<Value = Message> {
    let packet =
        r#"[0-9]{1,2}-?(/[a-z]{0,3},?)?[0-9]{0,21}(\["a",)?(\{"_placeholder":true,"num":[0-9]\})?\]?"#;
    prop_oneof![
        packet.prop_map(|text| Message::Text(text.into())),
        any::<String>().prop_map(|text| Message::Text(text.into())),
        common::bytes().prop_map(Message::Binary),
    ]
}

proptest! {
    #[test]
    fn a_value_survives_json(value in common::json_value()) {
        let json = value.to_json();
        let by_serde = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Value>(&by_serde).unwrap(), &value);
        prop_assert_eq!(&Value::from_json(&json).unwrap(), &value);
    }

    #[test]
    fn a_value_survives_msgpack(value in common::value()) {
        let bytes = Bytes::from(value.to_msgpack());
        prop_assert_eq!(Value::from_msgpack(&bytes), Ok(value.clone()));
        prop_assert_eq!(rmp_serde::to_vec(&value).unwrap(), bytes.to_vec());
        prop_assert_eq!(rmp_serde::from_slice::<Value>(&bytes).unwrap(), value);
    }

    #[test]
    fn packets_survive_either_parser(packets in prop::collection::vec(common::packet(), 1..4)) {
        for parser in [Parser::Json, Parser::Msgpack] {
            let frames = packets.iter().flat_map(|packet| parser.encode(packet));
            prop_assert_eq!(&decode(frames), &packets);
        }
    }

    #[test]
    fn frames_survive_a_payload(frames in prop::collection::vec(frame(), 1..20)) {
        let body = payload::encode(&frames);
        let decoded: Result<Vec<_>, _> = payload::decode(&body, frames.len()).collect();
        let messages = frames.into_iter().filter_map(message).map(engine::Packet::Message);
        prop_assert_eq!(decoded.unwrap(), messages.collect::<Vec<_>>());
    }

    #[test]
    fn escaped_code_units_are_read_as_javascript_reads_them(units in prop::collection::vec(code_unit(), 0..12)) {
        let escapes: String = units.iter().map(|unit| format!("\\u{unit:04X}")).collect();
        let read = Value::from_json(&format!("\"{escapes}\"")).unwrap();
        prop_assert_eq!(read, Value::from(String::from_utf16_lossy(&units)));
    }

    #[test]
    fn replacing_surrogates_is_done_after_once(json in r#"([a-z"\\{}é😀]|\\u[dD][89a-fA-F0-9]{3}|\\u[0-9a-f]{0,4}){0,20}"#) {
        let replaced = replace_lone_surrogates(&json);
        prop_assert_eq!(replace_lone_surrogates(&replaced), replaced.as_ref());
        prop_assert_eq!(replaced.len(), json.len());
    }

    #[test]
    fn no_text_breaks_an_engine_decoder(text in any::<String>(), segments in prop::collection::vec("[0-6b]?[a-zA-Z0-9+/=é]{0,9}", 0..9)) {
        let _ = engine::decode_text(&text.into());
        let body = ByteString::from(segments.join("\u{1e}"));
        prop_assert!(payload::decode(&body, 4).count() <= 5);
    }

    #[test]
    fn no_text_breaks_a_value(text in any::<String>(), near in r#"[\[\]{}":,0-9eE+.\\ud-]{0,40}"#) {
        let _ = Value::from_json(&text);
        let _ = Value::from_json(&near);
    }

    #[test]
    fn no_messages_break_a_decoder(messages in prop::collection::vec(any_message(), 1..8)) {
        let (mut either, mut json) = (Decoder::default(), json::Decoder::default());
        for message in messages {
            let _ = json.push(message.clone());
            let _ = either.push(message);
        }
    }

    #[test]
    fn no_bytes_break_msgpack(bytes in common::bytes()) {
        let _ = Value::from_msgpack(&bytes);
        let _ = msgpack::decode(&Message::Binary(bytes));
    }

    #[test]
    fn no_damaged_packet_breaks_msgpack(packet in common::packet(), at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let Some(Frame::Binary(bytes)) = msgpack::encode(&packet).into_iter().next() else {
            return Err(TestCaseError::fail("no binary frame"));
        };
        let mut bytes = bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        let _ = msgpack::decode(&Message::Binary(bytes.into()));
    }

    #[test]
    fn any_number_is_written_as_a_number(number: f64) {
        let json = Value::Float(number).to_json();
        let read = Value::from_json(&json).unwrap();
        let same = match read {
            Value::Int(whole) => whole.to_string() == json,
            Value::UInt(whole) => whole.to_string() == json,
            Value::Float(read) => read == number,
            _ => !number.is_finite(),
        };
        prop_assert!(same, "{number} as {json}");
    }
}

/// A message in a frame, as a connection queues it.
fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        common::bytes().prop_map(Frame::Binary),
        "4[^\u{1e}]{0,30}".prop_map(|text| Frame::Text(text.into())),
    ]
}

/// Half of them surrogates.
fn code_unit() -> impl Strategy<Value = u16> {
    prop_oneof![any::<u16>(), 0xd800..=0xdfff_u16]
}
