//! The receiving side of a node.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use carillon_protocol::{
    adapter::{Broadcast, Offset},
    id::{Room, UserId},
    presence::Status,
    value::Value,
};
use tokio::sync::mpsc;

use crate::{NodeTag, Selection, SocketSummary};

/// What is known of an event's place in the recovery log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is there, at this offset.
    At(Offset),
    /// One of Carillon's nodes published it, and it is not in the log, or nobody knows where.
    Unlogged,
    /// It is not kept: volatile, or another server's.
    Unkept,
}

/// What a backplane measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// A message that the node sent to itself was heard after this time.
    Probe(Duration),
    /// Kept events of the node were heard by the node itself so long after they were given to the backplane.
    Lag(Duration),
    /// The clock that the nodes share showed this, in milliseconds since 1970, so long ago.
    Clock {
        /// What it showed.
        millis: i64,
        /// How long ago, at most by as much wrong.
        ago: Duration,
    },
    /// Users of dead nodes were looked for.
    Sweep,
}

/// Sockets that were asked for an answer.
#[derive(Debug)]
pub struct Asked {
    /// How many.
    pub sockets: usize,
    /// Their answers as they come; it ends with the last one or the timeout.
    pub answers: mpsc::Receiver<Value>,
}

/// What a backplane gives to, and asks of, a node. All but [`Inbound::request`] are called in the order in which things
/// happened for the whole cluster, and never wait.
#[async_trait]
pub trait Inbound: Send + Sync {
    /// Gives an event to the node's own sockets. Events with an offset come in the order of the log.
    fn deliver(&self, broadcast: &Broadcast, place: Place);

    /// Gives an event to the node's own sockets and asks each for an answer.
    fn ask(&self, broadcast: &Broadcast, timeout: Duration) -> Asked;

    /// The node's own sockets among those selected.
    fn sockets(&self, selection: &Selection) -> Vec<SocketSummary>;

    /// The rooms in a namespace that have a socket on this node.
    fn rooms(&self, nsp: &str) -> Vec<Room>;

    /// Puts the node's own sockets among those selected into `rooms`.
    fn join(&self, selection: &Selection, rooms: &[Room]);

    /// Takes them out of `rooms`.
    fn leave(&self, selection: &Selection, rooms: &[Room]);

    /// Sends them away: they are told (DISCONNECT), and with `close` their connections are closed.
    fn disconnect(&self, selection: &Selection, close: bool);

    /// Another server's `serverSideEmit`; the answer, where it wants one.
    fn server_event(&self, nsp: &str, args: &[Value]) -> Value;

    /// Users came or went without that having been announced: their node died, or the backplane was away. Give them to
    /// [`crate::Presence::announce`].
    fn presence_changed(&self, changes: Vec<(UserId, Status)>);

    /// The other nodes are out of reach: what they publish from now on does not come. It was noticed late: of what was published
    /// less than `unsure` ago some may not have come either.
    fn interrupted(&self, unsure: Duration);

    /// They are in reach again, and every room is subscribed to. What was published meanwhile did not come.
    fn resumed(&self);

    /// The fence `id` has passed: see [`crate::Routing::fence`].
    fn fence(&self, id: &str);

    /// For metrics.
    fn measured(&self, _measure: Measure) {}

    /// Another node asks something. Dropped where that node no longer waits for the answer, or is dead.
    async fn request(&self, from: NodeTag, body: Bytes) -> Bytes;
}
