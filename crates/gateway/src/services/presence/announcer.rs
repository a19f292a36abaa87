//! Changes of presence on their way to everybody. They are gathered for a moment: what comes together is written together, many
//! frames in a write, and of what is undone meanwhile nobody hears.

use std::{collections::HashSet, sync::Arc, time::Duration};

use carillon_backplane::{Announcement, Backplane};
use carillon_protocol::{
    event,
    id::{Room, UserId},
    presence::Status,
    time::Timestamp,
};
use carillon_store::Store;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::Scope;
use crate::{clock::Clock, services::broadcast, telemetry::Metrics};

/// How long after the first of them changes are gathered: with what a timer and the backplane take nobody is told more than
/// 50 ms late.
pub(super) const WINDOW: Duration = Duration::from_millis(40);

/// Most changes that are announced before sockets get to write: as many frames as go into one write, and few beside those that
/// may wait for a connection ([`carillon_protocol::limits::MAX_QUEUE_PACKETS`]).
const MAX_TOGETHER: usize = 32;

/// Most rooms that changes which are announced together may name: each is a key of one script in Redis.
const MAX_ROOMS: usize = 1_000;

/// Most changes that wait here. The backplane of a cluster brings up again what is more.
const MAX_GATHERED: usize = 100_000;

/// Tells of changes.
pub(super) struct Announcer {
    pub(super) store: Arc<dyn Store>,
    pub(super) backplane: Arc<dyn Backplane>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) scope: Scope,
    pub(super) metrics: Arc<Metrics>,
    /// Owns what waits until changes are gathered.
    pub(super) tasks: TaskTracker,
    pub(super) gathered: Mutex<Gathered>,
}

/// What is to be announced.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    changes: Vec<Change>,
    /// The same, to be told of no change twice.
    known: HashSet<(UserId, Status)>,
    /// When the first of them came.
    since: Option<Instant>,
    /// A task announces them when it is time.
    has_task: bool,
}

#[derive(Debug)]
struct Change {
    user: UserId,
    status: Status,
    at: Timestamp,
}

impl Announcer {
    /// Has everybody told, soon, that a user came or went, if that is still so then.
    pub(super) fn gather(self: &Arc<Self>, user: &UserId, status: Status) {
        let needs_task = {
            let mut gathered = self.gathered.lock();
            gathered.add(user, status, self.clock.now()) && !std::mem::replace(&mut gathered.has_task, true)
        };
        if !needs_task {
            return;
        }
        let announcer = Arc::clone(self);
        self.tasks.spawn(async move {
            while let Some(due) = announcer.due() {
                tokio::time::sleep_until(due).await;
                announcer.announce_gathered().await;
            }
        });
    }

    /// When what is gathered is to be announced. Where there is nothing, the task that asks ends.
    fn due(&self) -> Option<Instant> {
        let mut gathered = self.gathered.lock();
        gathered.has_task = gathered.since.is_some();
        gathered.since.map(|since| since + WINDOW)
    }

    /// Announces what is gathered so far. Nobody waits to be told of a fault, so it goes to the log alone; the backplane brings up
    /// again what could not be announced.
    pub(super) async fn announce_gathered(&self) {
        let changes = self.gathered.lock().take();
        let mut fault = None;
        for changes in changes.chunks(MAX_TOGETHER) {
            let announcements = join_all(changes.iter().map(|change| self.announcement(change))).await;
            for together in batches(announcements.into_iter().flatten()) {
                fault = self.announce(together).await.err().or(fault);
            }
            tokio::task::yield_now().await;
        }
        if let Some(error) = fault {
            tracing::warn!(reason = error.reason, "presence not announced yet");
        }
    }

    async fn announce(&self, together: Vec<Announcement>) -> carillon_backplane::Result<()> {
        let told = together.iter().map(|one| one.event.as_ref().map(|_| one.status));
        let told: Vec<Option<Status>> = told.collect();
        let announced = self.backplane.announce(together).await?;
        let told = told.into_iter().zip(announced);
        told.filter_map(|(status, announced)| status.filter(|_| announced))
            .for_each(|status| self.metrics.events.presence(status));
        Ok(())
    }

    /// What is told of a change, and to whom; `None` where that cannot be found out.
    async fn announcement(&self, change: &Change) -> Option<Announcement> {
        let Change { user, status, at } = change;
        let rooms = match self.scope {
            Scope::All => Some(Vec::new()),
            Scope::Contacts => match self.store.contacts(user).await {
                // No rooms would mean everybody.
                Ok(contacts) if contacts.is_empty() => None,
                Ok(contacts) => Some(contacts.iter().map(Room::of_user).collect()),
                Err(error) => {
                    tracing::warn!(%error, "presence not announced");
                    return None;
                }
            },
        };
        let event = |rooms| {
            let event = event::user_status_change(user, *status, *at);
            broadcast(event, rooms, vec![Room::of_user(user)])
        };
        Some(Announcement {
            user: user.clone(),
            status: *status,
            event: rooms.map(event),
        })
    }
}

/// What is announced together: as many as name no more than [`MAX_ROOMS`] rooms, or one alone.
fn batches(announcements: impl Iterator<Item = Announcement>) -> Vec<Vec<Announcement>> {
    let (mut batches, mut rooms) = (Vec::<Vec<_>>::new(), 0);
    for announcement in announcements {
        let named = announcement.event.as_ref().map_or(0, |event| event.rooms.len());
        rooms += named;
        match batches.last_mut().filter(|_| rooms <= MAX_ROOMS) {
            Some(batch) => batch.push(announcement),
            None => {
                rooms = named;
                batches.push(vec![announcement]);
            }
        }
    }
    batches
}

impl Gathered {
    /// Adds a change; `false` where it is known already, or there is no place.
    fn add(&mut self, user: &UserId, status: Status, at: Timestamp) -> bool {
        if self.changes.len() >= MAX_GATHERED || !self.known.insert((user.clone(), status)) {
            return false;
        }
        self.since.get_or_insert_with(Instant::now);
        self.changes.push(Change {
            user: user.clone(),
            status,
            at,
        });
        true
    }

    fn take(&mut self) -> Vec<Change> {
        self.known = HashSet::new();
        self.since = None;
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests;
