//! Presence: who is online, and who is told of it.

mod announcer;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use carillon_backplane::{Backplane, Presence as Shared};
use carillon_protocol::{
    id::UserId,
    presence::{OnlineUser, Status},
};
use carillon_store::Store;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use self::announcer::Announcer;
use super::{Result, backplane_problem, lanes::Lanes, store_problem};
use crate::{clock::Clock, telemetry::Metrics};

/// How long a user without connections is still online, so that a quick reconnect is no flapping.
/// The contract allows 500 ms. That the user went is told up to 50 ms after it.
pub const GRACE: Duration = Duration::from_millis(400);

/// Who is told of whom (`CARILLON_PRESENCE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everyone of everyone.
    All,
    /// Only those who have both written to each other.
    Contacts,
}

/// Who is online.
pub struct Presence {
    store: Arc<dyn Store>,
    backplane: Arc<dyn Backplane>,
    clock: Arc<dyn Clock>,
    scope: Scope,
    tasks: TaskTracker,
    announcer: Arc<Announcer>,
    /// A user's changes on this node are made one after the other; those on several the backplane keeps apart.
    changes: Lanes<UserId>,
    graces: Mutex<Graces>,
    /// The backplane does not answer: said once, not for every connection.
    is_away: AtomicBool,
    /// The node sends its clients away.
    is_draining: AtomicBool,
    metrics: Arc<Metrics>,
}

/// Users whose last connection is gone, each with the number of its latest grace: an older one has no effect.
#[derive(Debug, Default)]
struct Graces {
    latest: HashMap<UserId, u64>,
    count: u64,
}

impl Graces {
    fn start(&mut self, user: &UserId) -> u64 {
        self.count += 1;
        self.latest.insert(user.clone(), self.count);
        self.count
    }

    /// Whether grace `number` is still the user's latest; it is over then.
    fn finish(&mut self, user: &UserId, number: u64) -> bool {
        let latest = self.latest.get(user) == Some(&number);
        if latest {
            self.latest.remove(user);
        }
        latest
    }

    /// Whether there was one.
    fn cancel(&mut self, user: &UserId) -> bool {
        self.latest.remove(user).is_some()
    }
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presence")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl Presence {
    /// Over a store (for contacts), a backplane and a clock. `tasks` owns what waits for a grace to pass, and for
    /// changes to be told together.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        backplane: Arc<dyn Backplane>,
        clock: Arc<dyn Clock>,
        scope: Scope,
        tasks: TaskTracker,
        metrics: Arc<Metrics>,
    ) -> Self {
        let announcer = Arc::new(Announcer {
            store: store.clone(),
            backplane: backplane.clone(),
            clock: clock.clone(),
            scope,
            metrics: metrics.clone(),
            tasks: tasks.clone(),
            gathered: Mutex::default(),
        });
        Self {
            store,
            backplane,
            clock,
            scope,
            tasks,
            announcer,
            changes: Lanes::default(),
            graces: Mutex::default(),
            is_away: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            metrics,
        }
    }

    /// One more socket of `user`. The first one is announced to everyone else (`userStatusChange`, online) within
    /// 50 ms, which is not waited for. Where the backplane does not answer the socket counts all the same, and is announced when it is back.
    pub async fn connected(&self, user: &UserId) {
        let place = self.changes.join(user);
        let _turn = place.turn().await;

        let is_news = self.backplane.connect(user, self.clock.now()).await;
        if self.graces.lock().cancel(user) {
            self.metrics.events.presence_suppressed();
        }
        if self.holds(is_news) {
            self.announcer.gather(user, Status::Online);
        }
    }

    /// One socket less. After the last one and the grace, the user is announced offline, unless it came back.
    pub async fn disconnected(self: &Arc<Self>, user: &UserId) {
        if self.is_draining.load(Ordering::Acquire) {
            // The user comes back elsewhere; whoever does not is taken offline when the node has left the cluster.
            return;
        }
        let place = self.changes.join(user);
        let _turn = place.turn().await;

        let last = Shared::disconnect(&*self.backplane, user).await;
        if self.holds(last) {
            let number = self.graces.lock().start(user);
            let (presence, user) = (Arc::clone(self), user.clone());
            self.tasks.spawn(async move {
                tokio::time::sleep(GRACE).await;
                presence.settle(&user, number).await;
            });
        }
    }

    /// From now on sockets go because the node does, and their users are not gone.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Tells at once what else would be told within 50 ms: the node is about to leave the others.
    pub async fn announce_gathered(&self) {
        self.announcer.announce_gathered().await;
    }

    /// Users came or went without that having been announced: announces them, without being waited for.
    pub fn changed_elsewhere(&self, changes: &[(UserId, Status)]) {
        for (user, status) in changes {
            self.announcer.gather(user, *status);
        }
    }

    /// What the backplane answered, `false` where it did not.
    fn holds(&self, answer: carillon_backplane::Result<bool>) -> bool {
        let was_away = self.is_away.swap(answer.is_err(), Ordering::AcqRel);
        match answer {
            Ok(holds) => {
                if was_away {
                    tracing::info!("presence is shared again");
                }
                holds
            }
            Err(error) => {
                if !was_away {
                    tracing::warn!(reason = error.reason, "presence is not shared");
                }
                false
            }
        }
    }

    /// Takes a user offline whose grace is over, unless it came back meanwhile.
    async fn settle(&self, user: &UserId, grace: u64) {
        let place = self.changes.join(user);
        let _turn = place.turn().await;

        if self.graces.lock().finish(user, grace) && self.holds(self.backplane.settle(user).await) {
            self.announcer.gather(user, Status::Offline);
        }
    }

    /// Who is online, as far as `user` may know; `user` itself too.
    ///
    /// # Errors
    /// Where the backplane or the store fails.
    pub async fn online(&self, user: &UserId) -> Result<Vec<OnlineUser>> {
        let mut online = self.backplane.online().await.map_err(backplane_problem)?;
        if self.scope == Scope::Contacts {
            let contacts = self.store.contacts(user).await.map_err(store_problem)?;
            let contacts: HashSet<UserId> = contacts.into_iter().collect();
            online.retain(|line| line.user == *user || contacts.contains(&line.user));
        }
        Ok(online)
    }
}

#[cfg(test)]
mod tests;
