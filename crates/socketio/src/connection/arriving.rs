//! The connection's side of coming from another node.

use std::sync::Arc;

use bytestring::ByteString;
use carillon_protocol::{adapter::Offset, id::Room, socket::Parser, value::Value};
use parking_lot::Mutex;

use super::{
    Connection, SocketIo,
    inlet::Inlet,
    transfer::{ConnectionBrief, ConnectionExport, SocketBrief, SocketExport},
};
use crate::{
    engine::ArrivingLayer,
    handler,
    session::{Application, CloseReason, Session},
    socket::{Socket, SocketParts},
};

pub(super) struct Arriving<D> {
    socket_io: SocketIo<D>,
    session: Arc<Session>,
    sockets: Mutex<Vec<Member<D>>>,
    /// What else the connection is made of.
    rest: Mutex<Option<(Inlet, Vec<ByteString>)>>,
}

struct Member<D> {
    socket: Arc<Socket<D>>,
    /// The rooms it was in at the fence; `None` before it.
    at_fence: Option<Vec<Room>>,
}

impl<D: Send + Sync + 'static> SocketIo<D> {
    /// Builds a connection from what another node says, its sockets in their rooms.
    pub(super) fn build(&self, session: &Arc<Session>, brief: &Value) -> Option<Arriving<D>> {
        let brief = ConnectionBrief::from_value(brief)?;
        let arriving = Arriving {
            socket_io: self.clone(),
            session: Arc::clone(session),
            sockets: Mutex::default(),
            rest: Mutex::new(Some((Inlet::resume(brief.parser, brief.parts)?, brief.dismissed))),
        };
        for socket in brief.sockets {
            if arriving
                .add(socket, brief.parser.unwrap_or(Parser::Json))
                .is_none()
            {
                arriving.cancel();
                return None;
            }
        }
        Some(arriving)
    }
}

impl<D: Send + Sync + 'static> Arriving<D> {
    fn add(&self, brief: SocketBrief, parser: Parser) -> Option<()> {
        let SocketBrief {
            nsp,
            id,
            pid,
            rooms,
            data,
        } = brief;
        let SocketIo { hub, handler, .. } = &self.socket_io;
        if !handler.serves(&nsp) {
            return None;
        }
        let data = handler.arrive(handler::Arriving {
            nsp: &nsp,
            id: &id,
            pid: pid.as_ref(),
            handshake: self.session.handshake(),
            data,
        })?;
        let socket = Arc::new(Socket::elsewhere(SocketParts {
            id,
            nsp,
            pid,
            offset: Offset::NOWHERE,
            parser,
            session: Arc::clone(&self.session),
            data,
        }));
        if !hub.attach(&socket, rooms) {
            return None;
        }
        self.sockets.lock().push(Member {
            socket,
            at_fence: None,
        });
        Some(())
    }

    /// Goes on with a socket as it was at the fence; `false` where something may be missing.
    fn go_on(&self, socket: &Socket<D>, at_fence: &[Room], export: &SocketExport) -> bool {
        // What went to a room between the fence and now came here only if the socket was in it at the fence.
        if !export.rooms.iter().all(|room| at_fence.contains(room)) {
            return false;
        }
        let left = at_fence.iter().filter(|room| !export.rooms.contains(room));
        left.for_each(|room| self.socket_io.hub.leave(socket, room));
        socket.go_on(export.position)
    }
}

impl<D: Send + Sync + 'static> ArrivingLayer for Arriving<D> {
    fn rooms(&self) -> Vec<(ByteString, Room)> {
        let sockets = self.sockets.lock();
        let rooms = |socket: &Arc<Socket<D>>| {
            let mut rooms = self.socket_io.hub.rooms_of(socket);
            rooms.push(socket.room().clone());
            let nsp = socket.nsp().clone();
            rooms.into_iter().map(move |room| (nsp.clone(), room))
        };
        sockets.iter().flat_map(|member| rooms(&member.socket)).collect()
    }

    fn fence(&self) {
        for Member { socket, at_fence } in &mut *self.sockets.lock() {
            socket.pass_fence();
            *at_fence = Some(self.socket_io.hub.rooms_of(socket));
        }
    }

    fn complete(&self, state: &Value) -> Option<Box<dyn Application>> {
        let ConnectionExport { close, sockets } = ConnectionExport::from_value(state)?;
        let (inlet, dismissed) = self.rest.lock().take()?;
        let SocketIo { hub, .. } = &self.socket_io;
        let mut connection = Connection::new(&self.socket_io, &self.session, inlet, dismissed);
        let known = |export: &SocketExport, socket: &Socket<D>| {
            export.nsp == *socket.nsp() && export.id == *socket.id()
        };
        for Member { socket, at_fence } in &*self.sockets.lock() {
            let Some(export) = sockets.iter().find(|export| known(export, socket)) else {
                // It has left its namespace while it was at the other node, and the handler there knows.
                hub.detach(socket);
                connection.dismissed.push(socket.nsp().clone());
                continue;
            };
            if !self.go_on(socket, at_fence.as_deref()?, export) {
                return None;
            }
            connection.sockets.push(Arc::clone(socket));
        }
        if connection.sockets.len() != sockets.len() {
            return None;
        }
        if close {
            connection
                .sockets
                .iter()
                .for_each(|socket| _ = hub.dismiss(socket, true));
            self.session.close(CloseReason::ForcedClose);
        }
        Some(Box::new(connection))
    }

    fn cancel(&self) {
        for Member { socket, .. } in self.sockets.lock().drain(..) {
            self.socket_io.hub.detach(&socket);
        }
    }
}
