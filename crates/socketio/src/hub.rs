//! All sockets of a node, by namespace and room. Synchronous: nothing here waits.

use std::sync::{Arc, atomic::Ordering};

use bytestring::ByteString;
use carillon_protocol::{adapter::Broadcast, id::Room, socket::Frames, socket::Parser};
use dashmap::DashMap;
use smallvec::SmallVec;

use crate::{
    counters::Counters,
    namespace::Namespace,
    session::{CloseReason, Sent},
    socket::Socket,
};

/// All sockets of a node.
#[derive(Debug)]
pub struct Hub<D> {
    namespaces: DashMap<ByteString, Arc<Namespace<D>>>,
    counters: Arc<Counters>,
}

/// An event's frames, made once per parser, with and without its offset, and shared by all who get it.
struct Encoded<'a> {
    broadcast: &'a Broadcast,
    offset: Option<&'a ByteString>,
    made: SmallVec<[(Parser, bool, Frames); 2]>,
}

impl Encoded<'_> {
    fn frames<D>(&mut self, socket: &Socket<D>) -> Frames {
        let (parser, recoverable) = (socket.parser(), socket.is_recoverable());
        let known = self
            .made
            .iter()
            .find(|made| (made.0, made.1) == (parser, recoverable));
        if let Some((_, _, frames)) = known {
            return frames.clone();
        }
        let Broadcast { nsp, event, .. } = self.broadcast;
        let offset = self.offset.filter(|_| recoverable).map(|offset| &**offset);
        let frames = parser.encode_event(nsp, event, offset, None);
        self.made.push((parser, recoverable, frames.clone()));
        frames
    }
}

impl<D> Hub<D> {
    /// A node without sockets.
    #[must_use]
    pub fn new(counters: Arc<Counters>) -> Self {
        Self {
            namespaces: DashMap::new(),
            counters,
        }
    }

    /// Gives an event to each socket that it is for; answers how many there were. Each of them has it in its queue when
    /// this returns. With an `offset`, sockets that can be recovered get it as one more argument.
    pub fn deliver(&self, broadcast: &Broadcast, offset: Option<&ByteString>) -> usize {
        let Some(namespace) = self.namespace(&broadcast.nsp) else {
            return 0;
        };
        let mut encoded = Encoded {
            broadcast,
            offset,
            made: SmallVec::new(),
        };
        let mut delivered = 0;
        namespace.for_each(&broadcast.rooms, &broadcast.except, |socket| {
            let frames = encoded.frames(socket);
            if socket.deliver(frames, offset, broadcast.volatile) == Sent::Queued {
                delivered += 1;
            }
        });
        self.counters.delivered.fetch_add(delivered, Ordering::Relaxed);
        usize::try_from(delivered).unwrap_or(usize::MAX)
    }

    /// Puts a socket into a room. Of no effect on one that is gone.
    pub fn join(&self, socket: &Socket<D>, room: Room) {
        if let Some(namespace) = self.namespace(socket.nsp()) {
            namespace.join(socket, room);
        }
    }

    /// Takes a socket out of a room.
    pub fn leave(&self, socket: &Socket<D>, room: &Room) {
        if let Some(namespace) = self.namespace(socket.nsp()) {
            namespace.leave(socket, room);
        }
    }

    /// The rooms a socket is in, without its own.
    #[must_use]
    pub fn rooms_of(&self, socket: &Socket<D>) -> Vec<Room> {
        self.namespace(socket.nsp())
            .map(|namespace| namespace.rooms_of(socket))
            .unwrap_or_default()
    }

    /// The socket with this id.
    #[must_use]
    pub fn find(&self, nsp: &str, socket_id: &str) -> Option<Arc<Socket<D>>> {
        self.namespace(nsp)?.find(socket_id)
    }

    /// Ends a socket's session at once, because its client has come back on another one. When this returns the socket
    /// is in no room and is given nothing more.
    pub fn supersede(&self, socket: &Socket<D>) {
        self.detach(socket);
        socket.close(CloseReason::Superseded);
    }

    pub(crate) fn attach(&self, socket: &Arc<Socket<D>>, rooms: Vec<Room>) -> bool {
        let namespace = Arc::clone(self.namespaces.entry(socket.nsp().clone()).or_default().value());
        namespace.attach(socket, rooms)
    }

    pub(crate) fn detach(&self, socket: &Socket<D>) {
        if let Some(namespace) = self.namespace(socket.nsp()) {
            namespace.detach(socket);
        }
        socket.shut();
    }

    fn namespace(&self, nsp: &str) -> Option<Arc<Namespace<D>>> {
        self.namespaces.get(nsp).map(|entry| Arc::clone(entry.value()))
    }
}
