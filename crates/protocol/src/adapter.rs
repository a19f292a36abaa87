//! What nodes tell each other: a packet for the sockets of some rooms.

use bytestring::ByteString;

use crate::{event::Event, id::Room};

/// An event for the sockets of some rooms, on every node.
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
