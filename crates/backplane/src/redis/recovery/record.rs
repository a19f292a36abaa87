//! A session's record as it is in Redis, under its pid: the tag of its node, its version there, and what recovers it.

use bytestring::ByteString;
use carillon_protocol::id::{Room, UserId};
use serde::{Deserialize, Serialize};

use crate::{NodeTag, SessionRecord, redis::seal::TAG_LENGTH};

/// Digits of a version: more than a node ever writes, and as many as the scripts compare.
const VERSION_LENGTH: usize = 16;

/// What comes after tag and version.
#[derive(Serialize, Deserialize)]
struct Stored {
    socket_id: ByteString,
    user: ByteString,
    rooms: Vec<ByteString>,
}

pub(in crate::redis) fn encode(record: &SessionRecord, version: u64) -> Vec<u8> {
    let stored = Stored {
        socket_id: record.socket_id.clone(),
        user: record.user.text().clone(),
        rooms: record.rooms.iter().map(|room| room.as_str().into()).collect(),
    };
    let mut bytes = encode_end(&record.node, version);
    // Text alone: it can always be written. A record that could not would not be read.
    bytes.extend(rmp_serde::to_vec(&stored).unwrap_or_default());
    bytes
}

/// A session of `node` that has ended.
pub(super) fn encode_end(node: &NodeTag, version: u64) -> Vec<u8> {
    format!("{node}{version:0VERSION_LENGTH$}").into_bytes()
}

/// `None` also for a session that has ended.
pub(in crate::redis) fn decode(pid: &str, bytes: &[u8]) -> Option<SessionRecord> {
    let (tag, versioned) = bytes.split_at_checked(TAG_LENGTH)?;
    let (_, stored) = versioned.split_at_checked(VERSION_LENGTH)?;
    let stored: Stored = rmp_serde::from_slice(stored).ok()?;
    Some(SessionRecord {
        pid: pid.into(),
        socket_id: stored.socket_id,
        user: UserId::parse(stored.user).ok()?,
        rooms: stored.rooms.into_iter().map(Room::new).collect(),
        node: str::from_utf8(tag).ok()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = SessionRecord {
            pid: "p".into(),
            socket_id: "s".into(),
            user: UserId::parse("zoë").unwrap(),
            rooms: vec![Room::new("user_zoë"), Room::new("")],
            node: "aaaaaaaa".into(),
        };
        assert!(encode(&record, 7).starts_with(b"aaaaaaaa0000000000000007"));
        assert_eq!(decode("p", &encode(&record, 7)), Some(record));
        for other in [
            &b""[..],
            b"{}",
            b"aaaaaaaa",
            &encode_end(&"aaaaaaaa".into(), 8),
            b"aaaaaaaa0000000000000007\x93\xa1s\xa0\x90",
        ] {
            assert_eq!(decode("p", other), None);
        }
    }
}
