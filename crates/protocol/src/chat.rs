//! A chat is its pair of participants; its `chatboxId` is only a name for it, and two chats may share one.

use bytestring::ByteString;

use crate::{
    id::{Room, UserId},
    limits, text,
    time::Timestamp,
};

/// The two participants of a chat, sorted by UTF-16 code units. Both may be the same user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pair {
    first: UserId,
    second: UserId,
}

impl Pair {
    /// The chat of two users, in either order.
    #[must_use]
    pub fn new(one: UserId, other: UserId) -> Self {
        if text::cmp_utf16(one.as_str(), other.as_str()).is_le() {
            Self {
                first: one,
                second: other,
            }
        } else {
            Self {
                first: other,
                second: one,
            }
        }
    }

    /// The chat that `chatbox_id` names for `user`: the pair of it and the other half, if that pair has this name.
    ///
    /// `a_b_c` is (a, `b_c`) for `a` and (`a_b`, c) for `c`; for anyone else it is none.
    #[must_use]
    pub fn resolve(chatbox_id: &str, user: &UserId) -> Option<Self> {
        let me = user.as_str();
        let after = chatbox_id
            .strip_prefix(me)
            .and_then(|rest| rest.strip_prefix('_'));
        let before = chatbox_id
            .strip_suffix(me)
            .and_then(|rest| rest.strip_suffix('_'));
        [after, before].into_iter().flatten().find_map(|other| {
            let pair = Self::new(user.clone(), UserId::parse(other.to_owned()).ok()?);
            (pair.chatbox_id() == chatbox_id).then_some(pair)
        })
    }

    /// Every pair that `chatbox_id` may name, for callers that are neither participant (an admin).
    #[must_use]
    pub fn readings(chatbox_id: &str) -> Vec<Self> {
        if text::utf16_len(chatbox_id) > 2 * limits::MAX_USER_ID_UNITS + 1 {
            return Vec::new();
        }
        chatbox_id
            .match_indices('_')
            .filter_map(|(at, _)| {
                let (first, rest) = chatbox_id.split_at(at);
                let second = rest.strip_prefix('_')?;
                let sorted = text::cmp_utf16(first, second).is_le();
                let (first, second) = (
                    UserId::parse(first.to_owned()).ok()?,
                    UserId::parse(second.to_owned()).ok()?,
                );
                sorted.then_some(Self { first, second })
            })
            .collect()
    }

    /// The chat whose room this is; `None` for any other room.
    #[must_use]
    pub fn of_room(room: &Room) -> Option<Self> {
        let name = room.as_str().strip_prefix("chat_")?;
        let plain = || name.split_once('_');
        let with_length = || {
            let (chatbox_id, length) = name.rsplit_once('~')?;
            let first = text::prefix(chatbox_id, length.parse().ok()?);
            Some((first, chatbox_id.strip_prefix(first)?.strip_prefix('_')?))
        };
        // Whatever is not written exactly as the pair's room is another one's, or nobody's.
        let pair = |(one, other): (&str, &str)| {
            let user = |id: &str| UserId::parse(id.to_owned()).ok();
            Some(Self::new(user(one)?, user(other)?)).filter(|pair| pair.room() == *room)
        };
        plain().and_then(pair).or_else(|| with_length().and_then(pair))
    }

    /// The participant that sorts first.
    #[must_use]
    pub const fn first(&self) -> &UserId {
        &self.first
    }

    /// The participant that sorts second.
    #[must_use]
    pub const fn second(&self) -> &UserId {
        &self.second
    }

    /// Whether `user` takes part.
    #[must_use]
    pub fn has(&self, user: &UserId) -> bool {
        self.first == *user || self.second == *user
    }

    /// The other participant; `user` itself in a chat with oneself.
    #[must_use]
    pub fn other(&self, user: &UserId) -> &UserId {
        if self.first == *user {
            &self.second
        } else {
            &self.first
        }
    }

    /// Both ids, sorted, joined by `_`.
    #[must_use]
    pub fn chatbox_id(&self) -> String {
        format!("{}_{}", self.first, self.second)
    }

    /// The storage key: length of the first id in code units, `:`, chatboxId. No two pairs share it.
    #[must_use]
    pub fn key(&self) -> String {
        format!(
            "{}:{}_{}",
            text::utf16_len(self.first.as_str()),
            self.first,
            self.second
        )
    }

    /// The Socket.IO room: `chat_` + chatboxId, and `~` + the first id's length in code units where an id holds `_`.
    #[must_use]
    pub fn room(&self) -> Room {
        if self.first.as_str().contains('_') || self.second.as_str().contains('_') {
            let length = text::utf16_len(self.first.as_str());
            Room::new(format!("chat_{}_{}~{length}", self.first, self.second))
        } else {
            Room::new(format!("chat_{}_{}", self.first, self.second))
        }
    }
}

/// One line of a user's chat list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatSummary {
    /// The chat.
    pub pair: Pair,
    /// Its newest message.
    pub last_message: LastMessage,
    /// How many messages in it wait for the user who asks.
    pub unread: u64,
}

/// The newest message of a chat, as the chat list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastMessage {
    /// The text.
    pub text: ByteString,
    /// When it was accepted.
    pub at: Timestamp,
    /// The sender's display name.
    pub sender_name: ByteString,
}

/// The chat part of a `chatboxId` text that a client sent: any text of up to 257 code units without control characters.
#[must_use]
pub fn is_chatbox_id(id: &ByteString) -> bool {
    !id.is_empty()
        && text::utf16_len(id) <= 2 * limits::MAX_USER_ID_UNITS + 1
        && !id.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &'static str) -> UserId {
        UserId::parse(id).unwrap()
    }

    #[test]
    fn ids_sort_by_code_units() {
        assert_eq!(Pair::new(user("9"), user("10")).chatbox_id(), "10_9");
        assert_eq!(Pair::new(user("a"), user("Z")).chatbox_id(), "Z_a");
    }

    #[test]
    fn the_pair_decides_not_the_text() {
        let left = Pair::new(user("a"), user("b_c"));
        let right = Pair::new(user("a_b"), user("c"));

        assert_eq!(left.chatbox_id(), right.chatbox_id());
        assert_ne!(left.key(), right.key());
        assert_eq!(
            (left.room().as_str(), right.room().as_str()),
            ("chat_a_b_c~1", "chat_a_b_c~3")
        );
        assert_eq!(Pair::resolve("a_b_c", &user("a")), Some(left.clone()));
        assert_eq!(Pair::resolve("a_b_c", &user("b_c")), Some(left.clone()));
        assert_eq!(Pair::resolve("a_b_c", &user("c")), Some(right.clone()));
        assert_eq!(Pair::resolve("a_b_c", &user("b")), None);
        assert_eq!(Pair::readings("a_b_c"), vec![left, right]);
    }

    #[test]
    fn a_room_names_its_chat_and_no_other_room_does() {
        for (one, other) in [
            ("ann", "bob"),
            ("ann", "ann"),
            ("a", "b_c"),
            ("a_b", "c"),
            ("a", "b~1"),
            ("a_~1", "b~1"),
            ("😀", "_"),
            ("~1", "_~"),
        ] {
            let pair = Pair::new(user(one), user(other));
            assert_eq!(Pair::of_room(&pair.room()), Some(pair));
        }
        for name in [
            "",
            "chat_",
            "chat_a",
            "chat_a_",
            "chat_b_a",
            "chat_a_b_c",
            "chat_a_b_c~2",
            "chat_a_b_c~01",
            "chat_a_b_c~",
            "chat_😀_b_~1",
            "user_a_b",
            "CHAT_a_b",
        ] {
            assert_eq!(Pair::of_room(&Room::new(name)), None, "{name}");
        }
    }

    #[test]
    fn only_the_sorted_name_is_a_name() {
        assert_eq!(Pair::resolve("b_a", &user("a")), None);
        assert_eq!(Pair::resolve("a_", &user("a")), None);
        assert_eq!(
            Pair::resolve("a_a", &user("a")).map(|pair| pair.other(&user("a")).clone()),
            Some(user("a"))
        );
        assert!(Pair::readings("b_a").is_empty());
    }
}
