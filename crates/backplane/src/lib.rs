//! Short-lived state that the nodes of a cluster share: fan-out of events, presence, and what a lost session needs to
//! be recovered. Nothing here is durable. [`local`] is the in-process backend, for one node or several in one process.

pub mod local;

use std::sync::Arc;

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{adapter::Broadcast, id::Room, id::UserId, presence::OnlineUser, time::Timestamp};

/// The backplane cannot do its part now: worth a retry. It never means "nobody there".
#[derive(Debug, thiserror::Error)]
#[error("the backplane is not available: {reason}")]
pub struct Unavailable {
    /// What it said, for the log.
    pub reason: String,
}

/// What a backplane operation answers.
pub type Result<T> = std::result::Result<T, Unavailable>;

/// All of a backplane, as one node sees it.
pub trait Backplane: Fanout + Presence + Recovery {}
impl<T: Fanout + Presence + Recovery> Backplane for T {}

/// A place in the recovery log. Opaque to clients, who give back the one they saw last.
pub type Offset = ByteString;

/// The receiving side of a node.
pub trait Inbound: Send + Sync {
    /// Gives an event to the node's own sockets. Never waits. Events with an offset come in the order of the log.
    fn deliver(&self, broadcast: &Broadcast, offset: Option<&Offset>);
}

/// Events to the sockets of every node.
#[async_trait]
pub trait Fanout: Send + Sync {
    /// Gives `broadcast` to every node, this one included. It is kept for recovery unless it is volatile.
    /// When it returns, this node's own sockets have it in their queues.
    async fn publish(&self, broadcast: Broadcast) -> Result<()>;
}

/// Who is online, on any node.
///
/// A user is online from the first connection until [`Presence::settle`] finds none; so a caller that waits between
/// the two gives a user the time to come back unnoticed.
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
}

/// What a session needs to be rebuilt after its connection is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The private id that the client gives back.
    pub pid: ByteString,
    /// The public socket id, which the recovered session keeps.
    pub socket_id: ByteString,
    /// Whose it is: nobody else may recover it.
    pub user: UserId,
    /// The rooms it is in.
    pub rooms: Vec<Room>,
}

/// An event that a session missed.
#[derive(Debug, Clone)]
pub struct Missed {
    /// The event.
    pub broadcast: Arc<Broadcast>,
    /// Its place in the log.
    pub offset: Offset,
}

/// Sessions and the events they may have missed.
#[async_trait]
pub trait Recovery: Send + Sync {
    /// The newest place in the log: a session that joins its rooms after this call has missed nothing before it.
    async fn head(&self) -> Result<Offset>;

    /// Keeps a session's record, from its start and again with every change of its rooms.
    async fn keep(&self, record: SessionRecord) -> Result<()>;

    /// The session's connection is gone: the record is kept for as long as sessions may be recovered.
    async fn lost(&self, pid: &str) -> Result<()>;

    /// The session has ended for good.
    async fn forget(&self, pid: &str) -> Result<()>;

    /// The record under `pid`, if there is one.
    async fn find(&self, pid: &str) -> Result<Option<SessionRecord>>;

    /// Takes the record under `pid` away: of several callers one gets it.
    async fn take(&self, pid: &str) -> Result<Option<SessionRecord>>;

    /// What came after `offset` for a socket that is in `rooms`, in the order of the log. `None` where the log does not
    /// reach back that far, or `offset` is none of its own: something may be missing.
    async fn missed(&self, offset: &str, rooms: &[Room]) -> Result<Option<Vec<Missed>>>;
}
