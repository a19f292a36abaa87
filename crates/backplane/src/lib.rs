//! Short-lived state that the nodes of a cluster share: fan-out of events, presence, what a lost session needs to be
//! recovered, and the ways from node to node. Nothing here is durable. [`local`] is the in-process backend, for one
//! node alone; [`redis`] joins the nodes of a cluster, and Node servers with their Redis adapter.

pub mod local;
pub mod redis;

mod fanout;
mod inbound;
mod peers;
mod presence;
mod recovery;
mod routing;

use std::time::Duration;

pub use fanout::{Fanout, Placement};
pub use inbound::{Asked, Inbound, Measure, Place};
pub use peers::{Peers, Selection, SocketSummary};
pub use presence::{Announcement, Presence};
pub use recovery::{Missed, Recovery, SessionRecord};
pub use routing::{NodeTag, RouteError, Routing};

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
pub trait Backplane: Fanout + Presence + Recovery + Routing + Peers {
    /// How it does.
    fn health(&self) -> Health;
}

/// How the backplane does, for metrics and `/readyz?verbose`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Whether events go to and come from the other nodes.
    pub is_up: bool,
    /// Nodes of Carillon that live, this one included, as far as this node knows.
    pub nodes: usize,
    /// Rooms that this node is subscribed to.
    pub rooms: usize,
    /// Messages that came over the subscription.
    pub received: u64,
    /// Messages that came and could not be read, or broke the rules.
    pub malformed: u64,
    /// Events given to the other nodes.
    pub published: u64,
    /// Volatile events that were not, because too many waited.
    pub dropped: u64,
    /// Kept events that this node's own sockets alone got, at once, as the others were out of reach.
    pub unshared: u64,
    /// Probes that were not heard in time.
    pub probe_failures: u64,
    /// How often the other nodes were out of reach and came back.
    pub reconnects: u64,
    /// How long they were out of reach, in all.
    pub degraded: Duration,
}
