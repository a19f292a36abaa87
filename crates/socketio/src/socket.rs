//! One client in one namespace.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytestring::ByteString;
use carillon_protocol::{
    adapter::Broadcast,
    id::Room,
    socket::{Body, Frames, Packet, Parser},
    value::{Object, Value},
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::session::{CloseReason, Sent, Session};

/// Most acks that one socket may owe the server.
const MAX_PENDING_ACKS: usize = 1_000;
/// Most events that are held back for a socket while what it missed is read; with more it is not resumed.
const MAX_CORKED: usize = 1_000;

/// An event that a resumed session missed.
#[derive(Debug, Clone)]
pub struct MissedEvent {
    /// The event.
    pub broadcast: Arc<Broadcast>,
    /// Its place in the log.
    pub offset: ByteString,
}

/// A client in a namespace, with what the application keeps of it.
pub struct Socket<D> {
    id: ByteString,
    room: Room,
    nsp: ByteString,
    pid: Option<ByteString>,
    parser: Parser,
    session: Arc<Session>,
    data: D,
    outlet: Mutex<Outlet>,
    acks: Mutex<Acks>,
}

/// The order of what a socket is given, together with how far it has been told.
#[derive(Debug)]
struct Outlet {
    /// The place in the log up to which the client has everything, once it has what is queued.
    offset: Option<ByteString>,
    flow: Flow,
}

#[derive(Debug)]
enum Flow {
    /// What was missed before these events is still being read.
    Corked(Vec<Corked>),
    Open,
    /// The socket has left its namespace.
    Shut,
}

#[derive(Debug)]
enum Corked {
    Broadcast {
        frames: Frames,
        offset: Option<ByteString>,
    },
    /// Written only when it is sent: its offset is that of the event before it.
    Own(Vec<Value>),
}

#[derive(Debug, Default)]
struct Acks {
    next: u64,
    pending: HashMap<u64, oneshot::Sender<Vec<Value>>>,
}

/// Why an ack did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// Not within the time given.
    #[error("no ack in time")]
    Timeout,
    /// The socket is gone.
    #[error("the socket is gone")]
    Closed,
    /// Too many acks are awaited from this socket already.
    #[error("too many acks are pending")]
    TooMany,
}

impl<D> std::fmt::Debug for Socket<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.id)
            .field("nsp", &self.nsp)
            .finish_non_exhaustive()
    }
}

/// What a socket is made of.
pub(crate) struct SocketParts<D> {
    pub(crate) id: ByteString,
    pub(crate) nsp: ByteString,
    pub(crate) pid: Option<ByteString>,
    pub(crate) offset: Option<ByteString>,
    pub(crate) parser: Parser,
    pub(crate) session: Arc<Session>,
    pub(crate) data: D,
}

impl<D> Socket<D> {
    /// A socket whose events are held back until [`Socket::uncork`].
    pub(crate) fn new(parts: SocketParts<D>) -> Self {
        let SocketParts {
            id,
            nsp,
            pid,
            offset,
            parser,
            session,
            data,
        } = parts;
        Self {
            room: Room::new(id.clone()),
            id,
            nsp,
            pid,
            parser,
            session,
            data,
            outlet: Mutex::new(Outlet {
                offset,
                flow: Flow::Corked(Vec::new()),
            }),
            acks: Mutex::default(),
        }
    }

    /// Its public id, another one than the session's sid.
    #[must_use]
    pub const fn id(&self) -> &ByteString {
        &self.id
    }

    /// The room of this socket alone, named by its id.
    #[must_use]
    pub const fn room(&self) -> &Room {
        &self.room
    }

    /// The namespace it is in.
    #[must_use]
    pub const fn nsp(&self) -> &ByteString {
        &self.nsp
    }

    /// The private id under which its session may be recovered.
    #[must_use]
    pub const fn pid(&self) -> Option<&ByteString> {
        self.pid.as_ref()
    }

    /// Its session.
    #[must_use]
    pub const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// What the application keeps with it.
    #[must_use]
    pub const fn data(&self) -> &D {
        &self.data
    }

    pub(crate) const fn parser(&self) -> Parser {
        self.parser
    }

    pub(crate) const fn is_recoverable(&self) -> bool {
        self.pid.is_some()
    }

    /// Sends an event to this socket alone. It is not kept for recovery, but carries the offset up to which the client
    /// has everything, so that a client that saw nothing else can still be recovered.
    pub fn emit(&self, args: &[Value]) -> Sent {
        let mut outlet = self.outlet.lock();
        match &mut outlet.flow {
            Flow::Corked(corked) => hold_back(corked, Corked::Own(args.to_vec())),
            Flow::Open => self
                .session
                .send(self.encode(args, outlet.offset.as_ref()), false),
            Flow::Shut => Sent::Closed,
        }
    }

    /// Sends an event and waits for the client's answer.
    ///
    /// # Errors
    /// Where it does not come within `timeout`, or the socket goes.
    pub async fn emit_with_ack(&self, args: &[Value], timeout: Duration) -> Result<Vec<Value>, AckError> {
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut acks = self.acks.lock();
            acks.pending.retain(|_, waiting| !waiting.is_closed());
            if acks.pending.len() >= MAX_PENDING_ACKS {
                return Err(AckError::TooMany);
            }
            let id = acks.next;
            acks.next += 1;
            acks.pending.insert(id, sender);
            id
        };
        let frames = self.parser.encode_event(&self.nsp, args, None, Some(id));
        if self.deliver(frames, None, false) == Sent::Closed {
            return Err(AckError::Closed);
        }
        match tokio::time::timeout(timeout, receiver).await {
            Ok(answer) => answer.map_err(|_| AckError::Closed),
            Err(_) => Err(AckError::Timeout),
        }
    }

    /// How far the client has everything: see [`Socket::advance`].
    #[must_use]
    pub fn offset(&self) -> Option<ByteString> {
        self.outlet.lock().offset.clone()
    }

    /// Moves the offset from `seen` to `offset`, where nothing has moved it since. For a place in the log before which
    /// nothing can still come to this socket.
    pub fn advance(&self, seen: Option<&ByteString>, offset: ByteString) {
        let mut outlet = self.outlet.lock();
        if outlet.offset.as_ref() == seen {
            outlet.offset = Some(offset);
        }
    }

    /// Ends the session under it.
    pub fn close(&self, reason: CloseReason) {
        self.session.close(reason);
    }

    pub(crate) fn send(&self, body: Body) -> Sent {
        self.session.send(self.parser.encode(&self.packet(body)), false)
    }

    /// Gives it an encoded event, of a broadcast where it has an offset.
    pub(crate) fn deliver(&self, frames: Frames, offset: Option<&ByteString>, volatile: bool) -> Sent {
        let mut outlet = self.outlet.lock();
        match &mut outlet.flow {
            Flow::Corked(corked) => hold_back(
                corked,
                Corked::Broadcast {
                    frames,
                    offset: offset.cloned(),
                },
            ),
            Flow::Open => {
                let sent = self.session.send(frames, volatile);
                if let Some(offset) = offset.filter(|_| sent == Sent::Queued) {
                    outlet.offset = Some(offset.clone());
                }
                sent
            }
            Flow::Shut => Sent::Closed,
        }
    }

    /// Sends what was missed, then the confirmation of the join, then what came meanwhile and was not among the missed.
    /// `false`, and nothing of it is sent, where it is more than may wait for a client.
    pub(crate) fn uncork(&self, missed: &[MissedEvent]) -> bool {
        if missed.len() > self.session.queue_packets() {
            return false;
        }
        let encode = |event: &MissedEvent| self.encode(&event.broadcast.event, Some(&event.offset));
        let mut packets: Vec<Frames> = missed.iter().map(encode).collect();
        packets.push(
            self.parser
                .encode(&self.packet(Body::Connect(self.confirmation()))),
        );

        let mut outlet = self.outlet.lock();
        let Flow::Corked(corked) = std::mem::replace(&mut outlet.flow, Flow::Shut) else {
            return true;
        };
        if corked.len() >= MAX_CORKED {
            return false;
        }
        let known: HashSet<&ByteString> = missed.iter().map(|event| &event.offset).collect();
        let mut last = missed
            .last()
            .map(|event| event.offset.clone())
            .or_else(|| outlet.offset.take());
        for event in corked {
            match event {
                Corked::Broadcast {
                    offset: Some(offset), ..
                } if known.contains(&offset) => {}
                Corked::Broadcast { frames, offset } => {
                    packets.push(frames);
                    last = offset.or(last);
                }
                Corked::Own(args) => packets.push(self.encode(&args, last.as_ref())),
            }
        }
        if self.session.send_all(packets) == Sent::Dropped {
            return false;
        }
        *outlet = Outlet {
            offset: last,
            flow: Flow::Open,
        };
        true
    }

    /// The socket has left its namespace: it is given nothing more, and no ack will come.
    pub(crate) fn shut(&self) {
        self.outlet.lock().flow = Flow::Shut;
        self.acks.lock().pending.clear();
    }

    /// An event with `offset` as one more argument, where the socket can be recovered.
    fn encode(&self, args: &[Value], offset: Option<&ByteString>) -> Frames {
        let offset = offset.filter(|_| self.is_recoverable());
        self.parser
            .encode_event(&self.nsp, args, offset.map(|offset| &**offset), None)
    }

    fn packet(&self, body: Body) -> Packet {
        Packet {
            nsp: self.nsp.clone(),
            body,
        }
    }

    /// `{sid, pid?}`
    fn confirmation(&self) -> Value {
        let mut object = Object::with_capacity(2).with("sid", self.id.clone());
        if let Some(pid) = &self.pid {
            object.push("pid", pid.clone());
        }
        Value::Object(object)
    }

    pub(crate) fn acknowledge(&self, id: u64, args: Vec<Value>) {
        if let Some(waiting) = self.acks.lock().pending.remove(&id) {
            // Who waited may have given up.
            let _gone = waiting.send(args);
        }
    }
}

/// Keeps an event for later. One too many stays away: the socket is then not resumed.
fn hold_back(corked: &mut Vec<Corked>, event: Corked) -> Sent {
    if corked.len() >= MAX_CORKED {
        return Sent::Dropped;
    }
    corked.push(event);
    Sent::Queued
}
