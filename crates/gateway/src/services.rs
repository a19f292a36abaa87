//! Use cases: what a client's request does, without HTTP and without sockets. Each works over the store, the
//! backplane and the clock alone. Callers have already decided that the user may do it.

pub mod chats;
mod lanes;
pub mod messages;
pub mod notifications;
pub mod presence;
#[cfg(test)]
pub(crate) mod testing;
pub mod typing;

use std::sync::Arc;

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

use crate::clock::Clock;

/// After what time a retry of something that was unavailable is worth it, in milliseconds.
pub const RETRY_UNAVAILABLE_MS: u64 = 1_000;

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

/// All use cases of a node.
#[derive(Debug)]
pub struct Services {
    /// Sending, reading and marking messages.
    pub messages: messages::Messages,
    /// Creating, listing and marking notifications.
    pub notifications: notifications::Notifications,
    /// Chat lists and counts.
    pub chats: chats::Chats,
    /// Who is typing.
    pub typing: typing::Typing,
    /// Who is online.
    pub presence: Arc<presence::Presence>,
}

impl Services {
    /// All of them over the same store, backplane and clock. `tasks` owns what a service leaves running.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        backplane: Arc<dyn Backplane>,
        clock: Arc<dyn Clock>,
        scope: presence::Scope,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            messages: messages::Messages::new(store.clone(), backplane.clone(), clock.clone()),
            notifications: notifications::Notifications::new(store.clone(), backplane.clone(), clock.clone()),
            chats: chats::Chats::new(store.clone()),
            typing: typing::Typing::new(backplane.clone(), clock.clone()),
            presence: Arc::new(presence::Presence::new(store, backplane, clock, scope, tasks)),
        }
    }
}
