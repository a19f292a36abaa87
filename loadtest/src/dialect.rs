//! What is said to a server of one make or another for the same thing.

use clap::ValueEnum;

/// Whose protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dialect {
    /// Socket.IO with the events of the client contract: Carillon, socketioxide, Node.
    Socketio,
    /// Centrifugo's JSON protocol: a chat is a channel, typing is a publication.
    Centrifugo,
}

impl Dialect {
    /// Where WebSockets are opened.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Socketio => "/socket.io/?EIO=4&transport=websocket",
            Self::Centrifugo => "/connection/websocket",
        }
    }

    /// What parts the packets of a frame.
    pub(crate) const fn separator(self) -> Option<u8> {
        match self {
            Self::Socketio => None,
            Self::Centrifugo => Some(b'\n'),
        }
    }

    /// How a server's first packet begins, where it speaks first.
    pub(crate) const fn greeting(self) -> Option<&'static str> {
        match self {
            Self::Socketio => Some("0"),
            Self::Centrifugo => None,
        }
    }

    /// The packet that connects, and how its answer begins.
    pub(crate) fn connect(self, token: &str) -> (String, &'static str) {
        match self {
            Self::Socketio => (format!("40{{\"token\":\"{token}\"}}"), "40"),
            Self::Centrifugo => (
                format!("{{\"id\":1,\"connect\":{{\"token\":\"{token}\"}}}}"),
                "{\"id\":1,\"connect\"",
            ),
        }
    }

    /// The packet that joins a chat, and how its answer begins.
    pub(crate) fn join(self, chatbox_id: &str) -> (String, &'static str) {
        match self {
            Self::Socketio => (
                format!("42[\"joinChat\",{{\"chatboxId\":\"{chatbox_id}\"}}]"),
                "42[\"chatJoined\"",
            ),
            Self::Centrifugo => (
                format!("{{\"id\":2,\"subscribe\":{{\"channel\":\"chat_{chatbox_id}\"}}}}"),
                "{\"id\":2,\"subscribe\"",
            ),
        }
    }

    /// The packet that tells a chat whether `user` types.
    pub(crate) fn typing(self, user: &str, chatbox_id: &str, is_typing: bool) -> String {
        match self {
            Self::Socketio => {
                format!("42[\"typing\",{{\"chatboxId\":\"{chatbox_id}\",\"isTyping\":{is_typing}}}]")
            }
            Self::Centrifugo => format!(
                "{{\"id\":3,\"publish\":{{\"channel\":\"chat_{chatbox_id}\",\"data\":{{\"userId\":\"{user}\",\
                 \"isTyping\":{is_typing},\"timestamp\":\"2026-01-01T00:00:00.000Z\"}}}}}}"
            ),
        }
    }

    /// Whether a packet shows that somebody types, and what it says.
    pub(crate) fn typing_shown(self, packet: &[u8]) -> Option<bool> {
        let start: &[u8] = match self {
            Self::Socketio => b"42[\"userTyping\"",
            Self::Centrifugo => b"{\"push\"",
        };
        if !packet.starts_with(start) {
            return None;
        }
        after(packet, b"\"isTyping\":").map(|value| value.starts_with(b"true"))
    }

    /// What a ping is to be answered with; none for any other packet.
    pub(crate) fn pong(self, packet: &[u8]) -> Option<&'static str> {
        match (self, packet) {
            (Self::Socketio, b"2") => Some("3"),
            (Self::Centrifugo, b"{}") => Some("{}"),
            _ => None,
        }
    }

    /// Whether a packet refuses what was asked.
    pub(crate) fn is_refusal(self, packet: &[u8]) -> bool {
        match self {
            Self::Socketio => packet.starts_with(b"44") || packet.starts_with(b"42[\"error\""),
            Self::Centrifugo => after(packet, b",\"error\":").is_some(),
        }
    }
}

/// What follows `key` in a packet.
pub(crate) fn after<'a>(packet: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = packet.windows(key.len()).position(|bytes| bytes == key)?;
    packet.get(at + key.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_is_told_from_everything_else() {
        let shown = |text: &str| Dialect::Socketio.typing_shown(text.as_bytes());
        assert_eq!(
            shown(r#"42["userTyping",{"userId":"a","isTyping":true}]"#),
            Some(true)
        );
        assert_eq!(
            shown(r#"42["userTyping",{"userId":"a","isTyping":false}]"#),
            Some(false)
        );
        assert_eq!(shown(r#"42["userStatusChange",{"isTyping":true}]"#), None);

        let shown = |text: &str| Dialect::Centrifugo.typing_shown(text.as_bytes());
        let push = r#"{"push":{"channel":"chat_a_b","pub":{"data":{"userId":"a","isTyping":false}}}}"#;
        assert_eq!(shown(push), Some(false));
        assert_eq!(shown(r#"{"id":3,"publish":{}}"#), None);
    }

    #[test]
    fn pings_are_answered_and_nothing_else_is() {
        assert_eq!(Dialect::Socketio.pong(b"2"), Some("3"));
        assert_eq!(Dialect::Socketio.pong(b"2probe"), None);
        assert_eq!(Dialect::Centrifugo.pong(b"{}"), Some("{}"));
    }
}
