//! Lanes: work under one key is done one piece at a time, first come first served; other keys do not wait for it.
//! A lane is there only while somebody uses it.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::MutexGuard;

/// The lanes in use.
#[derive(Debug)]
pub(super) struct Lanes<Key>(Mutex<HashMap<Key, Lane>>);

type Lane = Arc<tokio::sync::Mutex<()>>;

impl<Key> Default for Lanes<Key> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Key: Clone + Eq + Hash> Lanes<Key> {
    /// A place in the lane of `key`. The turn comes with [`Place::turn`]; dropping the place leaves the lane.
    pub(super) fn join(&self, key: &Key) -> Place<'_, Key> {
        let lane = Arc::clone(self.0.lock().entry(key.clone()).or_default());
        Place {
            lanes: self,
            key: key.clone(),
            lane,
        }
    }
}

/// A place in a lane.
#[derive(Debug)]
pub(super) struct Place<'a, Key: Eq + Hash> {
    lanes: &'a Lanes<Key>,
    key: Key,
    lane: Lane,
}

impl<Key: Eq + Hash> Place<'_, Key> {
    /// Waits for those who came before; the turn lasts as long as what is returned.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.lane.lock().await
    }
}

impl<Key: Eq + Hash> Drop for Place<'_, Key> {
    fn drop(&mut self) {
        let mut lanes = self.lanes.0.lock();
        // One for the map and one for this place: nobody else is in the lane, and nobody can join under the lock.
        if Arc::strong_count(&self.lane) == 2 {
            lanes.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all};

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_in_the_order_of_asking() {
        let (lanes, done) = (Lanes::default(), Mutex::new(Vec::new()));

        join_all((0..20).map(|number| {
            let (lanes, done) = (&lanes, &done);
            async move {
                let place = lanes.join(&"chat");
                let _turn = place.turn().await;
                tokio::task::yield_now().await;
                done.lock().push(number);
            }
        }))
        .await;

        assert_eq!(done.into_inner(), (0..20).collect::<Vec<_>>());
        assert!(lanes.0.lock().is_empty());
    }

    #[tokio::test]
    async fn other_keys_do_not_wait() {
        let lanes = Lanes::default();
        let (one, other, same) = (lanes.join(&1), lanes.join(&2), lanes.join(&1));
        let _turn = one.turn().await;

        assert!(other.turn().now_or_never().is_some());
        assert!(same.turn().now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_nothing_behind() {
        let lanes = Lanes::default();
        let first = lanes.join(&1);
        let turn = first.turn().await;
        let second = lanes.join(&1);
        assert!(second.turn().now_or_never().is_none());

        drop(turn);
        drop(first);
        assert_eq!(lanes.0.lock().len(), 1);
        drop(second);

        assert!(lanes.0.lock().is_empty());
    }
}
