//! The sessions whose connections this node has, and how their records are written.

use std::collections::HashMap;

use bytestring::ByteString;
use carillon_protocol::id::{Room, UserId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, RwLock};

use crate::{SessionRecord, redis::seal::TAG_LENGTH};

/// Most sessions that have ended while Redis was away.
const MAX_ENDED: usize = 10_000;

#[derive(Debug, Default)]
pub(in crate::redis) struct Sessions {
    pub(super) own: Mutex<HashMap<ByteString, Own>>,
    pub(super) ended: Mutex<Vec<ByteString>>,
    pub(super) news: Notify,
    /// What happens to one session shares it; prolonging many records excludes that.
    pub(super) order: RwLock<()>,
}

/// A session whose connection this node has.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) record: SessionRecord,
    pub(super) state: State,
}

/// How a record in Redis compares to its session here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The session came to this node: whatever is there gives way.
    New,
    /// The session has changed.
    Changed,
    /// It was written, and nothing has happened since.
    Written,
    /// The same, but Redis may have lost it.
    Doubtful,
}

impl State {
    /// Which record gives way to the session's, as the script `keep` takes it. `None`: it need not be written.
    pub(super) const fn precedence(self) -> Option<&'static str> {
        match self {
            Self::New => Some("any"),
            Self::Changed => Some("none"),
            Self::Doubtful => Some("absent"),
            Self::Written => None,
        }
    }
}

impl Sessions {
    pub(super) fn insert(&self, record: SessionRecord) -> Own {
        let mut all = self.own.lock();
        let state = match all.get(&record.pid) {
            None => State::New,
            Some(known) if known.state == State::New => State::New,
            Some(_) => State::Changed,
        };
        let own = Own { record, state };
        all.insert(own.record.pid.clone(), own.clone());
        own
    }

    pub(super) fn remove(&self, pid: &str) -> Option<Own> {
        self.own.lock().remove(pid)
    }

    /// The record was written, or (`is_own`) turned out to be another node's by now.
    pub(super) fn settle(&self, written: &SessionRecord, is_own: bool) {
        let mut all = self.own.lock();
        match all.get_mut(&written.pid) {
            Some(_) if !is_own => {
                all.remove(&written.pid);
            }
            Some(own) if own.record == *written => own.state = State::Written,
            // It has changed meanwhile.
            Some(own) => own.state = State::Changed,
            None => (),
        }
    }

    pub(super) fn ended(&self, pid: &str) {
        let mut ended = self.ended.lock();
        if ended.len() < MAX_ENDED {
            ended.push(ByteString::from(pid));
        }
    }

    /// Redis is back; it may have lost what it knew (`has_lost`).
    pub(in crate::redis) fn write_again(&self, has_lost: bool) {
        if has_lost {
            let mut own = self.own.lock();
            let written = own.values_mut().filter(|own| own.state == State::Written);
            written.for_each(|own| own.state = State::Doubtful);
        }
        self.news.notify_one();
    }
}

/// A record as it is in Redis, under its pid and after its node's tag.
#[derive(Serialize, Deserialize)]
struct Stored {
    socket_id: ByteString,
    user: ByteString,
    rooms: Vec<ByteString>,
}

pub(super) fn encode(record: &SessionRecord) -> Vec<u8> {
    let stored = Stored {
        socket_id: record.socket_id.clone(),
        user: record.user.text().clone(),
        rooms: record.rooms.iter().map(|room| room.as_str().into()).collect(),
    };
    let mut bytes = record.node.as_bytes().to_vec();
    // Text alone: it can always be written. A record that could not would not be read.
    bytes.extend(rmp_serde::to_vec(&stored).unwrap_or_default());
    bytes
}

pub(super) fn decode(pid: &str, bytes: &[u8]) -> Option<SessionRecord> {
    let (tag, stored) = bytes.split_at_checked(TAG_LENGTH)?;
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
        assert_eq!(decode("p", &encode(&record)), Some(record));
        for other in [&b""[..], b"{}", b"aaaaaaaa", b"aaaaaaaa\x93\xa1s\xa0\x90"] {
            assert_eq!(decode("p", other), None);
        }
    }
}
