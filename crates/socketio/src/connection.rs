//! Socket.IO over one session: reads packets, keeps the namespaces its client has joined, calls the handler.

mod arriving;
mod departing;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod inlet;
mod transfer;

use std::sync::Arc;

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::Offset,
    engine::Message,
    socket::{Body, Packet, Parser},
    value::Value,
};
use smallvec::SmallVec;

use crate::{
    engine::{Acceptor, ArrivingLayer},
    handler::{Admission, ConnectRequest, DisconnectReason, Handler, Refusal, ResumeRequest},
    hub::Hub,
    ids::{Ids, RandomIds},
    session::{Application, CloseReason, DepartingLayer, Session},
    socket::{Dismissal, Socket, SocketParts},
};
#[cfg(feature = "fuzzing")]
pub use fuzzing::fuzz_hand_over;
use inlet::Inlet;

/// Socket.IO over the sessions of an [`Engine`](crate::Engine).
pub struct SocketIo<D> {
    hub: Arc<Hub<D>>,
    handler: Arc<dyn Handler<D>>,
    ids: Arc<dyn Ids>,
}

impl<D> std::fmt::Debug for SocketIo<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketIo").finish_non_exhaustive()
    }
}

impl<D> Clone for SocketIo<D> {
    fn clone(&self) -> Self {
        Self {
            hub: Arc::clone(&self.hub),
            handler: Arc::clone(&self.handler),
            ids: Arc::clone(&self.ids),
        }
    }
}

impl<D> SocketIo<D> {
    /// Over the hub that `handler` delivers through.
    #[must_use]
    pub fn new(hub: Arc<Hub<D>>, handler: Arc<dyn Handler<D>>) -> Self {
        Self {
            hub,
            handler,
            ids: Arc::new(RandomIds),
        }
    }

    /// With the ids of new sockets from `ids`.
    #[must_use]
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }
}

impl<D: Send + Sync + 'static> Acceptor for SocketIo<D> {
    fn accept(&self, session: &Arc<Session>) -> Box<dyn Application> {
        Box::new(Connection::new(self, session, Inlet::default(), Vec::new()))
    }

    fn arrive(&self, session: &Arc<Session>, brief: &Value) -> Option<Arc<dyn ArrivingLayer>> {
        let arriving = self.build(session, brief)?;
        Some(Arc::new(arriving))
    }
}

struct Connection<D> {
    hub: Arc<Hub<D>>,
    handler: Arc<dyn Handler<D>>,
    ids: Arc<dyn Ids>,
    session: Arc<Session>,
    inlet: Inlet,
    sockets: SmallVec<[Arc<Socket<D>>; 1]>,
    /// The namespaces that the server had the client leave: what it says there it said before it knew.
    dismissed: Vec<ByteString>,
}

#[async_trait]
impl<D: Send + Sync + 'static> Application for Connection<D> {
    async fn message(&mut self, message: Message) {
        if self.session.take_call() {
            self.called().await;
        }
        match self.inlet.push(message) {
            Ok(Some(packet)) => self.packet(packet).await,
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "invalid packet");
                self.session.close(CloseReason::ForcedClose);
            }
        }
    }

    async fn closed(&mut self, reason: CloseReason) {
        let sockets = std::mem::take(&mut self.sockets);
        sockets.iter().for_each(|socket| self.hub.detach(socket));
        for socket in sockets {
            let reason = match socket.dismissal() {
                Some(_) => DisconnectReason::Server,
                None => DisconnectReason::Session(reason),
            };
            self.handler.disconnected(&socket, reason).await;
        }
    }

    /// Sees to the sockets that the server had leave.
    async fn called(&mut self) {
        while let Some((at, dismissal)) = self.find_dismissed() {
            if dismissal.close {
                if self.session.is_moving() {
                    // The node that it moves to ends it: the client hears of it there.
                    return;
                }
                for socket in &self.sockets {
                    self.hub.dismiss(socket, true);
                }
                // The handler is told of each as the session ends.
                return self.session.close(CloseReason::ForcedClose);
            }
            let socket = self.sockets.remove(at);
            self.dismissed.push(socket.nsp().clone());
            self.handler.disconnected(&socket, DisconnectReason::Server).await;
        }
    }

    fn depart(&mut self) -> Option<(Value, Box<dyn DepartingLayer>)> {
        let (brief, departing) = self.leave()?;
        Some((brief, Box::new(departing)))
    }

    async fn moved(&mut self) {
        for socket in std::mem::take(&mut self.sockets) {
            match socket.dismissal() {
                Some(_) => self.handler.disconnected(&socket, DisconnectReason::Server).await,
                None => self.handler.handed_over(&socket).await,
            }
        }
    }

    async fn arrived(&mut self) {
        for socket in &self.sockets {
            self.handler.arrived(socket).await;
        }
    }
}

impl<D: Send + Sync + 'static> Connection<D> {
    fn new(
        socket_io: &SocketIo<D>,
        session: &Arc<Session>,
        inlet: Inlet,
        dismissed: Vec<ByteString>,
    ) -> Self {
        let SocketIo { hub, handler, ids } = socket_io.clone();
        Self {
            hub,
            handler,
            ids,
            session: Arc::clone(session),
            inlet,
            sockets: SmallVec::new(),
            dismissed,
        }
    }

    fn find_dismissed(&self) -> Option<(usize, Dismissal)> {
        let dismissals = self.sockets.iter().map(|socket| socket.dismissal());
        let mut found = dismissals.enumerate();
        found.find_map(|(at, dismissal)| Some((at, dismissal?)))
    }

    async fn packet(&mut self, packet: Packet) {
        let Packet { nsp, body } = packet;
        let joined = self.sockets.iter().position(|socket| *socket.nsp() == nsp);
        match (body, joined.and_then(|at| self.sockets.get(at))) {
            (Body::Connect(auth), None) => {
                self.dismissed.retain(|known| *known != nsp);
                self.connect(&nsp, &auth).await;
            }
            (Body::Event { .. } | Body::Ack { .. } | Body::Disconnect, None)
                if self.dismissed.contains(&nsp) => {}
            (Body::Event { args, id }, Some(socket)) => {
                if args.is_empty() {
                    return;
                }
                let answer = self.handler.event(socket, args).await;
                if let Some(id) = id {
                    socket.answer(id, answer);
                }
            }
            (Body::Ack { args, id }, Some(socket)) => socket.acknowledge(id, args),
            (Body::Disconnect, Some(socket)) => {
                let socket = Arc::clone(socket);
                self.sockets.retain(|known| !Arc::ptr_eq(known, &socket));
                self.hub.detach(&socket);
                self.handler.disconnected(&socket, DisconnectReason::Client).await;
            }
            // Joined twice, or spoken without having joined, or what only a server says.
            _ => self.session.close(CloseReason::ForcedClose),
        }
    }

    async fn connect(&mut self, nsp: &ByteString, auth: &Value) {
        if let Some(refusal) = self.session.handshake().refusal() {
            self.refuse(nsp, refusal);
            return self.session.close(CloseReason::ForcedClose);
        }
        if !self.handler.serves(nsp) {
            return self.refuse(nsp, Refusal::new("Invalid namespace"));
        }
        let text = |key| auth.get(key).and_then(Value::as_text);
        let resume = text("pid")
            .zip(text("offset"))
            .map(|(pid, offset)| ResumeRequest {
                pid,
                offset: Offset::parse(offset).unwrap_or(Offset::NOWHERE),
            });
        for resume in [resume, None] {
            let request = ConnectRequest {
                nsp,
                auth,
                handshake: self.session.handshake(),
                resume,
            };
            match self.handler.connect(request).await {
                // A session that could not be resumed is asked for anew.
                Ok(admission) => {
                    if self.join(nsp, admission).await {
                        return;
                    }
                }
                Err(refusal) => return self.refuse(nsp, refusal),
            }
        }
        self.session.close(CloseReason::ForcedClose);
    }

    /// Joins; `false` where the session was to be resumed and something may be missing.
    async fn join(&mut self, nsp: &ByteString, admission: Admission<D>) -> bool {
        let Admission {
            data,
            rooms,
            recovery,
        } = admission;
        let (pid, offset, resumed) = match recovery {
            Some(recovery) => (Some(recovery.pid), recovery.offset, recovery.resumed_socket),
            None => (None, Offset::NOWHERE, None),
        };
        let is_resumed = resumed.is_some();
        let socket = Arc::new(Socket::new(SocketParts {
            id: resumed.unwrap_or_else(|| self.ids.new_socket_id()),
            nsp: nsp.clone(),
            pid,
            offset,
            parser: self.inlet.parser().unwrap_or(Parser::Json),
            session: Arc::clone(&self.session),
            data,
        }));
        if !self.hub.attach(&socket, rooms) {
            return false;
        }
        self.handler.joining(&socket).await;
        let is_open = if is_resumed {
            let missed = self.handler.missed(&socket, offset).await;
            missed.is_some_and(|missed| socket.uncork(Some(&missed)))
        } else {
            socket.uncork(None)
        };
        if !is_open {
            self.hub.detach(&socket);
            self.handler.given_up(&socket).await;
            return false;
        }
        self.session.joined();
        self.sockets.push(Arc::clone(&socket));
        self.handler.connected(&socket).await;
        true
    }

    fn refuse(&self, nsp: &ByteString, refusal: Refusal) {
        let body = Body::ConnectError(refusal.into_value());
        let parser = self.inlet.parser().unwrap_or(Parser::Json);
        self.session.send(
            parser.encode(&Packet {
                nsp: nsp.clone(),
                body,
            }),
            false,
        );
    }
}
