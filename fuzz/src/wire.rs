//! What clients send: Engine.IO packets and payloads, Socket.IO packets of both parsers, the values in them.

use bytes::Bytes;
use bytestring::ByteString;
use carillon_protocol::{
    engine::{self, Frame, Message, payload},
    limits,
    socket::{Body, Decoder, Packet, Parser},
    text::replace_lone_surrogates,
    value::Value,
};

/// Between the packets of a payload.
const SEPARATOR: char = '\u{1e}';
/// Ends a message in the input of a target that takes several. In UTF-8 it does not occur.
const END: u8 = 0xFF;

/// A text frame, and a polling payload.
pub fn engine(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data).map(ByteString::from) else {
        return;
    };
    let alone = engine::decode_text(&text);

    let packets: Vec<_> = payload::decode(&text, limits::MAX_PACKETS_PER_PAYLOAD).collect();
    assert!(
        packets.len() <= limits::MAX_PACKETS_PER_PAYLOAD + 1,
        "more packets than asked for"
    );
    // A payload of one packet is that packet. `b` begins binary in payloads alone.
    if let [packet] = &packets[..]
        && !text.contains(SEPARATOR)
        && !text.starts_with('b')
    {
        assert_eq!(packet, &alone, "a frame and a payload are read differently");
    }

    let messages: Vec<_> = packets
        .into_iter()
        .filter_map(|packet| match packet {
            Ok(engine::Packet::Message(message)) => Some(message),
            _ => None,
        })
        .collect();
    if messages.is_empty() {
        return;
    }
    let frames: Vec<_> = messages.iter().cloned().map(frame).collect();
    let written = payload::encode(&frames);
    let again: Result<Vec<_>, _> = payload::decode(&written, limits::MAX_PACKETS_PER_PAYLOAD).collect();
    let messages: Vec<_> = messages.into_iter().map(engine::Packet::Message).collect();
    assert_eq!(
        again,
        Ok(messages),
        "a payload is read as something else than was written"
    );
}

fn frame(message: Message) -> Frame {
    match message {
        Message::Text(text) => Frame::Text(format!("4{text}").into()),
        Message::Binary(bytes) => Frame::Binary(bytes),
    }
}

/// A text packet of the default parser, and the attachments after it.
pub fn socket_json(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == END);
    let Some(Ok(text)) = parts.next().map(std::str::from_utf8) else {
        return;
    };
    let attachments = parts.map(|part| Message::Binary(Bytes::copy_from_slice(part)));
    let messages = std::iter::once(Message::Text(text.into())).chain(attachments);
    for packet in decode(messages) {
        assert_survives(Parser::Json, &packet);
        // What one client says in the one parser goes to another in the other.
        if matches!(packet.body, Body::Event { .. } | Body::Ack { .. }) {
            assert_survives(Parser::Msgpack, &packet);
        }
    }
}

/// A packet of the msgpack parser.
pub fn socket_msgpack(data: &[u8]) {
    for packet in decode(std::iter::once(Message::Binary(Bytes::copy_from_slice(data)))) {
        assert_survives(Parser::Msgpack, &packet);
    }
}

/// All packets of one connection, until one message of it is refused.
fn decode(messages: impl Iterator<Item = Message>) -> Vec<Packet> {
    let mut decoder = Decoder::default();
    messages
        .map_while(|message| decoder.push(message).ok())
        .flatten()
        .collect()
}

/// What was read can be written, and is read as the same. It is compared as bytes: a number that is none equals nothing.
fn assert_survives(parser: Parser, packet: &Packet) {
    // The default parser reads an event without any payload, which is not what an event is written as.
    if matches!(&packet.body, Body::Event { args, .. } if args.is_empty()) {
        return;
    }
    let written = parser.encode(packet);
    let messages = written.clone().into_iter().map(|frame| match frame {
        Frame::Binary(bytes) => Message::Binary(bytes),
        Frame::Text(text) => match engine::decode_text(&text) {
            Ok(engine::Packet::Message(message)) => message,
            other => panic!("{text} carries {other:?}"),
        },
    });
    let again = decode(messages);
    let [again] = &again[..] else {
        panic!("{packet:?} as {written:?} is read as {again:?}");
    };
    assert_eq!(parser.encode(again), written, "{packet:?}");
}

/// JSON, beside `serde_json`'s own reader.
pub fn value_json(data: &[u8]) {
    let Ok(json) = std::str::from_utf8(data) else {
        return;
    };
    let replaced = replace_lone_surrogates(json);
    assert_eq!(replaced.len(), json.len(), "a replacement has another length");
    assert_eq!(
        replace_lone_surrogates(&replaced),
        replaced,
        "replacing is not done after once"
    );

    let read = Value::from_json(json);
    let theirs = serde_json::from_str::<serde_json::Value>(&replaced);
    match (read, theirs) {
        (Ok(value), theirs) => {
            let written = value.to_json();
            let again = Value::from_json(&written).expect("JSON of our own is read");
            assert_eq!(again.to_json(), written, "{json}");
            // Theirs refuses numbers beyond a double; JavaScript reads them as infinite.
            if let Ok(theirs) = theirs {
                let ours =
                    serde_json::from_str::<serde_json::Value>(&written).expect("JSON of our own is JSON");
                assert_eq!(plain(ours), plain(theirs), "{json}");
            }
        }
        (Err(_), theirs) => assert!(theirs.is_err(), "{json} is refused here alone"),
    }
}

/// Numbers as doubles, as JavaScript has them.
fn plain(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(number) => number
            .as_f64()
            .map_or(Value::Null, |number| Value::String(format!("{:?}", number + 0.0))),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, plain(value)))
            .collect(),
        other => other,
    }
}

/// msgpack.
pub fn value_msgpack(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let Ok(value) = Value::from_msgpack(&bytes) else {
        return;
    };
    let written = value.to_msgpack();
    let again = Value::from_msgpack(&written.clone().into()).expect("msgpack of our own is read");
    assert_eq!(again.to_msgpack(), written, "{value:?}");
}
