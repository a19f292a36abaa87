//! Counting what each key holds at once, up to a bound.

use std::{hash::Hash, num::NonZeroU32, sync::Arc};

use dashmap::DashMap;

/// How many each key holds; a key that holds nothing takes no memory.
#[derive(Debug)]
pub(super) struct Count<K: Hash + Eq> {
    most: NonZeroU32,
    held: Arc<DashMap<K, u32>>,
}

/// One that a key holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted<K: Hash + Eq> {
    key: K,
    held: Arc<DashMap<K, u32>>,
}

impl<K: Hash + Eq + Clone> Count<K> {
    pub(super) fn new(most: NonZeroU32) -> Self {
        Self {
            most,
            held: Arc::default(),
        }
    }

    /// One more for the key, unless it holds all it may.
    pub(super) fn hold(&self, key: K) -> Option<Counted<K>> {
        let mut held = self.held.entry(key.clone()).or_insert(0);
        if *held >= self.most.get() {
            return None;
        }
        *held += 1;
        Some(Counted {
            key,
            held: Arc::clone(&self.held),
        })
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.held.len()
    }
}

impl<K: Hash + Eq> Drop for Counted<K> {
    fn drop(&mut self) {
        self.held.remove_if_mut(&self.key, |_, held| {
            *held = held.saturating_sub(1);
            *held == 0
        });
    }
}
