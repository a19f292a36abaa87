//! Answers on standard output what the codecs make of each command on standard input, one JSON object a line.
//! `crates/testkit/node/parsers.test.js` compares the answers with the official JavaScript parsers, and
//! `adapter-codec.test.js` beside it with the adapters; for those there are the commands of [`adapter`].
//!
//! | `op` | command | answer in `ok` |
//! |---|---|---|
//! | `decodePayload` | `body` | packets `{type, data?}` up to the first bad one, which is `{type: "error"}` |
//! | `encodePayload` | `frames` | text |
//! | `decode` | `parser` (`json` or `msgpack`), `messages` | packet `{type, nsp, id?, data?}`, `null` while incomplete |
//! | `encode` | `parser`, `packet` | frames |
//!
//! What cannot be read is answered by `{"error": …}`. Binary is `{"$binary": "<base64>"}` in both directions.

#[path = "codec/adapter.rs"]
mod adapter;

use std::io::{BufRead as _, Write as _};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytestring::ByteString;
use carillon_protocol::{
    engine::{self, Frame, Message, payload},
    limits,
    socket::{Body, Packet, Parser, json, msgpack},
    value::{Object, Value},
};

fn main() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = match answer(&line?) {
            Ok(answer) => Object::new().with("ok", tag(answer)?),
            Err(error) => Object::new().with("error", error.to_string()),
        };
        writeln!(out, "{}", Value::from(answer).to_json())?;
        out.flush()?;
    }
    Ok(())
}

fn answer(line: &str) -> Result<Value> {
    let command = untag(Value::from_json(line)?)?;
    match &**text(&command, "op")? {
        "decodePayload" => Ok(decode_payload(text(&command, "body")?)),
        "encodePayload" => {
            let frames: Result<Vec<_>> = list(&command, "frames")?.iter().map(frame).collect();
            Ok(Value::from(payload::encode(&frames?)))
        }
        "decode" => decode(parser(&command)?, list(&command, "messages")?),
        "encode" => {
            let packet = packet(command.get("packet").context("no packet")?)?;
            let frames = parser(&command)?.encode(&packet);
            Ok(Value::Array(frames.into_iter().map(frame_value).collect()))
        }
        op => adapter::answer(op, &command).unwrap_or_else(|| bail!("unknown op {op}")),
    }
}

fn decode_payload(body: &ByteString) -> Value {
    let packets = payload::decode(body, limits::MAX_PACKETS_PER_PAYLOAD).map(|packet| {
        let (kind, data) = match packet {
            Ok(engine::Packet::Open) => ("open", None),
            Ok(engine::Packet::Close) => ("close", None),
            Ok(engine::Packet::Ping(data)) => ("ping", Some(Value::from(data))),
            Ok(engine::Packet::Pong(data)) => ("pong", Some(Value::from(data))),
            Ok(engine::Packet::Message(Message::Text(text))) => ("message", Some(Value::from(text))),
            Ok(engine::Packet::Message(Message::Binary(bytes))) => ("message", Some(Value::from(bytes))),
            Ok(engine::Packet::Upgrade) => ("upgrade", None),
            Ok(engine::Packet::Noop) => ("noop", None),
            Err(_) => ("error", None),
        };
        let mut object = Object::new().with("type", kind);
        if let Some(data) = data {
            object.push("data", data);
        }
        Value::from(object)
    });
    Value::Array(packets.collect())
}

fn decode(parser: Parser, messages: &[Value]) -> Result<Value> {
    let mut decoder = json::Decoder::default();
    let mut read = None;
    for message in messages {
        let message = match message {
            Value::String(text) => Message::Text(text.clone()),
            Value::Binary(bytes) => Message::Binary(bytes.clone()),
            _ => bail!("a message is text or binary"),
        };
        read = match parser {
            Parser::Json => decoder.push(message)?,
            Parser::Msgpack => Some(msgpack::decode(&message)?),
        };
    }
    Ok(read.map_or(Value::Null, packet_value))
}

fn parser(command: &Value) -> Result<Parser> {
    match &**text(command, "parser")? {
        "json" => Ok(Parser::Json),
        "msgpack" => Ok(Parser::Msgpack),
        parser => bail!("unknown parser {parser}"),
    }
}

fn frame(value: &Value) -> Result<Frame> {
    match value {
        Value::String(text) => Ok(Frame::Text(text.clone())),
        Value::Binary(bytes) => Ok(Frame::Binary(bytes.clone())),
        _ => bail!("a frame is text or binary"),
    }
}

fn frame_value(frame: Frame) -> Value {
    match frame {
        Frame::Text(text) => Value::from(text),
        Frame::Binary(bytes) => Value::from(bytes),
    }
}

fn packet(value: &Value) -> Result<Packet> {
    let id = value.get("id").and_then(Value::as_u64);
    let data = value.get("data").cloned().unwrap_or_default();
    let body = match (value.get("type").and_then(Value::as_u64), data, id) {
        (Some(0), data, _) => Body::Connect(data),
        (Some(1), _, _) => Body::Disconnect,
        (Some(2), Value::Array(args), id) => Body::Event { args, id },
        (Some(3), Value::Array(args), Some(id)) => Body::Ack { args, id },
        (Some(4), data, _) => Body::ConnectError(data),
        _ => bail!("no packet"),
    };
    Ok(Packet {
        nsp: text(value, "nsp")?.clone(),
        body,
    })
}

fn packet_value(packet: Packet) -> Value {
    let (kind, data, id) = match packet.body {
        Body::Connect(data) => (0_u32, data, None),
        Body::Disconnect => (1, Value::Null, None),
        Body::Event { args, id } => (2, Value::Array(args), id),
        Body::Ack { args, id } => (3, Value::Array(args), Some(id)),
        Body::ConnectError(data) => (4, data, None),
    };
    let mut object = Object::new().with("type", kind).with("nsp", packet.nsp);
    if let Some(id) = id {
        object.push("id", id);
    }
    if data != Value::Null {
        object.push("data", data);
    }
    object.into()
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a ByteString> {
    value
        .get(key)
        .and_then(Value::as_text)
        .with_context(|| format!("no {key}"))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value]> {
    match value.get(key) {
        Some(Value::Array(items)) => Ok(items),
        _ => bail!("no {key}"),
    }
}

/// Binary as `{"$binary": …}`.
fn tag(value: Value) -> Result<Value> {
    let binary = |bytes: &_| {
        Object::new()
            .with("$binary", BASE64_STANDARD.encode(bytes))
            .into()
    };
    map(value, &|value| match &value {
        Value::Binary(bytes) => Ok(binary(bytes)),
        _ => Ok(value),
    })
}

/// `{"$binary": …}` as binary.
fn untag(value: Value) -> Result<Value> {
    map(
        value,
        &|value| match value.get("$binary").and_then(Value::as_text) {
            Some(base64) => Ok(Value::Binary(BASE64_STANDARD.decode(base64.as_bytes())?.into())),
            None => Ok(value),
        },
    )
}

/// `value` with `change` made to everything in it, from the inside out.
fn map(mut value: Value, change: &impl Fn(Value) -> Result<Value>) -> Result<Value> {
    match &mut value {
        Value::Array(items) => {
            for item in items {
                *item = map(std::mem::take(item), change)?;
            }
        }
        Value::Object(object) => {
            for item in object.values_mut() {
                *item = map(std::mem::take(item), change)?;
            }
        }
        _ => {}
    }
    change(value)
}
