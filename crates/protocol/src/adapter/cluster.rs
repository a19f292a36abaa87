//! What nodes ask each other and answer, in the words of neither dialect.

use bytestring::ByteString;

use super::{Broadcast, DecodeError};
use crate::{
    event::Event,
    id::Room,
    time::Timestamp,
    value::{Object, Value},
};

/// What a node asks of all nodes of its namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterRequest {
    /// Who asks. Emitters leave it out where nobody answers.
    pub uid: Option<ByteString>,
    /// Answers name it. Always there for [`Operation::Sockets`], [`Operation::AllRooms`], [`Operation::Fetch`] and
    /// [`Operation::Broadcast`]; elsewhere its presence says that an answer is wanted. Not sent with a join, leave or
    /// disconnect: Node answers those of old versions alone.
    pub id: Option<ByteString>,
    /// What is to be done.
    pub operation: Operation,
}

impl ClusterRequest {
    /// Refuses a request that has to be answered and does not say under which id.
    pub(super) fn check_id(self) -> Result<Self, DecodeError> {
        let has_to_be_answered = matches!(
            self.operation,
            Operation::Sockets { .. }
                | Operation::AllRooms
                | Operation::Fetch(_)
                | Operation::Broadcast { .. }
        );
        if has_to_be_answered && self.id.is_none() {
            return Err(DecodeError::Malformed("requestId"));
        }
        Ok(self)
    }
}

/// Some sockets: those in at least one of `rooms` (all, if there is none) and in none of `except`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Who is meant. A socket's own id is a room.
    pub rooms: Vec<Room>,
    /// Who is not.
    pub except: Vec<Room>,
}

/// What is to be done. The first two are of the classic dialect alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Answer with the ids of the sockets in `rooms` ([`Answer::SocketIds`]). Asked by old versions alone.
    Sockets {
        /// Who is meant; none named means all.
        rooms: Vec<Room>,
    },
    /// Answer with the names of all rooms ([`Answer::Rooms`]).
    AllRooms,
    /// Let sockets join rooms. Where a request has an id, it is of an old version and for one socket: the node that has it
    /// answers [`Answer::Done`].
    Join {
        /// Whom.
        target: Target,
        /// Which rooms.
        rooms: Vec<Room>,
    },
    /// Let sockets leave rooms; as [`Operation::Join`].
    Leave {
        /// Whom.
        target: Target,
        /// Which rooms.
        rooms: Vec<Room>,
    },
    /// Disconnect sockets; as [`Operation::Join`].
    Disconnect {
        /// Whom.
        target: Target,
        /// Whether to end their connection too.
        close: bool,
    },
    /// Answer with the sockets ([`Answer::Sockets`]).
    Fetch(Target),
    /// An event for the servers themselves: its name and arguments. Answered by [`Answer::ServerSideEmit`] if there is an id.
    ServerSideEmit(Event),
    /// A broadcast whose receivers acknowledge it. Answer at once with [`Answer::ClientCount`], even if it is 0, and then
    /// with one [`Answer::Ack`] for each ack.
    Broadcast {
        /// The event and its receivers.
        broadcast: Broadcast,
        /// For how long the asking node waits for acks, in milliseconds.
        timeout_ms: Option<u64>,
    },
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterResponse {
    /// The request's id.
    pub request_id: ByteString,
    /// The answer.
    pub answer: Answer,
}

/// What a node answers. [`Answer::SocketIds`], [`Answer::Rooms`] and [`Answer::Done`] are of the classic dialect alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`Operation::Sockets`].
    SocketIds(Vec<ByteString>),
    /// To [`Operation::AllRooms`].
    Rooms(Vec<Room>),
    /// To a join, leave or disconnect of an old version.
    Done,
    /// To [`Operation::Fetch`]. In the classic dialect an answer without sockets is read as this one, whatever was asked.
    Sockets(Vec<RemoteSocket>),
    /// To [`Operation::ServerSideEmit`]: one value.
    ServerSideEmit(Value),
    /// To [`Operation::Broadcast`]: how many sockets have got it here.
    ClientCount(u64),
    /// To [`Operation::Broadcast`]: the first argument of a client's ack.
    Ack(Value),
}

/// A socket of another node.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteSocket {
    /// Its id.
    pub id: ByteString,
    /// How it came.
    pub handshake: HandshakeSummary,
    /// The rooms it is in.
    pub rooms: Vec<Room>,
    /// What the application says about it.
    pub data: Object,
}

/// What nodes tell each other about a handshake: no header, no query and no `auth`, so no token and no cookie either. On
/// the wire those three are empty objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeSummary {
    /// When it was.
    pub issued: Timestamp,
    /// The client's address.
    pub address: ByteString,
    /// The path that was asked for, never with a query.
    pub path: ByteString,
    /// Whether it came over TLS.
    pub is_secure: bool,
    /// Whether it had an `Origin`.
    pub is_cross_domain: bool,
}
