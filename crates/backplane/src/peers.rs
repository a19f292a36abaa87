//! What a server asks of all servers on the same Redis, Node servers with their Redis adapter among them.

use std::time::Duration;

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{adapter::Broadcast, id::Room, value::Value};

use crate::Result;

/// Which sockets are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The namespace, with its slash.
    pub nsp: ByteString,
    /// Each socket in at least one of these rooms; none named means all.
    pub rooms: Vec<Room>,
    /// But none in one of these. A socket's own id is a room.
    pub except: Vec<Room>,
}

/// A socket as other servers see it. It holds no token and no header.
#[derive(Debug, Clone, PartialEq)]
pub struct SocketSummary {
    /// Its public id.
    pub id: ByteString,
    /// The rooms it is in, its own id not among them where it is one of ours.
    pub rooms: Vec<Room>,
    /// What the application tells of it: an object.
    pub data: Value,
    /// The client's address.
    pub address: ByteString,
    /// When it connected, in milliseconds since 1970.
    pub issued: i64,
}

/// Operations on the sockets of all servers.
#[async_trait]
pub trait Peers: Send + Sync {
    /// How many servers there are, this one included.
    async fn server_count(&self) -> Result<usize>;

    /// The selected sockets of all servers. An error where one does not answer in time (5 s).
    async fn fetch_sockets(&self, selection: &Selection) -> Result<Vec<SocketSummary>>;

    /// Puts the selected sockets of all servers into `rooms`.
    async fn join(&self, selection: &Selection, rooms: &[Room]) -> Result<()>;

    /// Takes them out of `rooms`.
    async fn leave(&self, selection: &Selection, rooms: &[Room]) -> Result<()>;

    /// Sends them away (DISCONNECT), and with `close` closes their connections.
    async fn disconnect(&self, selection: &Selection, close: bool) -> Result<()>;

    /// Gives an event to sockets of all servers and collects their answers, as many as come within `timeout`.
    /// It is not kept for recovery.
    async fn ask(&self, broadcast: Broadcast, timeout: Duration) -> Result<Vec<Value>>;

    /// An event for the other servers themselves.
    async fn server_side_emit(&self, nsp: &str, args: Vec<Value>) -> Result<()>;

    /// The same, with each server's answer, as many as come in time (5 s).
    async fn server_side_ask(&self, nsp: &str, args: Vec<Value>) -> Result<Vec<Value>>;
}
