//! Socket.IO v5 packets, inside Engine.IO messages. Two parsers write them: [`json`] (the default) and [`msgpack`].

pub mod json;
pub mod msgpack;

use bytestring::ByteString;
use smallvec::SmallVec;

use crate::{adapter::Offset, engine, value::Value};

/// A Socket.IO packet.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// The namespace, with its slash: `/`, `/admin`.
    pub nsp: ByteString,
    /// What it says.
    pub body: Body,
}

/// What a packet says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A client joins the namespace, with its `auth` object; a server confirms with `{sid, pid?}`. `Null` where absent.
    Connect(Value),
    /// Either side leaves the namespace.
    Disconnect,
    /// An event: name and arguments, and the ack id where an answer is wanted.
    Event {
        /// `args[0]` is the name, a text or a number. Empty only for a bare `2` without payload.
        args: Vec<Value>,
        /// Answer with this id.
        id: Option<u64>,
    },
    /// The answer to an event.
    Ack {
        /// The answer's arguments.
        args: Vec<Value>,
        /// The event's ack id.
        id: u64,
    },
    /// A server refuses a join: `{message, data?}`.
    ConnectError(Value),
}

/// The frames of one packet: one, and one more per attachment in the default parser.
pub type Frames = SmallVec<[engine::Frame; 1]>;

/// Which parser a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parser {
    /// The default: JSON with attachments.
    Json,
    /// `socket.io-msgpack-parser`.
    Msgpack,
}

impl Parser {
    /// Writes a packet.
    #[must_use]
    pub fn encode(self, packet: &Packet) -> Frames {
        match self {
            Self::Json => json::encode(packet),
            Self::Msgpack => msgpack::encode(packet),
        }
    }

    /// Writes an event from borrowed parts, with `offset` as one more argument where the event can be recovered.
    #[must_use]
    pub fn encode_event(self, nsp: &str, args: &[Value], offset: Option<Offset>, id: Option<u64>) -> Frames {
        match self {
            Self::Json => json::encode_event(nsp, args, offset, id),
            Self::Msgpack => msgpack::encode_event(nsp, args, offset, id),
        }
    }
}

/// A message that is no Socket.IO packet: the connection is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub &'static str);

/// Reads the packets of one connection. The first message tells the parser: text or binary.
#[derive(Debug, Default)]
pub struct Decoder {
    state: Option<DecoderState>,
}

#[derive(Debug)]
enum DecoderState {
    Json(json::Decoder),
    Msgpack,
}

impl Decoder {
    /// Takes the next message; answers with a packet once it is whole.
    ///
    /// # Errors
    /// Where the message is no packet, or of the other parser. The decoder is of no use after it.
    pub fn push(&mut self, message: engine::Message) -> Result<Option<Packet>, DecodeError> {
        let state = self.state.get_or_insert_with(|| match message {
            engine::Message::Text(_) => DecoderState::Json(json::Decoder::default()),
            engine::Message::Binary(_) => DecoderState::Msgpack,
        });
        match state {
            DecoderState::Json(decoder) => decoder.push(message),
            DecoderState::Msgpack => msgpack::decode(&message).map(Some),
        }
    }

    /// Which parser the connection speaks, once a message has come.
    #[must_use]
    pub const fn parser(&self) -> Option<Parser> {
        match self.state {
            Some(DecoderState::Json(_)) => Some(Parser::Json),
            Some(DecoderState::Msgpack) => Some(Parser::Msgpack),
            None => None,
        }
    }
}

/// Event names that neither side may send (socket.io-parser 4): the default parser refuses them.
pub const RESERVED_EVENTS: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Whether `name` is an event name that neither side may send.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED_EVENTS.contains(&name)
}

impl Body {
    /// From what both parsers read: the type's number (0 to 4), the payload and the ack id.
    fn new(kind: u64, payload: Option<Value>, id: Option<u64>) -> Result<Self, DecodeError> {
        match (kind, payload) {
            (0, None) => Ok(Self::Connect(Value::Null)),
            (0, Some(auth @ Value::Object(_))) => Ok(Self::Connect(auth)),
            (1, None) => Ok(Self::Disconnect),
            (2, None) => Ok(Self::Event { args: Vec::new(), id }),
            (2, Some(Value::Array(args))) if is_event(&args) => Ok(Self::Event { args, id }),
            (3, None) => Self::ack(Vec::new(), id),
            (3, Some(Value::Array(args))) => Self::ack(args, id),
            (4, None) => Ok(Self::ConnectError(Value::Null)),
            (4, Some(error @ (Value::Object(_) | Value::String(_)))) => Ok(Self::ConnectError(error)),
            (0..=4, Some(_)) => Err(DecodeError("invalid payload")),
            _ => Err(DecodeError("unknown packet type")),
        }
    }

    /// Node reads an ack without id and ignores it; here it is no packet.
    fn ack(args: Vec<Value>, id: Option<u64>) -> Result<Self, DecodeError> {
        let id = id.ok_or(DecodeError("ack without id"))?;
        Ok(Self::Ack { args, id })
    }
}

/// Whether `args` start with an event's name: a number, or text that is not reserved.
#[must_use]
pub fn is_event(args: &[Value]) -> bool {
    match args.first() {
        Some(Value::String(name)) => !is_reserved(name),
        Some(Value::Int(_) | Value::UInt(_) | Value::Float(_)) => true,
        _ => false,
    }
}
