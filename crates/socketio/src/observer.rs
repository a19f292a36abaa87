//! What is measured of sessions, told to whoever measures. [`Counters`](crate::Counters) counts; this has the times.

use std::time::Duration;

use tokio::time::Instant;

use crate::session::Transport;

/// An event whose way to its clients is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracked {
    /// How it came here.
    pub path: Path,
    /// When it was accepted, on whichever node.
    pub since: Instant,
}

/// How an event comes to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// From a client of this node.
    Local,
    /// From another node.
    Remote,
    /// Later, as the client missed it.
    Recovery,
}

/// What became of an event for one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was given to the client's transport for writing.
    Written,
    /// The client's queue could not take it, and its session has ended.
    DroppedSlow,
    /// The client's session ended before it was written.
    DroppedClosed,
}

/// Told what sessions do. It is called for each message, some of them under a lock: it must be quick and never wait.
pub trait Observer: Send + Sync {
    /// A session has ended that was opened by `transport` so long ago.
    fn closed(&self, transport: Transport, lifetime: Duration);

    /// A client answered a ping.
    fn ponged(&self, transport: Transport, round_trip: Duration);

    /// An event that is measured was delivered to a client, or was not.
    fn delivered(&self, tracked: Tracked, delivery: Delivery);
}
