//! Socket.IO over one session: reads packets, keeps the namespaces its client has joined, calls the handler.

use std::sync::Arc;

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    engine::Message,
    socket::{Body, Decoder, Packet, Parser},
    value::Value,
};
use smallvec::SmallVec;

use crate::{
    engine::Acceptor,
    handler::{Admission, ConnectRequest, DisconnectReason, Handler, Refusal, ResumeRequest},
    hub::Hub,
    random_id::random_id,
    session::{Application, CloseReason, Session},
    socket::{Socket, SocketParts},
};

/// Socket.IO over the sessions of an [`Engine`](crate::Engine).
pub struct SocketIo<D> {
    hub: Arc<Hub<D>>,
    handler: Arc<dyn Handler<D>>,
}

impl<D> std::fmt::Debug for SocketIo<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketIo").finish_non_exhaustive()
    }
}

impl<D> SocketIo<D> {
    /// Over the hub that `handler` delivers through.
    #[must_use]
    pub fn new(hub: Arc<Hub<D>>, handler: Arc<dyn Handler<D>>) -> Self {
        Self { hub, handler }
    }
}

impl<D: Send + Sync + 'static> Acceptor for SocketIo<D> {
    fn accept(&self, session: &Arc<Session>) -> Box<dyn Application> {
        Box::new(Connection {
            hub: Arc::clone(&self.hub),
            handler: Arc::clone(&self.handler),
            session: Arc::clone(session),
            decoder: Decoder::default(),
            sockets: SmallVec::new(),
        })
    }
}

struct Connection<D> {
    hub: Arc<Hub<D>>,
    handler: Arc<dyn Handler<D>>,
    session: Arc<Session>,
    decoder: Decoder,
    sockets: SmallVec<[Arc<Socket<D>>; 1]>,
}

#[async_trait]
impl<D: Send + Sync + 'static> Application for Connection<D> {
    async fn message(&mut self, message: Message) {
        match self.decoder.push(message) {
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
            self.handler
                .disconnected(&socket, DisconnectReason::Session(reason))
                .await;
        }
    }
}

impl<D: Send + Sync + 'static> Connection<D> {
    async fn packet(&mut self, packet: Packet) {
        let Packet { nsp, body } = packet;
        let joined = self.sockets.iter().position(|socket| *socket.nsp() == nsp);
        match (body, joined.and_then(|at| self.sockets.get(at))) {
            (Body::Connect(auth), None) => self.connect(&nsp, &auth).await,
            (Body::Event { args, id }, Some(socket)) => {
                if args.is_empty() {
                    return;
                }
                let answer = self.handler.event(socket, args).await;
                if let Some(id) = id {
                    socket.send(Body::Ack { args: answer, id });
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
        if !self.handler.serves(nsp) {
            return self.refuse(nsp, Refusal::new("Invalid namespace"));
        }
        let text = |key| auth.get(key).and_then(Value::as_text);
        let resume = text("pid")
            .zip(text("offset"))
            .map(|(pid, offset)| ResumeRequest { pid, offset });
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
            Some(recovery) => (Some(recovery.pid), Some(recovery.offset), recovery.resumed_socket),
            None => (None, None, None),
        };
        let is_resumed = resumed.is_some();
        let socket = Arc::new(Socket::new(SocketParts {
            id: resumed.unwrap_or_else(random_id),
            nsp: nsp.clone(),
            pid,
            offset: offset.clone(),
            parser: self.decoder.parser().unwrap_or(Parser::Json),
            session: Arc::clone(&self.session),
            data,
        }));
        if !self.hub.attach(&socket, rooms) {
            return false;
        }
        let missed = match offset.filter(|_| is_resumed) {
            Some(offset) => self.handler.missed(&socket, &offset).await,
            None => Some(Vec::new()),
        };
        let Some(missed) = missed else {
            self.hub.detach(&socket);
            return false;
        };
        if !socket.uncork(&missed) {
            self.hub.detach(&socket);
            return false;
        }
        self.session.joined();
        self.sockets.push(Arc::clone(&socket));
        self.handler.connected(&socket).await;
        true
    }

    fn refuse(&self, nsp: &ByteString, refusal: Refusal) {
        let body = Body::ConnectError(refusal.into_value());
        let parser = self.decoder.parser().unwrap_or(Parser::Json);
        self.session.send(
            parser.encode(&Packet {
                nsp: nsp.clone(),
                body,
            }),
            false,
        );
    }
}
