//! One client in one namespace.

mod acks;
mod event;
mod moving;
mod outlet;

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use carillon_protocol::{
    adapter::{Broadcast, Offset},
    id::Room,
    socket::{Body, Frames, Packet, Parser},
    value::{Object, Value},
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

pub use acks::{AckError, Answers};

pub(crate) use acks::Question;
pub(crate) use event::Encoded;

use crate::{
    observer::Tracked,
    session::{CloseReason, Outbound, Sent, Session},
};
use acks::{Acks, Waiting};
use outlet::{Cork, Corked, Flow, Outlet};

pub(crate) use outlet::{Dismissal, Position};

/// An event that a resumed session missed.
#[derive(Debug, Clone)]
pub struct MissedEvent {
    /// The event.
    pub broadcast: Arc<Broadcast>,
    /// Its place in the log.
    pub offset: Offset,
    /// Whether its way is measured.
    pub tracked: Option<Tracked>,
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
    pub(crate) offset: Offset,
    pub(crate) parser: Parser,
    pub(crate) session: Arc<Session>,
    pub(crate) data: D,
}

impl<D> Socket<D> {
    /// A socket whose events are held back until [`Socket::uncork`].
    pub(crate) fn new(parts: SocketParts<D>) -> Self {
        Self::with_flow(parts, Flow::Corked(Cork::default()))
    }

    fn with_flow(parts: SocketParts<D>, flow: Flow) -> Self {
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
                begun_at: offset,
                flow,
                dismissed: None,
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

    pub(crate) const fn is_recoverable(&self) -> bool {
        self.pid.is_some()
    }

    /// Sends an event to this socket alone. It is not kept for recovery, but carries the offset up to which the client
    /// has everything, so that a client that saw nothing else can still be recovered.
    pub fn emit(&self, args: &[Value]) -> Sent {
        let mut outlet = self.outlet.lock();
        let Outlet { offset, flow, .. } = &mut *outlet;
        match flow {
            Flow::Corked(corked) => corked.hold_back(|| Corked::Own(args.to_vec())),
            Flow::Open => self.session.send(self.encode(args, *offset), false),
            Flow::Elsewhere | Flow::Shut => Sent::Closed,
        }
    }

    /// Sends an event and waits for the client's answer.
    ///
    /// # Errors
    /// Where it does not come within `timeout`, or the socket goes.
    pub async fn emit_with_ack(&self, args: &[Value], timeout: Duration) -> Result<Vec<Value>, AckError> {
        let (sender, receiver) = oneshot::channel();
        match self.emit_expecting(args, Waiting::Alone(sender)) {
            None => return Err(AckError::TooMany),
            Some(Sent::Queued) => {}
            Some(Sent::Dropped | Sent::Closed) => return Err(AckError::Closed),
        }
        match tokio::time::timeout(timeout, receiver).await {
            Ok(answer) => answer.map_err(|_| AckError::Closed),
            Err(_) => Err(AckError::Timeout),
        }
    }

    /// Sends an event whose answer goes where those of others go.
    pub(crate) fn ask(&self, question: &mut Question<'_>) {
        let waiting = Waiting::Among(question.sender.clone());
        if self.emit_expecting(question.args, waiting) == Some(Sent::Queued) {
            question.asked += 1;
        }
    }

    /// Sends an event that `waiting` wants answered; `None` where too many acks are pending.
    ///
    /// It goes without an offset: the client finds a function behind its arguments, and no text.
    fn emit_expecting(&self, args: &[Value], waiting: Waiting) -> Option<Sent> {
        let id = self.acks.lock().expect(waiting)?;
        let frames = self.parser.encode_event(&self.nsp, args, None, Some(id));
        let sent = {
            let mut outlet = self.outlet.lock();
            match &mut outlet.flow {
                Flow::Corked(corked) => corked.hold_back(|| Corked::Broadcast {
                    packet: frames.into(),
                    offset: None,
                }),
                Flow::Open => self.session.send(frames, false),
                Flow::Elsewhere | Flow::Shut => Sent::Closed,
            }
        };
        if sent != Sent::Queued {
            self.acks.lock().forget(id);
        }
        Some(sent)
    }

    /// How far the client has everything: see [`Socket::advance`].
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.outlet.lock().offset
    }

    /// Moves the offset from `seen` to `offset`, where nothing has moved it since. For a place in the log before which
    /// nothing can still come to this socket.
    pub fn advance(&self, seen: Offset, offset: Offset) {
        let mut outlet = self.outlet.lock();
        if outlet.offset == seen {
            outlet.offset = offset;
        }
    }

    /// The session is not to be recovered from where it is now: what makes it up could not be kept. The client is told a place
    /// in no log with what it is sent next, until an event has one again.
    pub fn lose_place(&self) {
        self.outlet.lock().offset = Offset::NOWHERE;
    }

    /// Ends the session under it.
    pub fn close(&self, reason: CloseReason) {
        self.session.close(reason);
    }

    /// Answers an event of the client, unless the socket has left: the id may be another one's then.
    pub(crate) fn answer(&self, id: u64, args: Vec<Value>) {
        let frames = self.encode_body(Body::Ack { args, id });
        let outlet = self.outlet.lock();
        if !matches!(outlet.flow, Flow::Shut) {
            self.session.send(frames, false);
        }
    }

    /// Gives it an event.
    pub(crate) fn deliver(&self, event: &mut Encoded<'_>) -> Sent {
        let is_recoverable = self.is_recoverable();
        let mut outlet = self.outlet.lock();
        if event.offset().is_some_and(|place| outlet.has_had(place)) {
            return Sent::Queued;
        }
        let Outlet { offset, flow, .. } = &mut *outlet;
        match flow {
            Flow::Corked(corked) => corked.hold_back(|| {
                if is_recoverable && event.repeats_offset() {
                    return Corked::Own(event.args().to_vec());
                }
                Corked::Broadcast {
                    packet: event.outbound(self.parser, is_recoverable, Offset::NOWHERE),
                    offset: event.offset(),
                }
            }),
            Flow::Open => {
                let packet = event.outbound(self.parser, is_recoverable, *offset);
                let sent = self.session.send_tracked(packet, event.is_volatile());
                if let Some(place) = event.offset().filter(|_| sent == Sent::Queued) {
                    *offset = place;
                }
                sent
            }
            Flow::Elsewhere | Flow::Shut => Sent::Closed,
        }
    }

    /// Sends what was missed, then the confirmation of the join, then what came meanwhile and was not among the missed.
    /// `missed` is `None` for a session that is new. `false`, and nothing of it is sent, where it is more than may wait for a
    /// client, or a resumed one might be given something twice.
    pub(crate) fn uncork(&self, missed: Option<&[MissedEvent]>) -> bool {
        let is_resumed = missed.is_some();
        let missed = missed.unwrap_or_default();
        if missed.len() > self.session.queue_packets() {
            return false;
        }
        let encode = |event: &MissedEvent| Outbound {
            frames: self.encode(&event.broadcast.event, event.offset),
            tracked: event.tracked,
        };
        let mut packets: Vec<Outbound> = missed.iter().map(encode).collect();
        packets.push(self.encode_body(Body::Connect(self.confirmation())).into());

        let mut outlet = self.outlet.lock();
        if is_resumed && matches!(&outlet.flow, Flow::Corked(cork) if cork.holds_unplaced()) {
            return false;
        }
        let last = missed.last().map_or(outlet.offset, |event| event.offset);
        self.open(&mut outlet, packets, last)
    }

    /// Sends `packets`, then what was held back, from then on everything at once, but never what the log has up to `last`,
    /// the place that the client is at after `packets`: this node may be behind the log.
    fn open(&self, outlet: &mut Outlet, mut packets: Vec<Outbound>, mut last: Offset) -> bool {
        let Flow::Corked(corked) = std::mem::replace(&mut outlet.flow, Flow::Shut) else {
            return true;
        };
        let Some(corked) = corked.events() else {
            return false;
        };
        // Where the place was lost meanwhile it has begun where it was.
        if last != Offset::NOWHERE {
            outlet.begun_at = last;
        }
        for event in corked {
            match event {
                Corked::Broadcast {
                    offset: Some(offset), ..
                } if outlet.has_had(offset) => {}
                Corked::Broadcast { packet, offset } => {
                    packets.push(packet);
                    last = offset.unwrap_or(last);
                }
                Corked::Own(args) => packets.push(self.encode(&args, last).into()),
            }
        }
        let dismissed = outlet.dismissed.is_some();
        if dismissed {
            packets.push(self.encode_body(Body::Disconnect).into());
        }
        if self.session.send_all(packets) == Sent::Dropped {
            return false;
        }
        outlet.offset = last;
        if !dismissed {
            outlet.flow = Flow::Open;
        }
        true
    }

    /// The socket has left its namespace: it is given nothing more, and no ack will come.
    pub(crate) fn shut(&self) {
        self.outlet.lock().flow = Flow::Shut;
        self.acks.lock().clear();
    }

    /// The server has the socket leave its namespace: after what it was given so far the client is told so. The layer above
    /// its session is called to see to the rest. `false` where it has left already.
    pub(crate) fn dismiss(&self, close: bool) -> bool {
        {
            let mut outlet = self.outlet.lock();
            if outlet.dismissed.is_some() {
                return false;
            }
            match outlet.flow {
                // Told once the rest is.
                Flow::Corked(_) => {}
                Flow::Open => {
                    self.session.send(self.encode_body(Body::Disconnect), false);
                    outlet.flow = Flow::Shut;
                }
                Flow::Elsewhere | Flow::Shut => return false,
            }
            outlet.dismissed = Some(Dismissal { close });
        }
        self.acks.lock().clear();
        self.session.call_layer();
        true
    }

    /// Whether the server had it leave, and how.
    pub(crate) fn dismissal(&self) -> Option<Dismissal> {
        self.outlet.lock().dismissed
    }

    /// An event with `offset` as one more argument, where the socket can be recovered.
    fn encode(&self, args: &[Value], offset: Offset) -> Frames {
        let offset = self.is_recoverable().then_some(offset);
        self.parser.encode_event(&self.nsp, args, offset, None)
    }

    fn encode_body(&self, body: Body) -> Frames {
        self.parser.encode(&Packet {
            nsp: self.nsp.clone(),
            body,
        })
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
        self.acks.lock().acknowledge(id, args);
    }
}
