//! Which nodes live, as far as is known here.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::NodeTag;

/// A node's lease, as Redis has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// It runs that much longer.
    Left(Duration),
    /// It has run out.
    Lapsed,
    /// The node gave it back, and its users have a while to come back on another one.
    Returned,
    /// That while is over.
    Over,
}

impl Lease {
    /// From what the script `renew` tells.
    pub(super) fn from_millis(left: i64) -> Self {
        match u64::try_from(left) {
            Ok(0) => Self::Lapsed,
            Ok(left) => Self::Left(Duration::from_millis(left)),
            Err(_) if left == -1 => Self::Returned,
            Err(_) => Self::Over,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Members {
    state: Mutex<State>,
    /// Somebody said that nodes came or went.
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    alive_until: HashMap<NodeTag, Instant>,
    /// Redis is away: nobody can renew, so nobody dies.
    is_frozen: bool,
    /// Nobody dies before, either: Redis was away until lately, or this node has just come.
    sparing_until: Option<Instant>,
}

impl State {
    fn is_sparing(&self, now: Instant) -> bool {
        self.is_frozen || self.sparing_until.is_some_and(|until| now < until)
    }
}

/// What a list of leases has brought to light.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deaths {
    /// Nodes that were alive and are not.
    pub(super) gone: Vec<NodeTag>,
    /// Nodes whose users are to be taken offline.
    pub(super) to_sweep: Vec<NodeTag>,
}

impl Members {
    pub(super) fn is_alive(&self, node: &str) -> bool {
        let state = self.state.lock();
        let now = Instant::now();
        state
            .alive_until
            .get(node)
            .is_some_and(|until| now < *until || state.is_sparing(now))
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().alive_until.len()
    }

    /// Redis is away.
    pub(super) fn freeze(&self) {
        self.state.lock().is_frozen = true;
    }

    /// Redis is there; it may take a lease until every node that lives has renewed its own.
    pub(super) fn thaw(&self, lease: Duration) {
        let mut state = self.state.lock();
        state.is_frozen = false;
        state.sparing_until = Some(Instant::now() + lease);
    }

    /// Takes over what Redis has.
    pub(super) fn update(&self, leases: Vec<(NodeTag, Lease)>) -> Deaths {
        let now = Instant::now();
        let mut state = self.state.lock();
        let is_sparing = state.is_sparing(now);
        let before = std::mem::take(&mut state.alive_until);
        let mut deaths = Deaths::default();
        let mut returned = Vec::new();
        for (node, lease) in leases {
            match lease {
                Lease::Left(left) => {
                    state.alive_until.insert(node, now + left);
                }
                Lease::Lapsed if is_sparing => {
                    // Also one that was not known: it may be about to renew.
                    state.alive_until.insert(node, now);
                }
                Lease::Lapsed => deaths.to_sweep.push(node),
                Lease::Returned => returned.push(node),
                Lease::Over => {
                    returned.push(node.clone());
                    deaths.to_sweep.push(node);
                }
            }
        }
        for (node, until) in before {
            if state.alive_until.contains_key(&node) {
                continue;
            }
            if is_sparing && !returned.contains(&node) {
                state.alive_until.insert(node, until);
            } else {
                deaths.gone.push(node);
            }
        }
        deaths
    }

    /// Somebody says that nodes came or went.
    pub(super) fn nudge(&self) {
        self.news.notify_one();
    }

    /// Waits for that.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(5);

    fn tag(text: &'static str) -> NodeTag {
        NodeTag::from_static(text)
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_dies_with_its_lease() {
        let members = Members::default();
        members.update(vec![(tag("a"), Lease::Left(LEASE))]);
        tokio::time::advance(LEASE - Duration::from_millis(1)).await;
        assert!(members.is_alive("a") && !members.is_alive("b"));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!members.is_alive("a"));

        let deaths = members.update(vec![(tag("a"), Lease::Lapsed)]);
        assert_eq!((deaths.gone, deaths.to_sweep), (vec![tag("a")], vec![tag("a")]));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_dies_of_redis_absence() {
        let members = Members::default();
        members.update(vec![
            (tag("a"), Lease::Left(LEASE)),
            (tag("b"), Lease::Left(LEASE)),
        ]);
        members.freeze();
        tokio::time::advance(LEASE * 10).await;
        assert!(members.is_alive("a"));

        members.thaw(LEASE);
        assert_eq!(members.update(vec![(tag("a"), Lease::Lapsed)]), Deaths::default());
        assert!(members.is_alive("a") && members.is_alive("b"));

        tokio::time::advance(LEASE).await;
        let deaths = members.update(vec![(tag("a"), Lease::Lapsed)]);
        assert_eq!(deaths.to_sweep, [tag("a")]);
        assert!(!members.is_alive("a") && !members.is_alive("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_left_is_gone_at_once() {
        let members = Members::default();
        members.thaw(LEASE);
        members.update(vec![(tag("a"), Lease::Left(LEASE))]);
        let deaths = members.update(vec![(tag("a"), Lease::Returned)]);
        assert_eq!((deaths.gone, deaths.to_sweep), (vec![tag("a")], vec![]));
        assert!(!members.is_alive("a"));
        assert_eq!(members.update(vec![(tag("a"), Lease::Over)]).to_sweep, [tag("a")]);
    }
}
