//! Presence: who is online, and who is told of it.

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
    event,
    id::{Room, UserId},
    presence::{OnlineUser, Status},
};
use carillon_store::Store;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use super::{Result, backplane_problem, broadcast, lanes::Lanes, store_problem};
use crate::{clock::Clock, telemetry::Metrics};

/// How long a user without connections is still online, so that a quick reconnect is no flapping.
/// The contract allows 500 ms.
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
    /// A user's changes on this node are made and announced one after the other; those on several the backplane keeps apart.
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
    /// Over a store (for contacts), a backplane and a clock. `tasks` owns what waits for a grace to pass.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        backplane: Arc<dyn Backplane>,
        clock: Arc<dyn Clock>,
        scope: Scope,
        tasks: TaskTracker,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            store,
            backplane,
            clock,
            scope,
            tasks,
            changes: Lanes::default(),
            graces: Mutex::default(),
            is_away: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            metrics,
        }
    }

    /// One more socket of `user`. The first one is announced to everyone else (`userStatusChange`, online). Where the
    /// backplane does not answer the socket counts all the same, and is announced when it is back.
    pub async fn connected(&self, user: &UserId) {
        let place = self.changes.join(user);
        let _turn = place.turn().await;

        let is_news = self.backplane.connect(user, self.clock.now()).await;
        if self.graces.lock().cancel(user) {
            self.metrics.events.presence_suppressed();
        }
        if self.holds(is_news) {
            self.announce(user, Status::Online).await;
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

    /// Users came or went without that having been announced: announces them, without being waited for. With the first that
    /// fails it ends, as the next would too; the backplane brings up the rest again.
    pub fn changed_elsewhere(self: &Arc<Self>, changes: Vec<(UserId, Status)>) {
        let presence = Arc::clone(self);
        self.tasks.spawn(async move {
            for (user, status) in changes {
                let place = presence.changes.join(&user);
                let _turn = place.turn().await;
                if !presence.announce(&user, status).await {
                    return;
                }
            }
        });
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
            self.announce(user, Status::Offline).await;
        }
    }

    /// Tells those who may know, if that is still so when they are found. Answers whether that could be done; nobody waits
    /// for it, so a fault goes to the log alone.
    async fn announce(&self, user: &UserId, status: Status) -> bool {
        let rooms = match self.scope {
            Scope::All => Some(Vec::new()),
            Scope::Contacts => match self.store.contacts(user).await {
                // No rooms would mean everybody.
                Ok(contacts) if contacts.is_empty() => None,
                Ok(contacts) => Some(contacts.iter().map(Room::of_user).collect()),
                Err(error) => {
                    tracing::warn!(%error, "presence not announced");
                    return false;
                }
            },
        };
        let is_secret = rooms.is_none();
        let event = |rooms| {
            let event = event::user_status_change(user, status, self.clock.now());
            broadcast(event, rooms, vec![Room::of_user(user)])
        };
        let events = rooms.map(event).into_iter().collect();
        let announced = self.backplane.announce(user, status, events).await;
        match &announced {
            Ok(true) if !is_secret => self.metrics.events.presence(status),
            Ok(_) => {}
            Err(error) => tracing::warn!(reason = error.reason, "presence not announced yet"),
        }
        announced.is_ok()
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
