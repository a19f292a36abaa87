//! What this node knows of users.

use std::collections::{HashMap, HashSet};

use carillon_protocol::{id::UserId, presence::Status, time::Timestamp};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, RwLock},
    time::Instant,
};

use crate::NodeTag;

/// Most users in doubt: as many as may leave within a moment before Redis does, and more.
const MAX_IN_DOUBT: usize = 100_000;

#[derive(Debug, Default)]
pub(in crate::redis) struct Users {
    local: Mutex<HashMap<UserId, Local>>,
    /// Users of whom Redis may know something else than this node, and from when on that is to be settled.
    pub(super) in_doubt: Mutex<HashMap<UserId, Instant>>,
    /// Dead nodes whose users are to be taken offline.
    pub(super) to_sweep: Mutex<HashSet<NodeTag>>,
    /// Who came or went, as far as the node has not heard of it yet.
    pub(super) unannounced: Mutex<Vec<(UserId, Status)>>,
    pub(super) news: Notify,
    /// Single changes share it; bringing many users up to date excludes them.
    pub(super) order: RwLock<()>,
}

/// A user on this node.
#[derive(Debug)]
struct Local {
    connections: usize,
    at: Timestamp,
    /// Redis was told, and so was everybody.
    is_told: bool,
}

/// What is the case with a user, as the script `sync` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Came,
    Stayed,
    Went,
    WentLately,
}

impl Case {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Came => "+",
            Self::Stayed => "=",
            Self::Went => "-",
            Self::WentLately => "~",
        }
    }
}

impl Users {
    pub(super) fn connected(&self, user: &UserId, at: Timestamp) {
        let mut local = self.local.lock();
        let known = local.entry(user.clone()).or_insert(Local {
            connections: 0,
            at,
            is_told: false,
        });
        known.connections += 1;
        known.at = at;
    }

    /// How many connections are left.
    pub(super) fn disconnected(&self, user: &UserId) -> usize {
        let mut local = self.local.lock();
        let Some(known) = local.get_mut(user) else {
            return 0;
        };
        known.connections = known.connections.saturating_sub(1);
        known.connections
    }

    pub(super) fn is_here(&self, user: &UserId) -> bool {
        let local = self.local.lock();
        local.get(user).is_some_and(|known| known.connections > 0)
    }

    pub(super) fn doubt(&self, user: &UserId) {
        let mut in_doubt = self.in_doubt.lock();
        if in_doubt.len() < MAX_IN_DOUBT {
            in_doubt.insert(user.clone(), Instant::now());
        }
    }

    /// Forgets a user who came and went while Redis was away: nobody was told of it.
    pub(super) fn forget_untold(&self, user: &UserId) {
        let mut local = self.local.lock();
        let is_untold = local
            .get(user)
            .is_some_and(|known| known.connections == 0 && !known.is_told);
        if is_untold {
            local.remove(user);
            drop(local);
            self.in_doubt.lock().remove(user);
        }
    }

    /// Redis knows what is the case with `user`.
    pub(super) fn told(&self, user: &UserId) {
        self.in_doubt.lock().remove(user);
        let mut local = self.local.lock();
        if let Some(known) = local.get_mut(user) {
            known.is_told = true;
            if known.connections == 0 {
                local.remove(user);
            }
        }
    }

    pub(super) fn case_of(&self, user: &UserId) -> (Case, Timestamp) {
        match self.local.lock().get(user) {
            Some(known) if known.connections > 0 && known.is_told => (Case::Stayed, known.at),
            Some(known) if known.connections > 0 => (Case::Came, known.at),
            Some(known) => (Case::Went, known.at),
            None => (Case::Went, Timestamp::from_millis(0)),
        }
    }

    /// Users whose doubts are to be settled now.
    pub(super) fn due(&self) -> Vec<UserId> {
        let now = Instant::now();
        let in_doubt = self.in_doubt.lock();
        let due = in_doubt.iter().filter(|(_, from)| **from <= now);
        due.map(|(user, _)| user.clone()).collect()
    }

    /// Everybody of whom this node knows.
    pub(super) fn known(&self) -> HashSet<UserId> {
        let mut known: HashSet<UserId> = self.local.lock().keys().cloned().collect();
        known.extend(self.in_doubt.lock().keys().cloned());
        known
    }

    /// Nodes died: their users are to be taken offline.
    pub(in crate::redis) fn sweep_later(&self, nodes: Vec<NodeTag>) {
        if !nodes.is_empty() {
            self.to_sweep.lock().extend(nodes);
            self.news.notify_one();
        }
    }
}
