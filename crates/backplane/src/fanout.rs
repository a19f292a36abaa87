//! Events to the sockets of every node.

use async_trait::async_trait;
use carillon_protocol::{adapter::Broadcast, id::Room};

use crate::Result;

/// What became of a message's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// They are in the log and on their way.
    Placed,
    /// They were before; nothing was done.
    Known,
    /// A message before it is not there yet; nothing was done.
    Early {
        /// The `seq` that has to come first.
        expected: u64,
    },
    /// Nothing is known of the chat; nothing was done. [`Fanout::settle_order`] says where it stands.
    Unsettled,
    /// This node's own sockets have them, the other nodes do not, or nobody knows. Publish them again when they are in reach.
    Local,
}

/// Events to the sockets of every node.
#[async_trait]
pub trait Fanout: Send + Sync {
    /// Gives `broadcast` to every node, this one included. It is kept for recovery unless it is volatile.
    /// When it returns, this node's own sockets have it in their queues; a volatile one is at least on its way.
    ///
    /// Where the other nodes are out of reach this node's own sockets get it all the same, and it is no error: the answer is
    /// [`Placement::Local`] then, else [`Placement::Placed`], which it always is for a volatile one.
    async fn publish(&self, broadcast: Broadcast) -> Result<Placement>;

    /// Gives the events of message `seq` of `chat` (a pair's storage key) to every node, as [`Fanout::publish`] does, but once, and only
    /// after those of its predecessor, whichever node publishes them. The events go into the log together.
    async fn publish_in_order(&self, chat: &str, seq: u64, broadcasts: Vec<Broadcast>) -> Result<Placement>;

    /// Says up to which `seq` the events of `chat` were published; of no effect where that is known.
    async fn settle_order(&self, chat: &str, published: u64) -> Result<()>;

    /// Up to which `seq` the events of `chat` were published, as far as is known.
    async fn order(&self, chat: &str) -> Result<Option<u64>>;

    /// What [`Fanout::order`] has answered is not so: nothing is known of `chat` any more, unless something else is by now.
    async fn forget_order(&self, chat: &str, published: u64) -> Result<()>;

    /// `room` has its first socket on this node. Never waits.
    fn occupied(&self, room: &Room);

    /// The last socket on this node has left `room`. Never waits.
    fn vacated(&self, room: &Room);

    /// Waits until this node gets what is published to `rooms`, all of them occupied.
    ///
    /// # Errors
    /// Where the other nodes are out of reach. The rooms are subscribed to as soon as they are back.
    async fn attend(&self, rooms: &[Room]) -> Result<()>;
}
