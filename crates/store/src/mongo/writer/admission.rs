//! How many operations are under way: a bound, and a way to wait for them.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Lets a bounded number of operations in.
#[derive(Debug)]
pub(super) struct Admission {
    limit: usize,
    inside: Mutex<Inside>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    numbers: BTreeSet<u64>,
}

/// An operation that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    admission: Arc<Admission>,
    number: u64,
}

impl Admission {
    /// Lets at most `limit` in at a time.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            inside: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// Lets one in; `None` while it is full.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Ticket> {
        let mut inside = self.inside.lock();
        if inside.numbers.len() >= self.limit {
            return None;
        }
        let number = inside.next;
        inside.next += 1;
        inside.numbers.insert(number);
        Some(Ticket {
            admission: Arc::clone(self),
            number,
        })
    }

    /// Waits for all that are inside now, not for those that come meanwhile.
    pub(super) async fn drained(&self) {
        let end = self.inside.lock().next;
        loop {
            let left = self.left.notified();
            if self
                .inside
                .lock()
                .numbers
                .first()
                .is_none_or(|oldest| *oldest >= end)
            {
                return;
            }
            left.await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.inside.lock().numbers.remove(&self.number);
        self.admission.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn more_than_the_limit_are_refused_until_one_leaves() {
        let admission = Admission::new(2);
        let tickets = [admission.admit(), admission.admit()];
        assert!(tickets.iter().all(Option::is_some) && admission.admit().is_none());
        drop(tickets);
        assert!(admission.admit().is_some());
    }

    #[tokio::test]
    async fn draining_waits_for_those_before_it_alone() {
        let admission = Admission::new(9);
        let (first, second) = (admission.admit(), admission.admit());
        let mut drained = Box::pin(admission.drained());
        assert!(drained.as_mut().now_or_never().is_none());

        let later = admission.admit();
        drop(second);
        assert!(drained.as_mut().now_or_never().is_none());
        drop(first);
        assert!(drained.as_mut().now_or_never().is_some());
        drop(later);
    }
}
