//! All sockets of a node, by namespace and room. Synchronous: nothing here waits.

mod remote;

use std::sync::{Arc, OnceLock};

use bytestring::ByteString;
use carillon_protocol::{
    adapter::{Broadcast, Offset},
    id::Room,
};
use dashmap::DashMap;

use crate::{
    counters::Counters,
    namespace::Namespace,
    observer::Tracked,
    room_watch::RoomWatch,
    session::{CloseReason, Sent},
    socket::{Encoded, Socket},
};

pub use remote::{Selection, Summary};

/// All sockets of a node.
pub struct Hub<D> {
    namespaces: DashMap<ByteString, Arc<Namespace<D>>>,
    counters: Arc<Counters>,
    watch: OnceLock<Arc<dyn RoomWatch>>,
}

impl<D> std::fmt::Debug for Hub<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("namespaces", &self.namespaces.len())
            .finish_non_exhaustive()
    }
}

impl<D> Hub<D> {
    /// A node without sockets.
    #[must_use]
    pub fn new(counters: Arc<Counters>) -> Self {
        Self {
            namespaces: DashMap::new(),
            counters,
            watch: OnceLock::new(),
        }
    }

    /// Has `watch` told which rooms have sockets. To be called before the first socket comes; the first call counts.
    pub fn watch_rooms(&self, watch: Arc<dyn RoomWatch>) {
        self.watch.get_or_init(|| watch);
    }

    /// Gives an event to each socket that it is for; answers how many there were. Each of them has it in its queue when
    /// this returns. With an `offset`, sockets that can be recovered get it as one more argument; without one, where the
    /// event ends in text, the one that they have.
    pub fn deliver(&self, broadcast: &Broadcast, offset: Option<Offset>) -> usize {
        self.deliver_tracked(broadcast, offset, None)
    }

    /// As [`Hub::deliver`], for an event whose way to each of its clients is measured.
    pub fn deliver_tracked(
        &self,
        broadcast: &Broadcast,
        offset: Option<Offset>,
        tracked: Option<Tracked>,
    ) -> usize {
        let Some(namespace) = self.namespace(&broadcast.nsp) else {
            return 0;
        };
        let mut event = Encoded::new(broadcast, offset, tracked);
        let mut delivered = 0;
        namespace.for_each(&broadcast.rooms, &broadcast.except, |socket| {
            if socket.deliver(&mut event) == Sent::Queued {
                delivered += 1;
            }
        });
        self.counters.event_delivered(delivered);
        usize::try_from(delivered).unwrap_or(usize::MAX)
    }

    /// Calls `each` with every room of a namespace that sockets have joined, and how many have. Their own rooms are not among
    /// them.
    pub fn joined_rooms(&self, nsp: &str, each: impl FnMut(&Room, usize)) {
        if let Some(namespace) = self.namespace(nsp) {
            namespace.joined_rooms(each);
        }
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
        let nsp = socket.nsp();
        let new = || Arc::new(Namespace::new(nsp.clone(), self.watch.get().cloned()));
        let namespace = Arc::clone(self.namespaces.entry(nsp.clone()).or_insert_with(new).value());
        namespace.attach(socket, rooms)
    }

    pub(crate) fn detach(&self, socket: &Socket<D>) {
        self.take_out(socket);
        socket.shut();
    }

    /// Has a socket leave its namespace at the server's word; `false` where it has left already.
    pub(crate) fn dismiss(&self, socket: &Socket<D>, close: bool) -> bool {
        let dismissed = socket.dismiss(close);
        if dismissed {
            self.take_out(socket);
        }
        dismissed
    }

    fn take_out(&self, socket: &Socket<D>) {
        if let Some(namespace) = self.namespace(socket.nsp()) {
            namespace.detach(socket);
        }
    }

    fn namespace(&self, nsp: &str) -> Option<Arc<Namespace<D>>> {
        self.namespaces.get(nsp).map(|entry| Arc::clone(entry.value()))
    }
}
