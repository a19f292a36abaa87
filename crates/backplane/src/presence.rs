//! Who is online, on any node.

use async_trait::async_trait;
use carillon_protocol::{id::UserId, presence::OnlineUser, time::Timestamp};

use crate::Result;

/// Who is online, on any node.
///
/// A user is online from the first connection until [`Presence::settle`] finds none; so a caller that waits between
/// the two gives a user the time to come back unnoticed. A connection counts on this node also where the call fails:
/// the other nodes learn of it later, and what changes by that comes by [`crate::Inbound::presence_changed`].
#[async_trait]
pub trait Presence: Send + Sync {
    /// One more connection of `user` on this node, at `at`. Answers whether the user was offline before: announce it.
    async fn connect(&self, user: &UserId, at: Timestamp) -> Result<bool>;

    /// One connection less. Answers whether none is left on any node: [`Presence::settle`] it after the grace.
    async fn disconnect(&self, user: &UserId) -> Result<bool>;

    /// Takes a user without connections offline. Answers whether this call did it: announce it.
    async fn settle(&self, user: &UserId) -> Result<bool>;

    /// Everyone who is online, sorted by user id.
    async fn online(&self) -> Result<Vec<OnlineUser>>;

    /// Whether `user` is online.
    async fn is_online(&self, user: &UserId) -> Result<bool>;
}
