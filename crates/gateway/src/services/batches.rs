//! Batches: what comes under one key while that is being worked off waits, and is then worked off together; other keys do not
//! wait for it. Whoever comes first under a key starts the work. A key is there only while it is worked off.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use parking_lot::Mutex;

/// Most items in one batch; bounds what each waits for the others.
const MAX_BATCH: usize = 128;
/// Most items that wait under one key.
const MAX_WAITING: usize = 1_024;

/// What waits, in the order it came.
#[derive(Debug)]
pub(super) struct Batches<Key, Item>(Mutex<HashMap<Key, VecDeque<Item>>>);

/// What became of an item.
#[derive(Debug)]
pub(super) enum Added<Key: Eq + Hash, Item> {
    /// It is the first under its key: whoever brought it has it worked off, and what comes meanwhile.
    First(Work<Key, Item>),
    /// It waits for those before it.
    Waits,
    /// Too many wait.
    Refused,
}

impl<Key, Item> Default for Batches<Key, Item> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Key: Clone + Eq + Hash, Item> Batches<Key, Item> {
    pub(super) fn add(self: &Arc<Self>, key: Key, item: Item) -> Added<Key, Item> {
        match self.0.lock().entry(key) {
            Entry::Occupied(waiting) if waiting.get().len() >= MAX_WAITING => Added::Refused,
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push_back(item);
                Added::Waits
            }
            Entry::Vacant(vacant) => {
                let key = vacant.key().clone();
                vacant.insert(VecDeque::from([item]));
                Added::First(Work {
                    batches: Arc::clone(self),
                    key: Some(key),
                })
            }
        }
    }
}

/// The work under one key. Where it is dropped before its end, what waits is dropped with it.
#[derive(Debug)]
pub(super) struct Work<Key: Eq + Hash, Item> {
    batches: Arc<Batches<Key, Item>>,
    /// `None` at the end.
    key: Option<Key>,
}

impl<Key: Eq + Hash, Item> Work<Key, Item> {
    /// The next batch, in the order its items came. `None` where nothing waits: that is the end, and who comes then is the first.
    pub(super) fn next(&mut self) -> Option<Vec<Item>> {
        let key = self.key.as_ref()?;
        let mut batches = self.batches.0.lock();
        if let Some(waiting) = batches.get_mut(key).filter(|waiting| !waiting.is_empty()) {
            let count = waiting.len().min(MAX_BATCH);
            return Some(waiting.drain(..count).collect());
        }
        batches.remove(key);
        self.key = None;
        None
    }
}

impl<Key: Eq + Hash, Item> Drop for Work<Key, Item> {
    fn drop(&mut self) {
        let left = self.key.as_ref().map(|key| self.batches.0.lock().remove(key));
        // Not under the lock: who waits is told by it.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Numbers = Arc<Batches<&'static str, usize>>;

    fn first(batches: &Numbers, key: &'static str, item: usize) -> Work<&'static str, usize> {
        match batches.add(key, item) {
            Added::First(work) => work,
            other => panic!("{other:?}"),
        }
    }

    fn waits(batches: &Numbers, key: &'static str, item: usize) -> bool {
        matches!(batches.add(key, item), Added::Waits)
    }

    #[test]
    fn what_comes_meanwhile_is_the_next_batch_in_its_order() {
        let batches = Numbers::default();
        let mut work = first(&batches, "a", 0);
        assert_eq!(work.next(), Some(vec![0]));
        for item in 1..=3 {
            assert!(waits(&batches, "a", item));
        }
        assert_eq!(work.next(), Some(vec![1, 2, 3]));
        assert_eq!((work.next(), work.next()), (None, None));
        assert!(batches.0.lock().is_empty());
    }

    #[test]
    fn other_keys_do_not_wait() {
        let batches = Numbers::default();
        let works = ["a", "b"].map(|key| first(&batches, key, 1));
        assert_eq!(works.map(|mut work| work.next()), [Some(vec![1]), Some(vec![1])]);
    }

    #[test]
    fn a_batch_is_bounded_and_so_is_what_waits() {
        let batches = Numbers::default();
        let mut work = first(&batches, "a", 0);
        for item in 1..MAX_WAITING {
            assert!(waits(&batches, "a", item));
        }
        assert!(matches!(batches.add("a", MAX_WAITING), Added::Refused));

        assert_eq!(work.next(), Some((0..MAX_BATCH).collect()));
        assert!(waits(&batches, "a", MAX_WAITING));
        let rest: Vec<_> = std::iter::from_fn(|| work.next()).flatten().collect();
        assert_eq!(rest, (MAX_BATCH..=MAX_WAITING).collect::<Vec<_>>());
    }

    #[test]
    fn work_that_is_given_up_gives_up_what_waits_and_leaves_nothing() {
        let batches = Arc::<Batches<&str, Arc<()>>>::default();
        let item = Arc::new(());
        let Added::First(work) = batches.add("a", Arc::clone(&item)) else {
            panic!("it is the first");
        };
        assert!(matches!(batches.add("a", Arc::clone(&item)), Added::Waits));
        drop(work);

        assert_eq!(Arc::strong_count(&item), 1);
        assert!(batches.0.lock().is_empty());
    }

    #[test]
    fn the_end_of_one_work_leaves_the_next_alone() {
        let batches = Numbers::default();
        let mut work = first(&batches, "a", 1);
        assert_eq!((work.next(), work.next()), (Some(vec![1]), None));
        let mut next = first(&batches, "a", 2);
        drop(work);

        assert!(waits(&batches, "a", 3));
        assert_eq!(next.next(), Some(vec![2, 3]));
    }
}
