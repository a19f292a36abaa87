//! Use cases: what a client's request does, without HTTP and without sockets. Each works over the store, the
//! backplane and the clock alone. Callers have already decided that the user may do it.

pub mod accepted;
mod backlog;
mod batches;
pub mod chats;
mod lanes;
pub mod messages;
pub mod notifications;
pub mod presence;
pub(crate) mod retold;
#[cfg(test)]
pub(crate) mod testing;
pub mod typing;

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use carillon_backplane::Backplane;
use carillon_protocol::{
    adapter::Broadcast,
    event::Event,
    id::Room,
    problem::{Code, Problem},
};
use carillon_store::{Store, StoreError};
use tokio_util::task::TaskTracker;

use crate::{clock::Clock, gaps::Gaps, telemetry::Metrics};

pub use backlog::Waiting;

/// After what time a retry of something that was unavailable is worth it, in milliseconds.
pub const RETRY_UNAVAILABLE_MS: u64 = 1_000;

/// How often is looked whether the other nodes can be told what they were not.
const BACKLOG_INTERVAL: Duration = Duration::from_millis(500);

/// What a use case answers.
pub type Result<T> = std::result::Result<T, Problem>;

/// The refusal that clients see for a store's fault; the fault itself goes to the log alone.
pub(crate) fn store_problem(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable { reason } => {
            tracing::warn!(reason, "store unavailable");
            Problem::new(Code::Unavailable, "the store is not available").retry_after(RETRY_UNAVAILABLE_MS)
        }
        StoreError::Corrupt { reason } => {
            tracing::error!(reason, "store failed");
            Problem::new(Code::Internal, "the store failed")
        }
    }
}

/// The same for the backplane.
pub(crate) fn backplane_problem(error: carillon_backplane::Unavailable) -> Problem {
    let carillon_backplane::Unavailable { reason } = error;
    tracing::warn!(reason, "backplane unavailable");
    Problem::new(Code::Unavailable, "the backplane is not available").retry_after(RETRY_UNAVAILABLE_MS)
}

/// An event in the main namespace for the sockets in `rooms`, kept for those who may be recovered. No rooms: everybody.
pub(crate) fn broadcast(event: Event, rooms: Vec<Room>, except: Vec<Room>) -> Broadcast {
    Broadcast {
        nsp: ByteString::from_static("/"),
        event,
        rooms,
        except,
        volatile: false,
    }
}

/// What is measured of messages and notifications.
#[derive(Debug, Clone)]
pub struct Measures {
    /// What comes of them.
    pub metrics: Arc<Metrics>,
    /// Which of them are being announced.
    pub accepted: Arc<accepted::Accepted>,
}

/// All use cases of a node.
pub struct Services {
    /// Sending, reading and marking messages.
    pub messages: Arc<messages::Messages>,
    /// Creating, listing and marking notifications.
    pub notifications: notifications::Notifications,
    /// Chat lists and counts.
    pub chats: chats::Chats,
    /// Who is typing.
    pub typing: typing::Typing,
    /// Who is online.
    pub presence: Arc<presence::Presence>,
    /// What is being announced.
    pub accepted: Arc<accepted::Accepted>,
    backplane: Arc<dyn Backplane>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

impl Services {
    /// All of them over the same store, backplane and clock. `tasks` owns what a service leaves running.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        backplane: Arc<dyn Backplane>,
        clock: Arc<dyn Clock>,
        scope: presence::Scope,
        gaps: Gaps,
        tasks: TaskTracker,
        metrics: Arc<Metrics>,
    ) -> Self {
        let accepted = Arc::new(accepted::Accepted::default());
        let measures = Measures {
            metrics: metrics.clone(),
            accepted: accepted.clone(),
        };
        Self {
            messages: Arc::new(messages::Messages::new(
                store.clone(),
                backplane.clone(),
                clock.clone(),
                gaps.clone(),
                tasks.clone(),
                measures.clone(),
            )),
            notifications: notifications::Notifications::new(
                store.clone(),
                backplane.clone(),
                clock.clone(),
                gaps,
                measures,
            ),
            chats: chats::Chats::new(store.clone()),
            typing: typing::Typing::new(backplane.clone(), clock.clone(), metrics.clone()),
            presence: Arc::new(presence::Presence::new(
                store,
                backplane.clone(),
                clock,
                scope,
                tasks,
                metrics,
            )),
            accepted,
            backplane,
        }
    }

    /// Tells the other nodes what only this node's sockets were told, whenever they are in reach; for ever.
    pub async fn keep_announcing(&self) {
        loop {
            tokio::time::sleep(BACKLOG_INTERVAL).await;
            self.announce_backlog().await;
        }
    }

    /// Tells the other nodes what only this node's sockets were told while they were out of reach. What cannot be told yet
    /// goes on waiting.
    pub async fn announce_backlog(&self) {
        if self.waiting().now > 0 && self.backplane.health().is_up {
            tokio::join!(
                self.messages.announce_local(),
                self.notifications.announce_local()
            );
        }
    }

    /// Tells the others, before the node leaves them, what would be told later.
    pub async fn announce_rest(&self) {
        tokio::join!(self.announce_backlog(), self.presence.announce_gathered());
    }

    /// What the other nodes are still to be told.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let (messages, notifications) = (self.messages.waiting(), self.notifications.waiting());
        Waiting {
            now: messages.now + notifications.now,
            dropped: messages.dropped + notifications.dropped,
        }
    }
}
