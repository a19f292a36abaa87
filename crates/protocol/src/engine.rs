//! Engine.IO v4: packets as they stand in one WebSocket frame, and the handshake.
//! Polling payloads are in [`payload`].

pub mod payload;

use std::fmt::Write as _;

use bytes::Bytes;
use bytestring::ByteString;

use crate::value::json;

/// What an Engine.IO message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text, without the packet type's digit.
    Text(ByteString),
    /// Bytes.
    Binary(Bytes),
}

/// One packet in wire form: what goes into one WebSocket frame, or one segment of a polling payload.
/// Clones share their bytes, so a broadcast is encoded once for all who get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A packet with its digit: `4hello`, `2`, `6`.
    Text(ByteString),
    /// A binary message: no digit on WebSocket, `b` + base64 in a payload.
    Binary(Bytes),
}

impl Frame {
    /// `2`
    pub const PING: Self = Self::Text(ByteString::from_static("2"));
    /// `3probe`
    pub const PONG_PROBE: Self = Self::Text(ByteString::from_static("3probe"));
    /// `6`
    pub const NOOP: Self = Self::Text(ByteString::from_static("6"));
    /// `1`
    pub const CLOSE: Self = Self::Text(ByteString::from_static("1"));

    /// Length in bytes, as it counts for a queue.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A packet from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// `0`
    Open,
    /// `1`
    Close,
    /// `2`, with what follows (`2probe`).
    Ping(ByteString),
    /// `3`, with what follows.
    Pong(ByteString),
    /// `4…`, or a binary frame.
    Message(Message),
    /// `5`
    Upgrade,
    /// `6`
    Noop,
}

/// A packet that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing where a packet belongs.
    #[error("empty packet")]
    Empty,
    /// A first character that is no packet type.
    #[error("unknown packet type")]
    UnknownType,
    /// `b` followed by what is no base64.
    #[error("invalid base64")]
    Base64,
    /// More packets in one payload than allowed.
    #[error("too many packets in one payload")]
    TooManyPackets,
}

/// Reads one packet of a text frame, or one text segment of a payload (not `b…`).
/// What follows the digit shares the bytes of `text`; open, close, upgrade and noop ignore it, as Node does.
///
/// ```
/// use carillon_protocol::engine::{Message, Packet, decode_text};
///
/// assert_eq!(decode_text(&"2probe".into()), Ok(Packet::Ping("probe".into())));
/// assert_eq!(decode_text(&"4hello".into()), Ok(Packet::Message(Message::Text("hello".into()))));
/// ```
///
/// # Errors
/// Where it is empty or starts with no packet type; `b` is one in payloads only.
pub fn decode_text(text: &ByteString) -> Result<Packet, DecodeError> {
    let mut chars = text.chars();
    let kind = chars.next().ok_or(DecodeError::Empty)?;
    let data = text.slice_ref(chars.as_str());
    match kind {
        '0' => Ok(Packet::Open),
        '1' => Ok(Packet::Close),
        '2' => Ok(Packet::Ping(data)),
        '3' => Ok(Packet::Pong(data)),
        '4' => Ok(Packet::Message(Message::Text(data))),
        '5' => Ok(Packet::Upgrade),
        '6' => Ok(Packet::Noop),
        _ => Err(DecodeError::UnknownType),
    }
}

/// What the server tells in its open packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake<'a> {
    /// The session id.
    pub sid: &'a str,
    /// Whether `websocket` is offered as an upgrade.
    pub upgrade: bool,
    /// Time between pings, in milliseconds.
    pub ping_interval_ms: u64,
    /// How long a pong may take, in milliseconds.
    pub ping_timeout_ms: u64,
    /// Largest message the server takes, in bytes.
    pub max_payload: usize,
}

impl Handshake<'_> {
    /// `0{"sid":"…","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`, exactly these keys.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        let mut out = String::with_capacity(128);
        out.push_str(r#"0{"sid":"#);
        json::write_string(&mut out, self.sid);
        let upgrades = if self.upgrade { r#""websocket""# } else { "" };
        let Self {
            ping_interval_ms,
            ping_timeout_ms,
            max_payload,
            ..
        } = self;
        // Writing into a String cannot fail.
        let _ = write!(
            out,
            r#","upgrades":[{upgrades}],"pingInterval":{ping_interval_ms},"pingTimeout":{ping_timeout_ms},"maxPayload":{max_payload}}}"#
        );
        Frame::Text(out.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> ByteString {
        ByteString::from_static(text)
    }

    #[test]
    fn the_digit_tells_the_packet() {
        let vectors = [
            ("0", Packet::Open),
            ("1", Packet::Close),
            ("1anything", Packet::Close),
            ("2", Packet::Ping(text(""))),
            ("2probe", Packet::Ping(text("probe"))),
            ("3", Packet::Pong(text(""))),
            ("3probe", Packet::Pong(text("probe"))),
            ("4", Packet::Message(Message::Text(text("")))),
            ("4€", Packet::Message(Message::Text(text("€")))),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
        ];
        for (frame, packet) in vectors {
            assert_eq!(decode_text(&text(frame)), Ok(packet), "{frame}");
        }
    }

    #[test]
    fn refuses_what_is_no_packet() {
        assert_eq!(decode_text(&text("")), Err(DecodeError::Empty));
        for frame in ["7", "abc", "bAQID", "€", " 4"] {
            assert_eq!(
                decode_text(&text(frame)),
                Err(DecodeError::UnknownType),
                "{frame}"
            );
        }
    }

    #[test]
    fn the_handshake_has_exactly_five_keys_in_order() {
        let mut handshake = Handshake {
            sid: "lv_VI97HAXpY6yYWAAAC",
            upgrade: true,
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            max_payload: 1_000_000,
        };
        let polling = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(handshake.to_frame(), Frame::Text(text(polling)));

        handshake.upgrade = false;
        let websocket = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(handshake.to_frame(), Frame::Text(text(websocket)));
    }
}
