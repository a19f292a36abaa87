//! Who is online, on any node.

use async_trait::async_trait;
use carillon_protocol::{
    adapter::Broadcast,
    id::UserId,
    presence::{OnlineUser, Status},
    time::Timestamp,
};

use crate::Result;

/// That a user came or went, as everybody is to hear it.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Who.
    pub user: UserId,
    /// Whether the user came or went.
    pub status: Status,
    /// What is told. `None` where nobody may know of the user: then the change is done with.
    pub event: Option<Broadcast>,
}

/// Who is online, on any node.
///
/// A user is online from the first connection until [`Presence::settle`] finds none; so a caller that waits between
/// the two gives a user the time to come back unnoticed. A connection counts on this node also where the call fails:
/// the other nodes learn of it later, and what changes by that comes by [`crate::Inbound::presence_changed`].
///
/// A change is to be announced until [`Presence::announce`] does it, or until the user has come back or gone again: then
/// nobody hears of either. Where the node that should announce it does not, another one does.
#[async_trait]
pub trait Presence: Send + Sync {
    /// One more connection of `user` on this node, at `at`. Answers whether this node is to announce that the user
    /// came: [`Presence::announce`].
    async fn connect(&self, user: &UserId, at: Timestamp) -> Result<bool>;

    /// One connection less. Answers whether none is left on any node: [`Presence::settle`] it after the grace.
    async fn disconnect(&self, user: &UserId) -> Result<bool>;

    /// Takes a user without connections offline. Answers whether this node is to announce that the user went.
    async fn settle(&self, user: &UserId) -> Result<bool>;

    /// Announces that users came or went, together: gives the event of each to every node as [`crate::Fanout::publish`] does, in
    /// this order, if the change is still to be announced at the moment at which the event gets its place among all
    /// events. Answers for each whether it was.
    ///
    /// # Errors
    /// Where the other nodes are out of reach. Changes that are still to be announced later come by
    /// [`crate::Inbound::presence_changed`].
    async fn announce(&self, announcements: Vec<Announcement>) -> Result<Vec<bool>>;

    /// Everyone who is online, sorted by user id.
    async fn online(&self) -> Result<Vec<OnlineUser>>;
}
