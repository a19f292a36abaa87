//! Records of sessions: kept while connected, and for the recovery window after.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytestring::ByteString;
use tokio::time::Instant;

use crate::SessionRecord;

#[derive(Debug)]
pub(super) struct Sessions {
    window: Duration,
    records: HashMap<ByteString, Kept>,
    /// Lost sessions in the order of their losses; one that came back or was lost anew is skipped.
    lost: VecDeque<(Instant, ByteString)>,
}

#[derive(Debug)]
struct Kept {
    record: SessionRecord,
    lost_at: Option<Instant>,
}

impl Sessions {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            records: HashMap::new(),
            lost: VecDeque::new(),
        }
    }

    pub(super) fn keep(&mut self, record: SessionRecord) {
        self.records.insert(
            record.pid.clone(),
            Kept {
                record,
                lost_at: None,
            },
        );
    }

    pub(super) fn lost(&mut self, pid: &str) {
        self.drop_expired();
        let now = Instant::now();
        let Some(kept) = self.records.get_mut(pid) else {
            return;
        };
        kept.lost_at = Some(now);
        self.lost.push_back((now, kept.record.pid.clone()));
    }

    pub(super) fn find(&self, pid: &str) -> Option<SessionRecord> {
        let kept = self.records.get(pid)?;
        let fresh = kept.lost_at.is_none_or(|at| at.elapsed() <= self.window);
        fresh.then(|| kept.record.clone())
    }

    pub(super) fn take(&mut self, pid: &str) -> Option<SessionRecord> {
        let found = self.find(pid);
        self.records.remove(pid);
        found
    }

    fn drop_expired(&mut self) {
        while let Some((at, pid)) = self.lost.front() {
            if at.elapsed() <= self.window {
                return;
            }
            if self
                .records
                .get(pid)
                .is_some_and(|kept| kept.lost_at == Some(*at))
            {
                self.records.remove(pid);
            }
            self.lost.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_protocol::id::UserId;

    const WINDOW: Duration = Duration::from_secs(120);

    fn record(pid: &'static str) -> SessionRecord {
        SessionRecord {
            pid: pid.into(),
            socket_id: "s".into(),
            user: UserId::parse("ann").unwrap(),
            rooms: vec![],
            node: "n".into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_lives_as_long_as_its_connection_and_the_window_after() {
        let mut sessions = Sessions::new(WINDOW);
        sessions.keep(record("p"));
        tokio::time::advance(WINDOW * 10).await;
        assert_eq!(sessions.find("p"), Some(record("p")));

        sessions.lost("p");
        tokio::time::advance(WINDOW).await;
        assert_eq!(sessions.find("p"), Some(record("p")));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(sessions.take("p"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn expired_records_are_dropped_and_those_that_came_back_stay() {
        let mut sessions = Sessions::new(WINDOW);
        for pid in ["gone", "back"] {
            sessions.keep(record(pid));
            sessions.lost(pid);
        }
        sessions.take("back");
        sessions.keep(record("back"));
        tokio::time::advance(WINDOW + Duration::from_millis(1)).await;

        sessions.lost("unknown");

        assert_eq!(sessions.records.len(), 1);
        assert!(sessions.find("back").is_some() && sessions.lost.is_empty());
    }

    #[tokio::test]
    async fn a_record_is_taken_once() {
        let mut sessions = Sessions::new(WINDOW);
        sessions.keep(record("p"));

        assert!(sessions.take("p").is_some());
        assert!(sessions.take("p").is_none());
    }
}
