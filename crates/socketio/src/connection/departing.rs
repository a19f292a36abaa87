//! The connection's side of leaving for another node.

use std::sync::Arc;

use carillon_protocol::value::Value;

use super::{
    Connection,
    transfer::{ConnectionBrief, ConnectionExport, SocketBrief, SocketExport},
};
use crate::{handler::Handler, hub::Hub, session::DepartingLayer, socket::Socket};

pub(super) struct Departing<D> {
    hub: Arc<Hub<D>>,
    sockets: Vec<Arc<Socket<D>>>,
}

impl<D: Send + Sync + 'static> Connection<D> {
    /// What the connection is made of, and who ends its work here; `None` where the handler does not let a socket go.
    pub(super) fn leave(&self) -> Option<(Value, Departing<D>)> {
        let sockets: Vec<_> = self.sockets.iter().map(Arc::clone).collect();
        let brief = ConnectionBrief {
            parser: self.inlet.parser(),
            parts: self.inlet.parts().to_vec(),
            dismissed: self.dismissed.clone(),
            sockets: sockets
                .iter()
                .map(|socket| describe(&*self.handler, &self.hub, socket))
                .collect::<Option<_>>()?,
        };
        let hub = Arc::clone(&self.hub);
        Some((brief.into_value(), Departing { hub, sockets }))
    }
}

fn describe<D: Send + Sync + 'static>(
    handler: &dyn Handler<D>,
    hub: &Hub<D>,
    socket: &Arc<Socket<D>>,
) -> Option<SocketBrief> {
    Some(SocketBrief {
        nsp: socket.nsp().clone(),
        id: socket.id().clone(),
        pid: socket.pid().cloned(),
        rooms: hub.rooms_of(socket),
        data: handler.depart(socket)?,
    })
}

impl<D: Send + Sync + 'static> DepartingLayer for Departing<D> {
    fn export(&self) -> Value {
        let close = self
            .sockets
            .iter()
            .any(|socket| socket.dismissal().is_some_and(|dismissal| dismissal.close));
        let export = |socket: &Arc<Socket<D>>| {
            let position = socket.depart()?;
            let rooms = self.hub.rooms_of(socket);
            self.hub.detach(socket);
            Some(SocketExport {
                nsp: socket.nsp().clone(),
                id: socket.id().clone(),
                rooms,
                position,
            })
        };
        ConnectionExport {
            close,
            sockets: self.sockets.iter().filter_map(export).collect(),
        }
        .into_value()
    }
}
