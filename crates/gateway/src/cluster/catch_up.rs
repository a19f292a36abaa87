//! Catching up: what a node's sockets missed while the other nodes were out of its reach comes from the store, in order
//! and once.
//!
//! For each chat with sockets here the `seq` of the last message given is known. A message that was given before is
//! dropped; one that leaves a gap, and all after an outage, wait until what is missing before them is read. Notifications
//! are compared with the inbox after an outage. What is caught up has no offset: its place in the log has passed.

mod chats;
mod notifications;

use std::{sync::Arc, time::Duration};

use carillon_backplane::Offset;
use carillon_protocol::{
    adapter::Broadcast,
    chat::Pair,
    id::{ObjectId, Room, UserId},
    time::Timestamp,
    value::Value,
};
use carillon_store::Store;
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{chats::Chats, notifications::Inboxes};
use crate::{clock::Clock, sockets::NAMESPACE};

/// An outage has begun by so much earlier than it was noticed, at most.
const NOTICED_LATE_MS: i64 = 5_000;
/// How many chats and inboxes are read at once.
const READS_AT_ONCE: usize = 16;
/// How often a read is tried before what waits is given without it.
const ATTEMPTS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Gives an event to this node's sockets.
pub(super) type Deliver = Arc<dyn Fn(&Broadcast, Option<&Offset>) + Send + Sync>;

/// What this node's sockets missed of chats and notifications.
pub struct CatchUp {
    chats: Arc<Chats>,
    inboxes: Arc<Inboxes>,
    clock: Arc<dyn Clock>,
    /// When the outage began that is not yet caught up with.
    outage: Mutex<Option<Timestamp>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
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
    Notification(ObjectId),
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
                .map(Self::Notification),
            _ => None,
        };
        kind.unwrap_or(Self::Other)
    }
}

impl CatchUp {
    /// Nothing is missed yet. `tasks` owns the reading of what is, until `stopping`.
    #[must_use]
    pub fn new(
        deliver: Deliver,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            chats: Arc::new(Chats::new(deliver.clone(), store.clone())),
            inboxes: Arc::new(Inboxes::new(deliver, store)),
            clock,
            outage: Mutex::default(),
            tasks,
            stopping,
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
    pub fn deliver(&self, broadcast: &Broadcast, offset: Option<&Offset>) {
        match Kind::of(broadcast) {
            Kind::Message { room, seq } => {
                if let Some(gap) = self.chats.deliver(room, seq, broadcast, offset) {
                    let chats = Arc::clone(&self.chats);
                    let since = self.clock.now();
                    self.spawn(async move { chats.fill(gap, since).await });
                }
            }
            Kind::Notification(id) => self.inboxes.deliver(id, broadcast, offset),
            Kind::Other => self.chats.pass_on(broadcast, offset),
        }
    }

    /// The other nodes are out of reach.
    pub fn interrupted(&self) {
        let began = self.clock.now().plus_millis(-NOTICED_LATE_MS);
        self.outage.lock().get_or_insert(began);
    }

    /// They are back: reads what was missed.
    pub fn resumed(&self) {
        let Some(since) = self.outage.lock().take() else {
            return;
        };
        let (behind, users) = (self.chats.all_behind(), self.inboxes.users());
        tracing::info!(
            chats = behind.len(),
            users = users.len(),
            "reading what was missed"
        );
        let (chats, inboxes) = (Arc::clone(&self.chats), Arc::clone(&self.inboxes));
        self.spawn(async move {
            stream::iter(behind)
                .for_each_concurrent(READS_AT_ONCE, |chat| chats.fill(chat, since))
                .await;
            stream::iter(users)
                .for_each_concurrent(READS_AT_ONCE, |(user, occupied_at)| {
                    inboxes.catch_up(user, since.max(occupied_at))
                })
                .await;
        });
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            stopping.run_until_cancelled(work).await;
        });
    }
}

fn user_of(room: &Room) -> Option<UserId> {
    UserId::parse(room.as_str().strip_prefix("user_")?.to_owned()).ok()
}

/// Tries a read of the store until it works; `None` where it does not for long.
async fn read<T, F: Future<Output = carillon_store::Result<T>>>(mut attempt: impl FnMut() -> F) -> Option<T> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..ATTEMPTS {
        match attempt().await {
            Ok(value) => return Some(value),
            Err(error) => tracing::debug!(%error, "not caught up yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    tracing::warn!("the store does not answer: what was missed is not caught up with");
    None
}

#[cfg(test)]
mod tests;
