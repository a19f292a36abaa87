//! What an application decides: who may join, what an event does.

use std::sync::Arc;

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::Offset,
    id::Room,
    value::{Object, Value},
};

use crate::{
    session::{CloseReason, Handshake},
    socket::{MissedEvent, Socket},
};

/// A client asks to join a namespace.
#[derive(Debug)]
pub struct ConnectRequest<'a> {
    /// The namespace, with its slash.
    pub nsp: &'a ByteString,
    /// The client's `auth`: an object, or `Null` where it gave none.
    pub auth: &'a Value,
    /// What the session was opened with.
    pub handshake: &'a Handshake,
    /// The lost session that it asks to have back.
    pub resume: Option<ResumeRequest<'a>>,
}

/// A client asks for a lost session.
#[derive(Debug, Clone, Copy)]
pub struct ResumeRequest<'a> {
    /// The private id it was given.
    pub pid: &'a str,
    /// The offset of the last event it saw; [`Offset::NOWHERE`] where what it gave is no offset.
    pub offset: Offset,
}

/// A client may join.
#[derive(Debug)]
pub struct Admission<D> {
    /// What the application keeps with the socket.
    pub data: D,
    /// The rooms it is in from the start.
    pub rooms: Vec<Room>,
    /// What makes the session recoverable; `None` where it is not.
    pub recovery: Option<RecoveryState>,
}

/// What a recoverable session is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryState {
    /// The private id; the old one where the session is resumed.
    pub pid: ByteString,
    /// The place in the log from which on it misses things.
    pub offset: Offset,
    /// The socket id of the session that is resumed; a new session gets a new one.
    pub resumed_socket: Option<ByteString>,
}

/// A socket that comes from another node.
#[derive(Debug)]
pub struct Arriving<'a> {
    /// The namespace, with its slash.
    pub nsp: &'a ByteString,
    /// The socket's public id, which it keeps.
    pub id: &'a ByteString,
    /// The private id, which it keeps.
    pub pid: Option<&'a ByteString>,
    /// What its session was opened with, without the headers.
    pub handshake: &'a Handshake,
    /// What [`Handler::depart`] answered with.
    pub data: Value,
}

/// A client may not join: `{message, data?}` of the CONNECT_ERROR.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// For people; clients compare it, too.
    pub message: String,
    /// For programs.
    pub data: Option<Value>,
}

impl Refusal {
    /// A refusal without data.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }

    pub(crate) fn into_value(self) -> Value {
        let mut object = Object::with_capacity(2);
        object.push("message", self.message);
        if let Some(data) = self.data {
            object.push("data", data);
        }
        Value::Object(object)
    }
}

/// Why a socket left its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The client said so: it will not come back by itself.
    Client,
    /// The server said so: the client knows, and will not come back by itself.
    Server,
    /// Its session ended.
    Session(CloseReason),
}

impl DisconnectReason {
    /// As Socket.IO names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client namespace disconnect",
            Self::Server => "server namespace disconnect",
            Self::Session(reason) => reason.as_str(),
        }
    }
}

/// An application over Socket.IO; `D` is what it keeps with each socket.
///
/// The calls of one session come one after the other, in the order of its packets: a slow call slows the one client
/// that waits for it.
#[async_trait]
pub trait Handler<D: Send + Sync + 'static>: Send + Sync + 'static {
    /// Whether there is such a namespace.
    fn serves(&self, nsp: &str) -> bool;

    /// A client asks to join.
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission<D>, Refusal>;

    /// A client will have joined: its socket is in its rooms, and what comes for it is held back until this returns. For
    /// whatever must be so before the client is told.
    async fn joining(&self, _socket: &Arc<Socket<D>>) {}

    /// What a resumed socket missed since `offset`, oldest first. It is in its rooms already: what comes meanwhile is
    /// held back and not given twice. `None` where something may be missing: the client then gets a new session.
    async fn missed(&self, socket: &Arc<Socket<D>>, offset: Offset) -> Option<Vec<MissedEvent>>;

    /// The session could not be resumed after all: called after [`Handler::joining`] instead of [`Handler::connected`], with the
    /// socket in no room any more. The client is asked for anew.
    async fn given_up(&self, _socket: &Arc<Socket<D>>) {}

    /// A client has joined, and has been told.
    async fn connected(&self, socket: &Arc<Socket<D>>);

    /// A client sent an event: `args[0]` is its name. The answer is sent as its ack, where the client wants one.
    async fn event(&self, socket: &Arc<Socket<D>>, args: Vec<Value>) -> Vec<Value>;

    /// A socket that had joined is gone, and in no room any more.
    async fn disconnected(&self, socket: &Arc<Socket<D>>, reason: DisconnectReason);

    /// A socket's session is to move to another node: what of the socket's data goes along, nothing secret. `None` where it
    /// cannot move; the session then ends.
    fn depart(&self, _socket: &Arc<Socket<D>>) -> Option<Value> {
        None
    }

    /// A socket is to come from another node, where [`Handler::depart`] answered with its data: what is kept with it here.
    /// `None` where it may not come. Until [`Handler::arrived`] the move may still fail; the data is then dropped.
    fn arrive(&self, _arriving: Arriving<'_>) -> Option<D> {
        None
    }

    /// A socket has come from another node. Called instead of [`Handler::connected`], before anything else about it.
    async fn arrived(&self, _socket: &Arc<Socket<D>>) {}

    /// A socket has gone to another node, which has called [`Handler::arrived`] for it. Called instead of
    /// [`Handler::disconnected`].
    async fn handed_over(&self, _socket: &Arc<Socket<D>>) {}
}
