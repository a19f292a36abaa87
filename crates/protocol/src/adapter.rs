//! What nodes tell each other over Redis, in the words of Socket.IO's Redis adapter for Node, so that Node servers and
//! Node emitters can be part of a cluster.
//!
//! Two dialects over the same types: [`classic`] (`createAdapter`, msgpack over PUBLISH) and [`sharded`]
//! (`createShardedAdapter`, JSON or msgpack over SPUBLISH). Nothing here talks to Redis. What is written here is never
//! malformed: one message that Node cannot read ends every Node server of the cluster. What is read may be anything.
//!
//! A broadcast that is kept for recovery carries two flags that Node servers ignore: `offset`, its place in the log, which
//! Redis itself puts into the [`KeptTemplate`], and `id`, which tells a late copy.

pub mod channel;
pub mod classic;
pub mod cluster;
mod offset;
mod reader;
mod remote_socket;
pub mod sharded;
mod writer;

use bytes::{BufMut as _, Bytes, BytesMut};
use bytestring::ByteString;

use crate::{event::Event, id::Room};

pub use offset::{Epoch, OFFSET_WIDTH, Offset};

/// An event for the sockets of some rooms, on every node.
///
/// Of the flags that Node sends along, `volatile` alone means something here. `compress` is a hint to Node's WebSocket
/// library, `broadcast`, `binary` and `local` have done their work before the sending, and `timeout` belongs to
/// broadcasts that want acks ([`cluster::Operation::Broadcast`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Broadcast {
    /// The namespace, with its slash: `/`.
    pub nsp: ByteString,
    /// Name and arguments.
    pub event: Event,
    /// Who gets it: each socket that is in at least one of these rooms; none named means everybody.
    pub rooms: Vec<Room>,
    /// Who does not: each socket that is in one of these rooms. A socket's own id is a room.
    pub except: Vec<Room>,
    /// May be dropped where a connection's queue is full; never kept for recovery.
    pub volatile: bool,
}

/// A broadcast as it came from another node, or back from Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Who sent it: the node's adapter, or `emitter`.
    pub uid: ByteString,
    /// What was sent.
    pub broadcast: Broadcast,
    /// Its place in the log. Anyone who can publish can write it: believe it only where `uid` is one of Carillon's own.
    pub kept: Option<Kept>,
}

/// What a broadcast that is kept for recovery carries besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its place in the log.
    pub offset: Offset,
    /// The same in each copy of it, and in no other broadcast: 1 to [`MAX_KEPT_ID_BYTES`] bytes.
    pub id: ByteString,
}

/// Longest [`Kept::id`], in bytes.
pub const MAX_KEPT_ID_BYTES: usize = 64;

/// A broadcast with a hole for its offset: what is published is `prefix`, [`OFFSET_WIDTH`] bytes of [`Offset`] text, `suffix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTemplate {
    /// What comes before the offset.
    pub prefix: Bytes,
    /// What comes after it; may be empty.
    pub suffix: Bytes,
}

impl KeptTemplate {
    /// Cuts `bytes` at `hole`, which lies within them.
    fn new(bytes: Vec<u8>, hole: usize) -> Self {
        let mut prefix = Bytes::from(bytes);
        let suffix = prefix.split_off(hole.min(prefix.len()));
        Self { prefix, suffix }
    }

    /// The broadcast with its offset, as Redis puts it together.
    #[must_use]
    pub fn fill(&self, offset: Offset) -> Bytes {
        let mut filled = BytesMut::with_capacity(self.prefix.len() + OFFSET_WIDTH + self.suffix.len());
        filled.put_slice(&self.prefix);
        filled.put_slice(&offset.to_bytes());
        filled.put_slice(&self.suffix);
        filled.freeze()
    }
}

/// Why a message of another node is not used. None of it is worth more than a counter and a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is no message of this dialect.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// It is for a namespace other than its channel's.
    #[error("for another namespace")]
    OtherNamespace,
    /// Its event has a name that clients refuse.
    #[error("a reserved event name")]
    ReservedEvent,
    /// It has more binary than clients take.
    #[error("too many attachments")]
    TooManyAttachments,
    /// A message type that is not known here.
    #[error("an unknown message type")]
    UnknownType,
}
