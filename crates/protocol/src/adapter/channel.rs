//! The names of the Redis channels of one namespace. Both dialects name them alike.

use bytestring::ByteString;

use crate::id::Room;

/// The default of Node's option `key` (`channelPrefix` of the sharded adapter): what every channel's name starts with.
pub const DEFAULT_PREFIX: &str = "socket.io";

/// The channels of one namespace.
///
/// ```
/// use carillon_protocol::{adapter::channel::Channels, id::Room};
///
/// let channels = Channels::new("socket.io", "/chat");
/// assert_eq!(channels.base(), "socket.io#/chat#");
/// assert_eq!(channels.room(&Room::new("a#b")), "socket.io#/chat#a#b#");
/// assert_eq!(channels.request(), "socket.io-request#/chat#");
/// assert_eq!(channels.response_to("lKQJvu"), "socket.io-response#/chat#lKQJvu#");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    base: ByteString,
    request: ByteString,
    response: ByteString,
}

impl Channels {
    /// The channels of `nsp` (with its slash) under `prefix`.
    #[must_use]
    pub fn new(prefix: &str, nsp: &str) -> Self {
        Self {
            base: format!("{prefix}#{nsp}#").into(),
            request: format!("{prefix}-request#{nsp}#").into(),
            response: format!("{prefix}-response#{nsp}#").into(),
        }
    }

    /// Broadcasts to everybody or to several rooms. In the sharded dialect requests and the rest too.
    #[must_use]
    pub const fn base(&self) -> &ByteString {
        &self.base
    }

    /// Broadcasts to one room.
    #[must_use]
    pub fn room(&self, room: &Room) -> ByteString {
        self.below_base(room.as_str())
    }

    /// Where the classic adapter publishes a broadcast to `rooms`: a room's own channel where there is exactly one.
    #[must_use]
    pub fn of_rooms(&self, rooms: &[Room]) -> ByteString {
        sole_room(rooms).map_or_else(|| self.base.clone(), |room| self.room(room))
    }

    /// Where the sharded adapter in its mode `dynamic` publishes a broadcast. Rooms with a name of twenty characters have
    /// no channel: Node takes them for socket ids.
    #[must_use]
    pub fn of_rooms_sharded(&self, rooms: &[Room]) -> ByteString {
        sole_room(rooms)
            .filter(|room| has_sharded_channel(room))
            .map_or_else(|| self.base.clone(), |room| self.room(room))
    }

    /// The sharded adapter's channel of one node: answers to its requests.
    #[must_use]
    pub fn node(&self, uid: &str) -> ByteString {
        self.below_base(uid)
    }

    /// A pattern for PSUBSCRIBE: the channels of all rooms whose names start with `start`.
    #[must_use]
    pub fn rooms_starting_with(&self, start: &str) -> ByteString {
        format!("{}*", escape_glob(&format!("{}{start}", self.base))).into()
    }

    /// Requests of the classic adapter. Node counts its servers by the subscribers of it: one per node, never by pattern.
    #[must_use]
    pub const fn request(&self) -> &ByteString {
        &self.request
    }

    /// Answers of the classic adapter, read by every node.
    #[must_use]
    pub const fn response(&self) -> &ByteString {
        &self.response
    }

    /// Answers of the classic adapter to one node. Node answers [`super::cluster::Operation::ServerSideEmit`] on
    /// [`Channels::response`] all the same, and with its default settings everything else too.
    #[must_use]
    pub fn response_to(&self, uid: &str) -> ByteString {
        format!("{}{uid}#", self.response).into()
    }

    /// The room in the name of a broadcast channel, empty for [`Channels::base`]; `None` for any other channel.
    #[must_use]
    pub fn room_in<'a>(&self, channel: &'a str) -> Option<&'a str> {
        let below = channel.strip_prefix(&*self.base)?;
        if below.is_empty() {
            return Some(below);
        }
        below.strip_suffix('#')
    }

    fn below_base(&self, name: &str) -> ByteString {
        format!("{}{name}#", self.base).into()
    }
}

/// Whether the sharded adapter in its mode `dynamic` has a channel for `room`.
#[must_use]
pub fn has_sharded_channel(room: &Room) -> bool {
    crate::text::utf16_len(room.as_str()) != 20
}

/// The room that `rooms` names, where it names one alone, however often: such a broadcast has that room's channel.
#[must_use]
pub fn sole_room(rooms: &[Room]) -> Option<&Room> {
    let first = rooms.first()?;
    rooms.iter().all(|room| room == first).then_some(first)
}

/// `text` with a backslash before what a Redis pattern would not take as itself.
fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(names: &[&'static str]) -> Vec<Room> {
        names.iter().map(|name| Room::new(*name)).collect()
    }

    #[test]
    fn exactly_one_room_has_a_channel_of_its_own() {
        let channels = Channels::new(DEFAULT_PREFIX, "/");
        for (names, channel) in [
            (&[][..], "socket.io#/#"),
            (&["room1"], "socket.io#/#room1#"),
            (&["room1", "room1"], "socket.io#/#room1#"),
            (&["room1", "room2"], "socket.io#/#"),
        ] {
            assert_eq!(channels.of_rooms(&rooms(names)), channel);
            assert_eq!(channels.of_rooms_sharded(&rooms(names)), channel);
        }
    }

    #[test]
    fn a_room_as_long_as_a_socket_id_has_no_sharded_channel() {
        let channels = Channels::new(DEFAULT_PREFIX, "/");
        let room = rooms(&["abcdefghijklmnopqr😀"]);
        assert_eq!(channels.of_rooms_sharded(&room), "socket.io#/#");
        assert_eq!(channels.of_rooms(&room), "socket.io#/#abcdefghijklmnopqr😀#");
    }

    #[test]
    fn a_channel_names_its_room() {
        let channels = Channels::new("key", "/");
        for (channel, room) in [
            ("key#/#", Some("")),
            ("key#/#room1#", Some("room1")),
            ("key#/#a#b#", Some("a#b")),
            ("key#/##", Some("")),
            ("key#/#room1", None),
            ("key#/chat#room1#", None),
            ("key-request#/#", None),
            ("", None),
        ] {
            assert_eq!(channels.room_in(channel), room, "{channel}");
        }
    }

    #[test]
    fn a_pattern_takes_its_text_literally() {
        let channels = Channels::new("s*", "/");
        assert_eq!(channels.rooms_starting_with("a-[b]?\\"), r"s\*#/#a-\[b]\?\\*");
    }
}
