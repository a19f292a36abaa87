//! What all messages of other nodes have in common, read from values that may be anything.

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    Broadcast, DecodeError, Kept, MAX_KEPT_ID_BYTES, Offset, Received,
    cluster::{Operation, Target},
};
use crate::{
    event::Event,
    id::Room,
    limits,
    socket::is_reserved,
    value::{Object, Value, msgpack},
};

type Result<T> = std::result::Result<T, DecodeError>;

/// How much deeper than its event a message may nest: the maps and lists around it.
const ENVELOPE_DEPTH: usize = 3;

/// A message in JSON, if its first byte is `{`, else in msgpack.
pub(super) fn read_map(payload: &Bytes) -> Result<Object> {
    let value = if payload.starts_with(b"{") {
        // JavaScript makes U+FFFD of what is no UTF-8.
        Value::from_json(&String::from_utf8_lossy(payload)).ok()
    } else {
        read_msgpack(payload)
    };
    match value {
        Some(Value::Object(map)) => Ok(map),
        _ => Err(DecodeError::Malformed("no map")),
    }
}

pub(super) fn read_msgpack(payload: &Bytes) -> Option<Value> {
    msgpack::read(payload, limits::MAX_DEPTH + ENVELOPE_DEPTH).ok()
}

/// The text under `key`, if it is one.
pub(super) fn take_text(map: &mut Object, key: &str) -> Option<ByteString> {
    match map.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

pub(super) fn take_map(map: &mut Object, key: &'static str) -> Result<Object> {
    match map.remove(key) {
        Some(Value::Object(map)) => Ok(map),
        _ => Err(DecodeError::Malformed(key)),
    }
}

pub(super) fn take_list(map: &mut Object, key: &'static str) -> Result<Vec<Value>> {
    match map.remove(key) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(DecodeError::Malformed(key)),
    }
}

pub(super) fn take_uint(map: &mut Object, key: &'static str) -> Result<u64> {
    let number = map.remove(key).as_ref().and_then(Value::as_u64);
    number.ok_or(DecodeError::Malformed(key))
}

/// Whom the `opts` of a request mean.
pub(super) fn take_target(request: &mut Object) -> Result<Target> {
    let mut options = take_map(request, "opts")?;
    Ok(Target {
        rooms: take_rooms(&mut options, "rooms")?,
        except: take_rooms(&mut options, "except")?,
    })
}

/// A list of rooms that has to be there.
pub(super) fn take_named_rooms(map: &mut Object, key: &'static str) -> Result<Vec<Room>> {
    let rooms = take_list(map, key)?;
    rooms.into_iter().map(|name| room(name, key)).collect()
}

/// The rooms under `key`; none where there is nothing.
pub(super) fn take_rooms(map: &mut Object, key: &'static str) -> Result<Vec<Room>> {
    match map.remove(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(rooms)) => rooms.into_iter().map(|name| room(name, key)).collect(),
        Some(_) => Err(DecodeError::Malformed(key)),
    }
}

/// A room by its name. Node matches a number with its text. A name of any other kind is no reason to drop it from a list:
/// a list without its only room would mean everybody.
pub(super) fn room(name: Value, what: &'static str) -> Result<Room> {
    match name {
        Value::String(name) => Ok(Room::new(name)),
        name @ (Value::Int(_) | Value::UInt(_) | Value::Float(_)) => Ok(Room::new(name.to_json())),
        _ => Err(DecodeError::Malformed(what)),
    }
}

/// The event and the options of a broadcast in a map: `packet` and `opts`.
pub(super) fn take_event(map: &mut Object) -> Result<(Event, Options)> {
    let event = read_event(take_map(map, "packet")?)?;
    let options = read_options(take_map(map, "opts")?)?;
    Ok((event, options))
}

/// The event of a packet `{type: 2, data}`; senders of protocol 4 and older have type 5 where there is binary.
pub(super) fn read_event(mut packet: Object) -> Result<Event> {
    if !matches!(packet.get("type").and_then(Value::as_u64), Some(2 | 5)) {
        return Err(DecodeError::Malformed("packet type"));
    }
    let event = take_list(&mut packet, "data")?;
    check_event(&event)?;
    Ok(event)
}

/// What clients would end their connection over is not for them.
fn check_event(event: &[Value]) -> Result<()> {
    match event.first() {
        Some(Value::String(name)) if is_reserved(name) => return Err(DecodeError::ReservedEvent),
        Some(Value::String(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_)) => {}
        _ => return Err(DecodeError::Malformed("event name")),
    }
    let attachments: usize = event.iter().map(Value::count_binary).sum();
    if attachments > limits::MAX_ATTACHMENTS {
        return Err(DecodeError::TooManyAttachments);
    }
    Ok(())
}

/// The options of a broadcast.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) rooms: Vec<Room>,
    pub(super) except: Vec<Room>,
    pub(super) volatile: bool,
    pub(super) timeout_ms: Option<u64>,
    pub(super) kept: Option<Kept>,
}

impl Options {
    pub(super) fn into_received(mut self, uid: ByteString, nsp: &str, event: Event) -> Received {
        Received {
            uid,
            kept: self.kept.take(),
            broadcast: self.into_broadcast(nsp, event),
        }
    }

    pub(super) fn into_broadcast(self, nsp: &str, event: Event) -> Broadcast {
        Broadcast {
            nsp: nsp.into(),
            event,
            rooms: self.rooms,
            except: self.except,
            volatile: self.volatile,
        }
    }

    /// A broadcast whose receivers acknowledge it.
    pub(super) fn into_operation(self, nsp: &str, event: Event) -> Operation {
        Operation::Broadcast {
            timeout_ms: self.timeout_ms,
            broadcast: self.into_broadcast(nsp, event),
        }
    }
}

/// `{rooms?, except?, flags?}`.
pub(super) fn read_options(mut options: Object) -> Result<Options> {
    let rooms = take_rooms(&mut options, "rooms")?;
    let except = take_rooms(&mut options, "except")?;
    let flags = take_map(&mut options, "flags").unwrap_or_default();
    let volatile = flags.get("volatile") == Some(&Value::Bool(true));
    Ok(Options {
        rooms,
        except,
        volatile,
        timeout_ms: flags.get("timeout").and_then(Value::as_u64),
        kept: read_kept(&flags).filter(|_| !volatile),
    })
}

/// Flags of the same names that are not Carillon's are none of ours.
fn read_kept(flags: &Object) -> Option<Kept> {
    let offset = Offset::parse(flags.get("offset")?.as_text()?)?;
    let id = flags.get("id")?.as_text()?.clone();
    let has_length = (1..=MAX_KEPT_ID_BYTES).contains(&id.len());
    has_length.then_some(Kept { offset, id })
}
