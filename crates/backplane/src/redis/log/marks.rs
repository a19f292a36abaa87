//! Marks: how a node learns up to where it has heard everything.

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use tokio::sync::oneshot;

use crate::{Result, Unavailable};

/// Marks on their way through Redis: where one has come back, all that was published before it has.
#[derive(Debug, Default)]
pub(in crate::redis) struct Marks {
    last: AtomicU64,
    waiting: DashMap<u64, oneshot::Sender<()>>,
}

/// A mark that is waited for.
pub(super) struct Mark<'a> {
    marks: &'a Marks,
    pub(super) number: u64,
    passed: oneshot::Receiver<()>,
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.marks.waiting.remove(&self.number);
    }
}

impl Mark<'_> {
    pub(super) async fn passed(mut self) -> Result<()> {
        let passed = (&mut self.passed).await;
        passed.map_err(|_| Unavailable::new("a mark was lost"))
    }
}

impl Marks {
    pub(super) fn next(&self) -> Mark<'_> {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let (sender, passed) = oneshot::channel();
        self.waiting.insert(number, sender);
        Mark {
            marks: self,
            number,
            passed,
        }
    }

    /// The mark `number` has come back.
    pub(in crate::redis) fn passed(&self, number: u64) {
        if let Some((_, waiting)) = self.waiting.remove(&number) {
            // Who asked may have stopped waiting.
            let _ = waiting.send(());
        }
    }

    /// No mark will come back.
    pub(in crate::redis) fn lose(&self) {
        self.waiting.clear();
    }
}
