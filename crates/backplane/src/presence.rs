//! Who is online, on any node.

use async_trait::async_trait;
use carillon_protocol::{
    adapter::Broadcast,
    id::UserId,
    presence::{OnlineUser, Status},
    time::Timestamp,
};

use crate::Result;

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

    /// Announces that `user` came or went: gives `events` to every node as [`crate::Fanout::publish`] does, if that is still
    /// to be announced at the moment at which they get their place among all events. Answers whether it was. Where nobody
    /// may know of the user there are no events, and the change is done with.
    ///
    /// # Errors
    /// Where the other nodes are out of reach: nobody gets the events, and the change comes by
    /// [`crate::Inbound::presence_changed`] if it is still to be announced later.
    async fn announce(&self, user: &UserId, status: Status, events: Vec<Broadcast>) -> Result<bool>;

    /// Everyone who is online, sorted by user id.
    async fn online(&self) -> Result<Vec<OnlineUser>>;
}
