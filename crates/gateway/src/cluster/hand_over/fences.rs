//! What is to be done here at a fence.

use std::{collections::HashMap, sync::Arc};

use bytestring::ByteString;
use parking_lot::Mutex;

/// Runs where the fence is passed: between two events, so that it must not wait.
type AtFence = Box<dyn FnOnce() + Send>;

/// The fences that are expected.
#[derive(Default)]
pub(super) struct Fences(Mutex<HashMap<ByteString, AtFence>>);

/// A fence is expected as long as this lives.
#[must_use = "the fence is no longer expected once this is dropped"]
pub(super) struct Expected {
    fences: Arc<Fences>,
    id: ByteString,
}

impl Fences {
    pub(super) fn expect(self: &Arc<Self>, id: ByteString, at_fence: AtFence) -> Expected {
        self.0.lock().insert(id.clone(), at_fence);
        Expected {
            fences: Arc::clone(self),
            id,
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// A fence has passed: also one that is expected no longer, or was by nobody.
    pub(super) fn passed(&self, id: &str) {
        let at_fence = self.0.lock().remove(id);
        if let Some(at_fence) = at_fence {
            at_fence();
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        // Outside of the lock: whoever waits for the fence is told by the drop.
        let _forgotten = self.fences.0.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_fence_is_passed_once_and_only_while_it_is_expected() {
        let (fences, passed) = (Arc::new(Fences::default()), Arc::new(AtomicUsize::new(0)));
        let count = |passed: &Arc<AtomicUsize>| -> AtFence {
            let passed = Arc::clone(passed);
            Box::new(move || _ = passed.fetch_add(1, Ordering::Relaxed))
        };
        let _first = fences.expect("first".into(), count(&passed));
        drop(fences.expect("second".into(), count(&passed)));

        for id in ["first", "first", "second", "unknown"] {
            fences.passed(id);
        }

        assert_eq!(passed.load(Ordering::Relaxed), 1);
        assert!(fences.0.lock().is_empty());
    }
}
