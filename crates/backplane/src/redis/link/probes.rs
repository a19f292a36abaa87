//! What this node tells itself through each server, to learn that it can.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

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
    /// When those were sent that have not come back.
    under_way: VecDeque<Instant>,
    /// When the last was sent that has come back. What was published before it has come as well.
    complete_until: Instant,
}

impl Way {
    fn new(channel: String) -> Self {
        Self {
            channel,
            sent: 0,
            heard: 0,
            under_way: VecDeque::new(),
            complete_until: Instant::now(),
        }
    }

    fn heard(&mut self, count: u64) {
        while self.heard < count.min(self.sent) {
            self.heard += 1;
            self.complete_until = self.under_way.pop_front().unwrap_or(self.complete_until);
        }
    }
}

impl Probes {
    /// Begins anew, with a channel on each server.
    pub(super) fn begin(&self, channels: Vec<String>) {
        *self.ways.lock() = channels.into_iter().map(Way::new).collect();
    }

    pub(in crate::redis) fn is_channel(&self, name: &str) -> bool {
        self.ways.lock().iter().any(|way| way.channel == name)
    }

    /// The probe `count` has come back on `channel`. Answers how long the latest one took.
    pub(in crate::redis) fn heard(&self, channel: &str, count: u64) -> Option<Duration> {
        let mut round_trip = None;
        for way in self.ways.lock().iter_mut().filter(|way| way.channel == channel) {
            way.heard(count);
            round_trip = (count == way.sent).then(|| way.complete_until.elapsed());
        }
        self.news.notify_waiters();
        round_trip
    }

    /// The next probes: which channels they go to, and their numbers.
    pub(super) fn next(&self) -> Vec<(String, u64)> {
        let mut ways = self.ways.lock();
        ways.iter_mut()
            .map(|way| {
                way.sent += 1;
                way.under_way.push_back(Instant::now());
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

    /// How long ago it was surely heard what others published. It is the time when a probe was sent that counts: a node
    /// that was stopped hears the last one late.
    pub(super) fn unsure(&self) -> Duration {
        let ways = self.ways.lock();
        let oldest = ways.iter().map(|way| way.complete_until).min();
        oldest.map_or(Duration::ZERO, |at| at.elapsed())
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
            assert!(probes.heard("a", n).is_some());
            assert_eq!(probes.heard("a", n - 1), None);
            assert_eq!(probes.heard("c", n), None);
        }
        assert!(probes.have_failed());
        assert!(probes.heard("b", MAX_UNHEARD).is_some());
        assert!(!probes.have_failed());
        probes.all_heard().await;
        assert_eq!(probes.failures(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sure_is_what_came_before_the_last_probe_heard_was_sent() {
        let probes = Probes::default();
        probes.begin(vec!["a".to_owned(), "b".to_owned()]);
        probes.next();
        probes.heard("a", 1);
        probes.heard("b", 1);
        tokio::time::advance(BEAT).await;
        probes.next();
        // The node is stopped for a minute; one of the two is heard when it goes on.
        tokio::time::advance(Duration::from_secs(60)).await;
        probes.heard("a", 2);
        assert_eq!(probes.unsure(), Duration::from_secs(60) + BEAT);
        probes.heard("b", 2);
        assert_eq!(probes.unsure(), Duration::from_secs(60));
        // No more of them are heard than were sent.
        probes.heard("a", u64::MAX);
        assert_eq!(probes.next(), [("a".to_owned(), 3), ("b".to_owned(), 3)]);
        assert_eq!(probes.unsure(), Duration::from_secs(60));
    }
}
