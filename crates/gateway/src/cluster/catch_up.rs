//! Catching up: what a node's sockets missed while the other nodes were out of its reach comes from the store, in order
//! and once.
//!
//! For each chat with sockets here the `seq` of the last message given is known ([`order`]). A message that was given before is
//! dropped; one that leaves a gap, and all after an outage, are read from the store with what is missing before them: a message is
//! stored before it is published, so nothing has to be kept here meanwhile. Notifications are compared with the inbox after an
//! outage. Only what Carillon's nodes publish counts; what other servers send is passed on as it comes.
//!
//! # Offsets
//!
//! A client recovers from the last offset that it was given, so an offset says that nothing before it is missing. That is not so
//! from the beginning of an outage until all is read that was missed, nor from a gap in a chat until that is filled. It is not
//! enough that the epoch ends with an outage: the node is back under the new epoch, and its events of other rooms would carry
//! clients past what is still to be read. Meanwhile what is kept carries an offset that is nowhere
//! ([`carillon_protocol::adapter::Offset::NOWHERE`]), whatever its place in the log, and so does what was read from the store and what is delivered here alone. A client that comes
//! back with it, to whichever node, is new: it lacks nothing that the log would not give it, and is given nothing twice. (With no
//! offset at all it would keep an older one, which may still be good, and be given again what it got since.) The next event after
//! that has an offset again.
//!
//! A copy of something that was given before is dropped, and its place in the log with it: a client that was told an earlier
//! place since would be given it again when it comes back. So a gap lasts a little longer than the reading, until what was read has
//! surely been published; and what this node's sockets were given alone is a gap until the other nodes have it
//! ([`Services::announce_backlog`](crate::services::Services::announce_backlog)).
//!
//! For the same reason nobody is recovered on a node in that state, or moved to or from it, and joining a room does not move an
//! offset: what is read would come to sockets that had it elsewhere.

mod chats;
mod notifications;
mod order;
mod outlet;

use std::{sync::Arc, time::Duration};

use carillon_backplane::Place;
use carillon_protocol::{
    adapter::Broadcast,
    chat::Pair,
    id::{ObjectId, Room, UserId},
    time::Timestamp,
    value::Value,
};
use carillon_store::{Store, StoreError};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{chats::Chats, notifications::Inboxes, outlet::Outlet};
use crate::{
    clock::Clock,
    gaps::{Gap, Gaps},
    sockets::NAMESPACE,
    telemetry::{Metrics, metrics},
};

pub(super) use outlet::Deliver;

/// What was published at a time may have been made by so much earlier: clocks differ, and it had to be stored first.
const MADE_EARLIER_MS: i64 = 5_000;
/// How many chats and inboxes are read at once.
const READS_AT_ONCE: usize = 16;
/// Within this time after it was stored a message is published, or its node is gone.
const SETTLING: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What this node's sockets missed of chats and notifications.
pub struct CatchUp {
    outlet: Arc<Outlet>,
    chats: Arc<Chats>,
    inboxes: Arc<Inboxes>,
    clock: Arc<dyn Clock>,
    /// The outage that is not yet caught up with.
    outage: Mutex<Option<Outage>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    metrics: Arc<Metrics>,
}

/// A time without the other nodes.
#[derive(Debug)]
struct Outage {
    /// Nothing that was made before then is missing.
    since: Timestamp,
    gap: Gap,
}

impl std::fmt::Debug for CatchUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatchUp")
            .field("outage", &self.outage)
            .finish_non_exhaustive()
    }
}

/// What an event is, as far as it may be missed.
enum Kind<'a> {
    Message { room: &'a Room, seq: u64 },
    Notification { room: &'a Room, id: ObjectId },
    Other,
}

impl<'a> Kind<'a> {
    fn of(broadcast: &'a Broadcast) -> Self {
        let Broadcast {
            nsp, event, rooms, ..
        } = broadcast;
        let ([room], [Value::String(name), payload, ..]) = (&**rooms, &**event) else {
            return Self::Other;
        };
        if nsp != NAMESPACE {
            return Self::Other;
        }
        let kind = match &**name {
            "receiveMessage" => payload
                .get("seq")
                .and_then(Value::as_u64)
                .map(|seq| Self::Message { room, seq }),
            "notification" => payload
                .get("_id")
                .and_then(Value::as_text)
                .and_then(|id| ObjectId::parse(id))
                .map(|id| Self::Notification { room, id }),
            _ => None,
        };
        kind.unwrap_or(Self::Other)
    }
}

impl CatchUp {
    /// Nothing is missed yet; `gaps` tells others when something is. `tasks` owns the reading of it, until `stopping`: the
    /// node's sockets are gone.
    #[must_use]
    pub fn new(
        deliver: Deliver,
        gaps: Gaps,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
        stopping: CancellationToken,
        metrics: Arc<Metrics>,
    ) -> Self {
        let outlet = Arc::new(Outlet::new(deliver, gaps));
        Self {
            chats: Arc::new(Chats::new(Arc::clone(&outlet), Arc::clone(&store))),
            inboxes: Arc::new(Inboxes::new(Arc::clone(&outlet), store)),
            outlet,
            clock,
            outage: Mutex::default(),
            tasks,
            stopping,
            metrics,
        }
    }

    /// A room has its first socket on this node. Short, and takes no lock that is held in [`CatchUp::deliver`].
    pub fn occupied(&self, room: &Room) {
        let now = self.clock.now();
        if let Some(pair) = Pair::of_room(room) {
            self.chats.occupied(room, pair, now);
        } else if let Some(user) = user_of(room) {
            self.inboxes.occupied(user, now);
        }
    }

    /// The last socket has left a room: nothing is missed there any more.
    pub fn vacated(&self, room: &Room) {
        self.chats.vacated(room);
        if let Some(user) = user_of(room) {
            self.inboxes.vacated(&user);
        }
    }

    /// Gives an event to this node's sockets, unless they had it, or something before it is missing.
    pub fn deliver(&self, broadcast: &Broadcast, place: Place) {
        if place == Place::Unkept {
            return self.outlet.give(broadcast, place);
        }
        match Kind::of(broadcast) {
            Kind::Message { room, seq } => {
                if let Some(behind) = self.chats.deliver(room, seq, broadcast, place) {
                    let (chats, gap) = (Arc::clone(&self.chats), self.outlet.gaps.open());
                    let metrics = Arc::clone(&self.metrics);
                    self.spawn(gap, async move {
                        let is_filled = chats.fill(behind).await;
                        metrics.events.gap(if is_filled {
                            metrics::Gap::Repaired
                        } else {
                            metrics::Gap::Resync
                        });
                    });
                }
            }
            Kind::Notification { room, id } => self.inboxes.deliver(room, id, broadcast, place),
            Kind::Other => self.outlet.give(broadcast, place),
        }
    }

    /// The other nodes are out of reach. What was published less than `unsure` ago may be missing already.
    pub fn interrupted(&self, unsure: Duration) {
        let unsure = i64::try_from(unsure.as_millis()).unwrap_or(i64::MAX);
        let earlier = unsure.saturating_add(MADE_EARLIER_MS);
        self.outage.lock().get_or_insert_with(|| Outage {
            since: self.clock.now().plus_millis(-earlier),
            gap: self.outlet.gaps.open(),
        });
    }

    /// They are back: reads what was missed.
    pub fn resumed(&self) {
        let Some(Outage { since, gap }) = self.outage.lock().take() else {
            return;
        };
        let (behind, users) = (self.chats.interrupted(since), self.inboxes.users());
        tracing::info!(
            chats = behind.len(),
            users = users.len(),
            "reading what was missed"
        );
        let (chats, inboxes) = (Arc::clone(&self.chats), Arc::clone(&self.inboxes));
        self.spawn(gap, async move {
            stream::iter(behind)
                .for_each_concurrent(READS_AT_ONCE, |chat| async { _ = chats.fill(chat).await })
                .await;
            stream::iter(users)
                .for_each_concurrent(READS_AT_ONCE, |(user, present)| {
                    inboxes.catch_up(user, present, since)
                })
                .await;
        });
    }

    /// Closes `gap` with the end of `work`.
    fn spawn(&self, gap: Gap, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            let settled = async {
                work.await;
                tokio::time::sleep(SETTLING).await;
            };
            stopping.run_until_cancelled(settled).await;
            drop(gap);
        });
    }
}

fn user_of(room: &Room) -> Option<UserId> {
    UserId::parse(room.as_str().strip_prefix("user_")?.to_owned()).ok()
}

/// Tries a read of the store until it works; `None` where it never will.
async fn read<T, F: Future<Output = carillon_store::Result<T>>>(mut attempt: impl FnMut() -> F) -> Option<T> {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt().await {
            Ok(value) => return Some(value),
            Err(error @ StoreError::Unavailable { .. }) => tracing::debug!(%error, "not caught up yet"),
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%error, "what was missed is not caught up with");
                return None;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests;
