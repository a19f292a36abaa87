//! What this node has asked others, and what it works on for them.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::seen::Seen;
use crate::{
    NodeTag, RouteError,
    redis::{keyring::Ring, seal::FrameKey},
};

/// Most requests that wait for an answer, and most that are worked on: polls of sessions on other nodes.
const MAX_OUTSTANDING: usize = 20_000;

/// Most senders whose keys are kept ready.
const MAX_KEYS: usize = 1_024;

type Answer = std::result::Result<Bytes, RouteError>;

#[derive(Default)]
pub(in crate::redis) struct Routes {
    asked: DashMap<u64, Waiting>,
    work: DashMap<(NodeTag, u64), CancellationToken>,
    last_id: AtomicU64,
    last_nonce: AtomicU64,
    keys: Mutex<Keys>,
    pub(super) seen: Seen,
}

/// The keys of senders under one secret.
#[derive(Default)]
struct Keys {
    secret: String,
    of: HashMap<NodeTag, Arc<FrameKey>>,
}

struct Waiting {
    node: NodeTag,
    answer: oneshot::Sender<Answer>,
}

/// A request that waits for its answer. Dropped, it does not.
pub(in crate::redis) struct Asked<'a> {
    routes: &'a Routes,
    id: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Asked<'_> {
    pub(in crate::redis) const fn id(&self) -> u64 {
        self.id
    }

    pub(in crate::redis) async fn answer(mut self) -> Answer {
        let answer = (&mut self.answer).await;
        answer.unwrap_or(Err(RouteError::Unreachable))
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.routes.asked.remove(&self.id);
    }
}

impl Routes {
    /// A new request to `node`; `None` where too many wait.
    pub(in crate::redis) fn ask(&self, node: &NodeTag) -> Option<Asked<'_>> {
        if self.asked.len() >= MAX_OUTSTANDING {
            return None;
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        let waiting = Waiting {
            node: node.clone(),
            answer: sender,
        };
        self.asked.insert(id, waiting);
        Some(Asked {
            routes: self,
            id,
            answer,
        })
    }

    /// `node` has answered the request `id`, if it was asked.
    pub(in crate::redis) fn answered(&self, node: &NodeTag, id: u64, answer: Answer) {
        if let Some((_, waiting)) = self.asked.remove_if(&id, |_, waiting| waiting.node == *node) {
            // Who asked may have stopped waiting.
            let _ = waiting.answer.send(answer);
        }
    }

    /// Begins to work for another node. `None` where too much is done already.
    pub(in crate::redis) fn start_work(&self, from: &NodeTag, id: u64) -> Option<CancellationToken> {
        if self.work.len() >= MAX_OUTSTANDING {
            return None;
        }
        let stopped = CancellationToken::new();
        self.work.insert((from.clone(), id), stopped.clone());
        Some(stopped)
    }

    /// That work is done, or nobody waits for it any more.
    pub(in crate::redis) fn stop_work(&self, from: &NodeTag, id: u64) {
        if let Some((_, stopped)) = self.work.remove(&(from.clone(), id)) {
            stopped.cancel();
        }
    }

    /// `node` is dead: it answers nothing and waits for nothing.
    pub(in crate::redis) fn bury(&self, node: &NodeTag) {
        self.end(RouteError::Gone, |name| name == node);
    }

    /// The nodes are out of each other's reach.
    pub(in crate::redis) fn cut(&self) {
        self.end(RouteError::Unreachable, |_| true);
    }

    fn end(&self, reason: RouteError, is_meant: impl Fn(&NodeTag) -> bool) {
        let ids: Vec<u64> = self
            .asked
            .iter()
            .filter(|waiting| is_meant(&waiting.node))
            .map(|waiting| *waiting.key())
            .collect();
        for id in ids {
            if let Some((_, waiting)) = self.asked.remove(&id) {
                let _ = waiting.answer.send(Err(reason));
            }
        }
        self.work.retain(|(from, _), stopped| {
            let is_over = is_meant(from);
            if is_over {
                stopped.cancel();
            }
            !is_over
        });
    }

    /// A number that no frame of this node had.
    pub(in crate::redis) fn next_nonce(&self) -> u64 {
        self.last_nonce.fetch_add(1, Ordering::Relaxed)
    }

    /// The key under which `sender` seals.
    pub(in crate::redis) fn key(&self, ring: &Ring, sender: &NodeTag) -> Option<Arc<FrameKey>> {
        let mut keys = self.keys.lock();
        if keys.secret != ring.secret || keys.of.len() >= MAX_KEYS {
            keys.secret.clone_from(&ring.secret);
            keys.of.clear();
        }
        if let Some(key) = keys.of.get(sender) {
            return Some(Arc::clone(key));
        }
        let key = Arc::new(ring.seals().next()?.frames_of(sender).ok()?);
        keys.of.insert(sender.clone(), Arc::clone(&key));
        Some(key)
    }
}
