//! The sessions whose connections this node has, and what Redis is to be told of them.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use bytestring::ByteString;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, RwLock},
    time::Instant,
};

use crate::SessionRecord;

/// Most sessions that have ended and of which Redis has not been told. The record of one more lives until it expires.
const MAX_ENDED: usize = 10_000;

#[derive(Debug, Default)]
pub(in crate::redis) struct Sessions {
    all: Mutex<All>,
    last_version: AtomicU64,
    pub(super) news: Notify,
    /// What happens to one session shares it; what goes over many records excludes that.
    pub(super) order: RwLock<()>,
}

#[derive(Debug, Default)]
struct All {
    /// Their connections are here.
    connected: HashMap<ByteString, Own>,
    /// Their connections were, and Redis has not been told of the end.
    ended: HashMap<ByteString, Own>,
}

/// A session of this node.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) record: SessionRecord,
    /// A later state of a session has a higher one.
    pub(super) version: u64,
    pub(super) state: State,
    pub(super) end: Option<End>,
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

/// The connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// And may come back for a while after that time.
    Lost(Instant),
    /// For good.
    Final,
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

impl Own {
    pub(super) fn is_told(&self) -> bool {
        self.state == State::Written && self.end.is_none()
    }
}

impl Sessions {
    /// The session is as `record` says now.
    pub(super) fn insert(&self, record: SessionRecord) -> Own {
        let mut all = self.all.lock();
        let state = match all.connected.get(&record.pid) {
            Some(known) if known.state != State::New => State::Changed,
            _ => State::New,
        };
        let own = Own {
            record,
            version: self.next_version(),
            state,
            end: None,
        };
        all.ended.remove(&own.record.pid);
        all.connected.insert(own.record.pid.clone(), own.clone());
        own
    }

    /// The session's connection is gone. `None` where the session is not this node's.
    pub(super) fn end(&self, pid: &str, end: End) -> Option<Own> {
        let mut all = self.all.lock();
        let own = Own {
            version: self.next_version(),
            end: Some(end),
            ..all.connected.remove(pid)?
        };
        if all.ended.len() < MAX_ENDED {
            all.ended.insert(own.record.pid.clone(), own.clone());
        }
        Some(own)
    }

    /// The session is not this node's any more.
    pub(super) fn remove(&self, pid: &str) {
        let mut all = self.all.lock();
        all.connected.remove(pid);
        all.ended.remove(pid);
    }

    /// Redis was told what `told` says, or (`is_own`) the session turned out to be another node's by now.
    pub(super) fn settle(&self, told: &Own, is_own: bool) {
        let mut all = self.all.lock();
        let sessions = match told.end {
            None => &mut all.connected,
            Some(_) => &mut all.ended,
        };
        let Some(own) = sessions.get_mut(&told.record.pid) else {
            return;
        };
        let is_up_to_date = own.version == told.version;
        if is_up_to_date && is_own && told.end.is_none() {
            own.state = State::Written;
        } else if is_up_to_date {
            sessions.remove(&told.record.pid);
        } else if is_own {
            // It has changed meanwhile.
            own.state = State::Changed;
        }
    }

    /// The sessions whose connections are here.
    pub(super) fn connected(&self) -> Vec<ByteString> {
        self.all.lock().connected.keys().cloned().collect()
    }

    /// Those that Redis is to be told of.
    pub(super) fn untold(&self) -> Vec<ByteString> {
        let all = self.all.lock();
        let untold = all.connected.iter().filter(|(_, own)| !own.is_told());
        untold.chain(&all.ended).map(|(pid, _)| pid.clone()).collect()
    }

    /// Those of `pids` that are this node's sessions, as they are now.
    pub(super) fn still_own(&self, pids: &[ByteString]) -> Vec<Own> {
        let All { connected, ended } = &*self.all.lock();
        let own = |pid| connected.get(pid).or_else(|| ended.get(pid)).cloned();
        pids.iter().filter_map(own).collect()
    }

    /// Redis may have lost what it knew.
    pub(in crate::redis) fn doubt(&self) {
        let mut all = self.all.lock();
        let written = all
            .connected
            .values_mut()
            .filter(|own| own.state == State::Written);
        written.for_each(|own| own.state = State::Doubtful);
        drop(all);
        self.news.notify_one();
    }

    fn next_version(&self) -> u64 {
        self.last_version.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_protocol::id::UserId;

    fn record(pid: impl Into<ByteString>) -> SessionRecord {
        SessionRecord {
            pid: pid.into(),
            socket_id: "s".into(),
            user: UserId::parse("ann").unwrap(),
            rooms: Vec::new(),
            node: "aaaaaaaa".into(),
        }
    }

    #[test]
    fn a_session_is_untold_until_its_last_state_is_told() {
        let sessions = Sessions::default();
        let first = sessions.insert(record("p"));
        let second = sessions.insert(record("p"));
        assert_eq!((first.state, second.state), (State::New, State::New));
        assert!(second.version > first.version);

        sessions.settle(&first, true);
        assert_eq!(sessions.still_own(&["p".into()])[0].state, State::Changed);
        assert_eq!(sessions.untold(), ["p"]);
        sessions.settle(&second, true);
        assert_eq!(sessions.untold(), [""; 0]);

        sessions.doubt();
        assert_eq!(sessions.untold(), ["p"]);
        let lost = sessions.end("p", End::Lost(Instant::now())).unwrap();
        assert_eq!(
            (sessions.untold(), sessions.connected()),
            (vec!["p".into()], vec![])
        );
        sessions.settle(&lost, true);
        assert_eq!(sessions.untold(), [""; 0]);
        assert!(sessions.end("p", End::Final).is_none());
    }

    #[test]
    fn a_session_that_another_node_has_is_let_go_unless_it_came_back() {
        let sessions = Sessions::default();
        let before = sessions.insert(record("p"));
        sessions.remove("p");
        let back = sessions.insert(record("p"));
        sessions.settle(&before, false);
        assert_eq!(sessions.connected(), ["p"]);
        sessions.settle(&back, false);
        assert_eq!(sessions.connected(), [""; 0]);
    }

    #[test]
    fn ended_sessions_are_bounded() {
        let sessions = Sessions::default();
        for n in 0..=MAX_ENDED {
            sessions.insert(record(n.to_string()));
            assert!(sessions.end(&n.to_string(), End::Final).is_some());
        }
        assert_eq!(sessions.untold().len(), MAX_ENDED);
    }
}
