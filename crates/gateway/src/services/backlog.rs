//! A backlog: what only this node's sockets were told, because the other nodes were out of reach. They are told later.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

use crate::gaps::{Gap, Gaps};

/// Most entries. What is told beyond them the others are not told later.
const MAX_ENTRIES: usize = 10_000;

/// What others are still to be told.
#[derive(Debug)]
pub(super) struct Backlog<Key, Value> {
    entries: Mutex<Entries<Key, Value>>,
    gaps: Gaps,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Entries<Key, Value> {
    by_key: HashMap<Key, Value>,
    /// This node's sockets have what has no place in the log yet: there is a gap as long as there are entries.
    gap: Option<Gap>,
}

/// What the other nodes are still to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Chats and notifications that wait.
    pub now: usize,
    /// Those so far that were too many: their readers find them by the chat's next message, or in the inbox.
    pub dropped: u64,
}

impl<Key: Clone + Eq + Hash, Value: Clone> Backlog<Key, Value> {
    pub(super) fn new(gaps: Gaps) -> Self {
        let entries = Entries {
            by_key: HashMap::new(),
            gap: None,
        };
        Self {
            entries: Mutex::new(entries),
            gaps,
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds an entry, or has `merge` change the one that is there. Dropped, and counted, where there are too many.
    pub(super) fn add(&self, key: Key, value: Value, merge: impl FnOnce(&mut Value)) {
        let mut entries = self.entries.lock();
        let is_full = entries.by_key.len() >= MAX_ENTRIES;
        match entries.by_key.entry(key) {
            Entry::Occupied(mut entry) => merge(entry.get_mut()),
            Entry::Vacant(_) if is_full => _ = self.dropped.fetch_add(1, Ordering::Relaxed),
            Entry::Vacant(entry) => _ = entry.insert(value),
        }
        entries.gap.get_or_insert_with(|| self.gaps.open());
    }

    pub(super) fn get(&self, key: &Key) -> Option<Value> {
        self.entries.lock().by_key.get(key).cloned()
    }

    pub(super) fn remove(&self, key: &Key) {
        let mut entries = self.entries.lock();
        entries.by_key.remove(key);
        if entries.by_key.is_empty() {
            entries.gap = None;
        }
    }

    /// It cannot be told.
    pub(super) fn give_up(&self, key: &Key) {
        self.remove(key);
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// In no order.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.entries.lock().by_key.keys().cloned().collect()
    }

    pub(super) fn waiting(&self) -> Waiting {
        Waiting {
            now: self.entries.lock().by_key.len(),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(now: usize, dropped: u64) -> Waiting {
        Waiting { now, dropped }
    }

    #[test]
    fn there_is_a_gap_as_long_as_something_waits() {
        let gaps = Gaps::default();
        let backlog = Backlog::new(gaps.clone());
        for key in [1, 1, 2] {
            backlog.add(key, (), |()| {});
        }
        backlog.remove(&1);
        assert!(!gaps.are_closed());
        backlog.remove(&2);
        assert!(gaps.are_closed());
    }

    #[test]
    fn what_is_there_is_changed_and_what_is_too_much_is_counted() {
        let backlog = Backlog::new(Gaps::default());
        for key in 0..MAX_ENTRIES {
            backlog.add(key, 1, |_| panic!("it is new"));
        }
        backlog.add(0, 1, |value| *value += 1);
        backlog.add(MAX_ENTRIES, 1, |_| panic!("it is not there"));
        assert_eq!((backlog.get(&0), backlog.get(&MAX_ENTRIES)), (Some(2), None));
        assert_eq!(backlog.waiting(), waiting(MAX_ENTRIES, 1));

        backlog.remove(&0);
        backlog.give_up(&1);
        assert_eq!(backlog.waiting(), waiting(MAX_ENTRIES - 2, 2));
        assert_eq!(backlog.keys().len(), MAX_ENTRIES - 2);
    }
}
