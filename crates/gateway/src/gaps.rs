//! Gaps: whether this node's sockets may lack something that comes before what they are given now, or have something that
//! comes after it. As long as there is one, nobody can be recovered from what they are given.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The gaps of a node. Clones are about the same ones.
#[derive(Debug, Clone, Default)]
pub struct Gaps(Arc<AtomicUsize>);

/// A gap: it is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Gap(Gaps);

impl Gaps {
    /// Something is missing from now on, or out of place.
    pub(crate) fn open(&self) -> Gap {
        self.0.fetch_add(1, Ordering::AcqRel);
        Gap(self.clone())
    }

    /// Whether nothing is.
    pub(crate) fn are_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Drop for Gap {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_closed_with_the_last_one() {
        let gaps = Gaps::default();
        let elsewhere = gaps.clone();
        let (one, other) = (gaps.open(), elsewhere.open());
        drop(one);
        assert!(!gaps.are_closed());
        drop(other);
        assert!(gaps.are_closed());
    }
}
