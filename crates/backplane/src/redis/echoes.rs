//! Kept broadcasts of this node on their way through Redis: its own sockets get them when they come back.
//!
//! Either the echo is delivered or the publisher gives it up and delivers by itself, never both: an echo that
//! comes after that is late and dropped.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use bytestring::ByteString;
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

/// How long an echo may be late: Redis may have been frozen with the broadcast in its socket.
const LATEST: Duration = Duration::from_secs(600);

/// Most ids that are remembered as given up.
const MAX_LATE: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Echoes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// `None` where the wait is over but nobody has delivered yet.
    expected: HashMap<ByteString, Option<oneshot::Sender<()>>>,
    late: HashSet<ByteString>,
    late_in_order: VecDeque<(Instant, ByteString)>,
}

/// What to do with an echo.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Deliver it; then tell who waits.
    Deliver(Option<oneshot::Sender<()>>),
    /// Its sockets have it already.
    Late,
}

/// The wait for one echo. Dropped before its end, the echo is delivered all the same.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    echoes: &'a Echoes,
    id: ByteString,
    arrived: oneshot::Receiver<()>,
}

impl Echoes {
    /// Expects the echo of the broadcast `id`, before it is published.
    pub(super) fn expect(&self, id: ByteString) -> Expected<'_> {
        let (sender, arrived) = oneshot::channel();
        self.0.lock().expected.insert(id.clone(), Some(sender));
        Expected {
            echoes: self,
            id,
            arrived,
        }
    }

    /// The echo of `id` is here.
    pub(super) fn arrived(&self, id: &str) -> Arrival {
        let mut state = self.0.lock();
        if let Some(waiting) = state.expected.remove(id) {
            return Arrival::Deliver(waiting);
        }
        if state.late.contains(id) {
            return Arrival::Late;
        }
        Arrival::Deliver(None)
    }

    /// No echo will come: the connection is gone.
    pub(super) fn stop_waiting(&self) {
        for waiting in self.0.lock().expected.values_mut() {
            waiting.take();
        }
    }

    /// Whether the caller has to deliver `id`. Its echo, should it come, is late from now on.
    pub(super) fn give_up(&self, id: &ByteString) -> bool {
        let mut state = self.0.lock();
        if state.expected.remove(id).is_none() {
            return false;
        }
        state.remember_late(id.clone());
        true
    }

    /// Remembers that `id`, which nobody waited for, was delivered here without its echo.
    pub(super) fn delivered(&self, id: ByteString) {
        self.0.lock().remember_late(id);
    }
}

impl State {
    fn remember_late(&mut self, id: ByteString) {
        let now = Instant::now();
        while let Some((at, _)) = self.late_in_order.front() {
            if now.duration_since(*at) < LATEST && self.late_in_order.len() < MAX_LATE {
                break;
            }
            if let Some((_, old)) = self.late_in_order.pop_front() {
                self.late.remove(&old);
            }
        }
        self.late.insert(id.clone());
        self.late_in_order.push_back((now, id));
    }
}

impl Expected<'_> {
    /// Waits for the echo to be delivered. Answers whether it was; otherwise the caller has to, now.
    pub(super) async fn arrived(mut self, deadline: Instant) -> bool {
        let waited = tokio::time::timeout_at(deadline, &mut self.arrived).await;
        matches!(waited, Ok(Ok(()))) || !self.echoes.give_up(&self.id)
    }

    /// Whether the caller has to deliver it now.
    pub(super) fn give_up(self) -> bool {
        self.echoes.give_up(&self.id)
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.echoes.0.lock().expected.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &'static str) -> ByteString {
        ByteString::from_static(text)
    }

    #[tokio::test]
    async fn an_echo_in_time_is_delivered_once() {
        let echoes = Echoes::default();
        let expected = echoes.expect(id("a"));
        let Arrival::Deliver(Some(waiting)) = echoes.arrived("a") else {
            panic!("expected");
        };
        waiting.send(()).unwrap();
        assert!(expected.arrived(Instant::now() + LATEST).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_echo_after_the_deadline_is_late() {
        let echoes = Echoes::default();
        let expected = echoes.expect(id("a"));
        assert!(!expected.arrived(Instant::now() + Duration::from_secs(1)).await);
        assert!(matches!(echoes.arrived("a"), Arrival::Late));

        let expected = echoes.expect(id("b"));
        echoes.stop_waiting();
        assert!(!expected.arrived(Instant::now() + LATEST).await);
        assert!(matches!(echoes.arrived("b"), Arrival::Late));
    }

    #[tokio::test]
    async fn an_echo_that_nobody_waits_for_is_delivered() {
        let echoes = Echoes::default();
        drop(echoes.expect(id("a")));
        assert!(matches!(echoes.arrived("a"), Arrival::Deliver(None)));
        assert!(matches!(echoes.arrived("never seen"), Arrival::Deliver(None)));
    }

    #[tokio::test(start_paused = true)]
    async fn late_ids_are_bounded_in_number_and_time() {
        let echoes = Echoes::default();
        for n in 0..=MAX_LATE {
            echoes.delivered(n.to_string().into());
        }
        assert_eq!(echoes.0.lock().late.len(), MAX_LATE);
        assert!(matches!(echoes.arrived("0"), Arrival::Deliver(None)));

        tokio::time::advance(LATEST).await;
        echoes.delivered(id("new"));
        assert_eq!(echoes.0.lock().late.len(), 1);
        assert_eq!(echoes.0.lock().late_in_order.len(), 1);
    }
}
