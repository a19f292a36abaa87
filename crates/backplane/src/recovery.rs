//! Sessions that may be recovered, and the events they may have missed.

use std::sync::Arc;

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::{Broadcast, Offset},
    id::{Room, UserId},
};

use crate::{NodeTag, Result};

/// What a session needs to be rebuilt after its connection is gone. It holds no token.
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
    /// The node that had its connection last.
    pub node: NodeTag,
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

    /// Keeps a session's record, from its start and again with every change of its rooms. It outlives its node.
    async fn keep(&self, record: SessionRecord) -> Result<()>;

    /// The session's connection is gone: the record is kept for as long as sessions may be recovered.
    async fn lost(&self, pid: &str) -> Result<()>;

    /// The session has ended for good.
    async fn forget(&self, pid: &str) -> Result<()>;

    /// Another node has the session now and keeps its record.
    fn handed_over(&self, pid: &str);

    /// The record under `pid`, if there is one.
    async fn find(&self, pid: &str) -> Result<Option<SessionRecord>>;

    /// Takes the record under `pid` away: of several callers, on any nodes, one gets it.
    async fn take(&self, pid: &str) -> Result<Option<SessionRecord>>;

    /// What came after `offset` for a socket that is in `rooms`, in the order of the log. `None` where the log does not
    /// reach back that far, or `offset` is none of its own: something may be missing.
    async fn missed(&self, offset: Offset, rooms: &[Room]) -> Result<Option<Vec<Missed>>>;
}
