//! Names that clients give: ids of users, chats and messages, rooms, times, offsets; and the text functions below them.

use bytestring::ByteString;
use carillon_protocol::{
    adapter::{Offset, channel::Channels},
    chat::{self, Pair},
    id::{ObjectId, Room, UserId},
    limits, text,
    time::Timestamp,
};

/// Two texts, the first line and the rest, taken for names of every kind.
pub fn names(data: &[u8]) {
    let Ok(both) = std::str::from_utf8(data) else {
        return;
    };
    let (name, other) = both.split_once('\n').unwrap_or((both, ""));
    texts(name, other);
    users(name, other);
    chats(name);
    others(name);
}

/// Compared with UTF-16 itself.
fn texts(name: &str, other: &str) {
    let units = name.encode_utf16().count();
    assert_eq!(text::utf16_len(name), units);
    assert_eq!(
        text::cmp_utf16(name, other),
        name.encode_utf16().cmp(other.encode_utf16())
    );
    for most in [0, 1, units / 2, units, usize::MAX] {
        let prefix = text::prefix(name, most);
        assert!(name.starts_with(prefix) && text::utf16_len(prefix) <= most);
        // Not one more letter would fit.
        let next = name.chars().nth(prefix.chars().count());
        assert!(next.is_none_or(|next| text::utf16_len(prefix) + next.len_utf16() > most));
    }
    let trimmed = text::trim(name);
    assert_eq!(text::trim(trimmed), trimmed);
}

fn users(name: &str, other: &str) {
    let (Ok(one), Ok(two)) = (UserId::parse(name.to_owned()), UserId::parse(other.to_owned())) else {
        return;
    };
    assert!((1..=limits::MAX_USER_ID_UNITS).contains(&text::utf16_len(one.as_str())));
    let pair = Pair::new(one.clone(), two.clone());
    assert_eq!(pair, Pair::new(two.clone(), one.clone()));
    let id = pair.chatbox_id();
    assert!(chat::is_chatbox_id(&ByteString::from(id.clone())), "{id}");
    assert!(Pair::readings(&id).contains(&pair), "{id}");
    for user in [&one, &two] {
        let resolved = Pair::resolve(&id, user).expect("a participant's own chat");
        assert!(resolved.has(user) && resolved.chatbox_id() == id);
    }
    assert_eq!(Pair::of_room(&pair.room()), Some(pair));
}

fn chats(name: &str) {
    for pair in Pair::readings(name) {
        assert_eq!(pair.chatbox_id(), name);
        for user in [pair.first(), pair.second()] {
            assert!(Pair::resolve(name, user).is_some_and(|found| found.has(user)));
        }
    }
    let room = Room::new(name.to_owned());
    if let Some(pair) = Pair::of_room(&room) {
        assert_eq!(pair.room(), room);
    }
    let channels = Channels::new("socket.io", "/");
    let _ = channels.room_in(name);
    assert_eq!(
        channels.room_in(&channels.of_rooms(std::slice::from_ref(&room))),
        Some(name)
    );
}

fn others(name: &str) {
    if let Some(id) = ObjectId::parse(name) {
        assert_eq!(ObjectId::parse(&id.to_string()), Some(id));
    }
    if let Some(offset) = Offset::parse(name) {
        assert_eq!(offset.to_string(), name);
    }
    if let Some(time) = Timestamp::parse(name) {
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time), "{name}");
    }
}
