//! What goes from one node to another when a connection moves, as values.

use bytestring::ByteString;
use carillon_protocol::{
    adapter::Offset,
    engine::Message,
    id::Room,
    socket::Parser,
    value::{Object, Value},
};

use crate::socket::Position;

/// What is needed to build a connection.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConnectionBrief {
    pub(super) parser: Option<Parser>,
    /// The beginning of a packet that is not whole.
    pub(super) parts: Vec<Message>,
    /// The namespaces that the server had the client leave.
    pub(super) dismissed: Vec<ByteString>,
    pub(super) sockets: Vec<SocketBrief>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct SocketBrief {
    pub(super) nsp: ByteString,
    pub(super) id: ByteString,
    pub(super) pid: Option<ByteString>,
    pub(super) rooms: Vec<Room>,
    /// The handler's.
    pub(super) data: Value,
}

/// What a connection is at the fence.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConnectionExport {
    /// The server has it leave all namespaces, and ends its session.
    pub(super) close: bool,
    pub(super) sockets: Vec<SocketExport>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct SocketExport {
    pub(super) nsp: ByteString,
    pub(super) id: ByteString,
    pub(super) rooms: Vec<Room>,
    pub(super) position: Position,
}

impl ConnectionBrief {
    pub(super) fn into_value(self) -> Value {
        let parser = self.parser.map(|parser| match parser {
            Parser::Json => "json",
            Parser::Msgpack => "msgpack",
        });
        let part = |part| match part {
            Message::Text(text) => Value::String(text),
            Message::Binary(bytes) => Value::Binary(bytes),
        };
        let parts: Vec<_> = self.parts.into_iter().map(part).collect();
        let dismissed: Vec<_> = self.dismissed.into_iter().map(Value::String).collect();
        let sockets: Vec<_> = self.sockets.into_iter().map(SocketBrief::into_value).collect();
        Object::with_capacity(4)
            .with("parser", parser)
            .with("parts", parts)
            .with("dismissed", dismissed)
            .with("sockets", sockets)
            .into()
    }

    pub(super) fn from_value(value: &Value) -> Option<Self> {
        let parser = match value.get("parser")? {
            Value::Null => None,
            Value::String(name) if *name == "json" => Some(Parser::Json),
            Value::String(name) if *name == "msgpack" => Some(Parser::Msgpack),
            _ => return None,
        };
        let part = |part: &Value| match part {
            Value::String(text) => Some(Message::Text(text.clone())),
            Value::Binary(bytes) => Some(Message::Binary(bytes.clone())),
            _ => None,
        };
        Some(Self {
            parser,
            parts: list(value, "parts", part)?,
            dismissed: list(value, "dismissed", |nsp| nsp.as_text().cloned())?,
            sockets: list(value, "sockets", SocketBrief::from_value)?,
        })
    }
}

impl SocketBrief {
    fn into_value(self) -> Value {
        Object::with_capacity(5)
            .with("nsp", self.nsp)
            .with("id", self.id)
            .with("pid", self.pid)
            .with("rooms", names(&self.rooms))
            .with("data", self.data)
            .into()
    }

    fn from_value(value: &Value) -> Option<Self> {
        Some(Self {
            nsp: text(value, "nsp")?,
            id: text(value, "id")?,
            pid: optional_text(value, "pid")?,
            rooms: rooms(value)?,
            data: value.get("data")?.clone(),
        })
    }
}

impl ConnectionExport {
    pub(super) fn into_value(self) -> Value {
        let sockets: Vec<_> = self.sockets.into_iter().map(SocketExport::into_value).collect();
        Object::with_capacity(2)
            .with("close", self.close)
            .with("sockets", sockets)
            .into()
    }

    pub(super) fn from_value(value: &Value) -> Option<Self> {
        let Some(Value::Bool(close)) = value.get("close") else {
            return None;
        };
        Some(Self {
            close: *close,
            sockets: list(value, "sockets", SocketExport::from_value)?,
        })
    }
}

impl SocketExport {
    fn into_value(self) -> Value {
        Object::with_capacity(5)
            .with("nsp", self.nsp)
            .with("id", self.id)
            .with("rooms", names(&self.rooms))
            .with("offset", ByteString::from(self.position.offset))
            .with("nextAck", self.position.next_ack)
            .into()
    }

    fn from_value(value: &Value) -> Option<Self> {
        Some(Self {
            nsp: text(value, "nsp")?,
            id: text(value, "id")?,
            rooms: rooms(value)?,
            position: Position {
                offset: Offset::parse(&text(value, "offset")?)?,
                next_ack: value.get("nextAck")?.as_u64()?,
            },
        })
    }
}

fn names(rooms: &[Room]) -> Vec<Value> {
    let name = |room: &Room| Value::from(ByteString::from(room.as_str()));
    rooms.iter().map(name).collect()
}

fn rooms(value: &Value) -> Option<Vec<Room>> {
    list(value, "rooms", |name| name.as_text().cloned().map(Room::new))
}

fn text(value: &Value, key: &str) -> Option<ByteString> {
    value.get(key)?.as_text().cloned()
}

fn optional_text(value: &Value, key: &str) -> Option<Option<ByteString>> {
    match value.get(key)? {
        Value::Null => Some(None),
        value => value.as_text().cloned().map(Some),
    }
}

fn list<T>(value: &Value, key: &str, item: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let Value::Array(items) = value.get(key)? else {
        return None;
    };
    items.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use carillon_protocol::adapter::Epoch;
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = ByteString> {
        any::<String>().prop_map(ByteString::from)
    }

    fn some_rooms() -> impl Strategy<Value = Vec<Room>> {
        proptest::collection::vec(name().prop_map(Room::new), 0..4)
    }

    fn any_brief() -> impl Strategy<Value = ConnectionBrief> {
        let parser = proptest::option::of(prop_oneof![Just(Parser::Json), Just(Parser::Msgpack)]);
        let part = prop_oneof![
            name().prop_map(Message::Text),
            any::<Vec<u8>>().prop_map(|bytes| Message::Binary(bytes.into())),
        ];
        let socket = (name(), name(), proptest::option::of(name()), some_rooms(), name()).prop_map(
            |(nsp, id, pid, rooms, data)| SocketBrief {
                nsp,
                id,
                pid,
                rooms,
                data: data.into(),
            },
        );
        let list = || proptest::collection::vec(name(), 0..3);
        let parts = proptest::collection::vec(part, 0..3);
        let sockets = proptest::collection::vec(socket, 0..3);
        (parser, parts, list(), sockets).prop_map(|(parser, parts, dismissed, sockets)| ConnectionBrief {
            parser,
            parts,
            dismissed,
            sockets,
        })
    }

    fn any_export() -> impl Strategy<Value = ConnectionExport> {
        let offset = (any::<u64>(), 0_u64..1 << 53).prop_filter_map("no offset", |(bits, number)| {
            Offset::new(Epoch::of_bits(bits), number)
        });
        let socket = (name(), name(), some_rooms(), offset, any::<u64>()).prop_map(
            |(nsp, id, rooms, offset, next_ack)| SocketExport {
                nsp,
                id,
                rooms,
                position: Position { offset, next_ack },
            },
        );
        (any::<bool>(), proptest::collection::vec(socket, 0..3))
            .prop_map(|(close, sockets)| ConnectionExport { close, sockets })
    }

    fn over_the_wire(value: &Value) -> Value {
        Value::from_msgpack(&value.to_msgpack().into()).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(brief in any_brief(), export in any_export()) {
            let value = over_the_wire(&brief.clone().into_value());
            prop_assert_eq!(ConnectionBrief::from_value(&value), Some(brief));
            let value = over_the_wire(&export.clone().into_value());
            prop_assert_eq!(ConnectionExport::from_value(&value), Some(export));
        }

        #[test]
        fn what_is_none_is_refused(brief in any_brief(), export in any_export(), at: prop::sample::Index) {
            for (value, is_export) in [(brief.into_value(), false), (export.into_value(), true)] {
                let Value::Object(mut object) = value else { unreachable!() };
                let keys: Vec<_> = object.iter().map(|(key, _)| key.clone()).collect();
                let key = keys[at.index(keys.len())].clone();
                object.remove(&key);
                object.push(key, Value::Int(7));
                let value = Value::Object(object);
                let is_none = if is_export {
                    ConnectionExport::from_value(&value).is_none()
                } else {
                    ConnectionBrief::from_value(&value).is_none()
                };
                prop_assert!(is_none);
            }
        }
    }
}
