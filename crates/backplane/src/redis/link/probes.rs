//! What this node tells itself through each server, to learn that it can.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Probes in a row that may be unheard.
pub(super) const MAX_UNHEARD: u64 = 4;

/// How often one is sent: with the fifth due the link is down, 2.5 s after the last that was heard.
pub(super) const BEAT: Duration = Duration::from_millis(500);

/// How far probes have come.
#[derive(Debug, Default)]
pub(in crate::redis) struct Probes {
    ways: Mutex<Vec<Way>>,
    failures: AtomicU64,
    news: Notify,
}

/// To one server and back.
#[derive(Debug, Clone)]
struct Way {
    channel: String,
    sent: u64,
    heard: u64,
}

impl Probes {
    /// Begins anew, with a channel on each server.
    pub(super) fn begin(&self, channels: Vec<String>) {
        let way = |channel| Way {
            channel,
            sent: 0,
            heard: 0,
        };
        *self.ways.lock() = channels.into_iter().map(way).collect();
    }

    pub(in crate::redis) fn is_channel(&self, name: &str) -> bool {
        self.ways.lock().iter().any(|way| way.channel == name)
    }

    /// The probe `count` has come back on `channel`.
    pub(in crate::redis) fn heard(&self, channel: &str, count: u64) {
        for way in self.ways.lock().iter_mut().filter(|way| way.channel == channel) {
            way.heard = way.heard.max(count);
        }
        self.news.notify_waiters();
    }

    /// The next probes: which channels they go to, and their numbers.
    pub(super) fn next(&self) -> Vec<(String, u64)> {
        let mut ways = self.ways.lock();
        ways.iter_mut()
            .map(|way| {
                way.sent += 1;
                (way.channel.clone(), way.sent)
            })
            .collect()
    }

    /// Whether too many were not heard; that is counted.
    pub(super) fn have_failed(&self) -> bool {
        let ways = self.ways.lock();
        let have_failed = ways.iter().any(|way| way.sent - way.heard >= MAX_UNHEARD);
        if have_failed {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        have_failed
    }

    /// Waits until every one that was sent has been heard.
    pub(super) async fn all_heard(&self) {
        loop {
            let news = self.news.notified();
            if self.ways.lock().iter().all(|way| way.heard >= way.sent) {
                return;
            }
            news.await;
        }
    }

    pub(in crate::redis) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_silent_server_is_enough() {
        let probes = Probes::default();
        probes.begin(vec!["a".to_owned(), "b".to_owned()]);
        for n in 1..=MAX_UNHEARD {
            assert!(!probes.have_failed());
            assert_eq!(probes.next(), [("a".to_owned(), n), ("b".to_owned(), n)]);
            probes.heard("a", n);
            probes.heard("c", n);
        }
        assert!(probes.have_failed());
        probes.heard("b", MAX_UNHEARD);
        assert!(!probes.have_failed());
        probes.all_heard().await;
        assert_eq!(probes.failures(), 1);
    }
}
