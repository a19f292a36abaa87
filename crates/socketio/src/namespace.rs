//! A namespace: its sockets, and which of them are in which rooms.

mod rooms;

use std::sync::Arc;

use carillon_protocol::id::Room;
use parking_lot::RwLock;

use crate::socket::Socket;
use rooms::Rooms;

#[derive(Debug)]
pub(crate) struct Namespace<D> {
    rooms: RwLock<Rooms<D>>,
}

impl<D> Default for Namespace<D> {
    fn default() -> Self {
        Self {
            rooms: RwLock::default(),
        }
    }
}

impl<D> Namespace<D> {
    /// Adds a socket; `false` where its id is taken.
    pub(crate) fn attach(&self, socket: &Arc<Socket<D>>, rooms: Vec<Room>) -> bool {
        self.rooms.write().attach(socket, rooms)
    }

    /// Takes a socket out of all its rooms. Of no effect on one that is gone.
    pub(crate) fn detach(&self, socket: &Socket<D>) {
        self.rooms.write().detach(socket);
    }

    pub(crate) fn join(&self, socket: &Socket<D>, room: Room) {
        self.rooms.write().join(socket, room);
    }

    pub(crate) fn leave(&self, socket: &Socket<D>, room: &Room) {
        self.rooms.write().leave(socket, room);
    }

    pub(crate) fn rooms_of(&self, socket: &Socket<D>) -> Vec<Room> {
        self.rooms.read().rooms_of(socket)
    }

    pub(crate) fn find(&self, socket_id: &str) -> Option<Arc<Socket<D>>> {
        self.rooms.read().find(socket_id).cloned()
    }

    /// Calls `each` once for every socket that is in one of `rooms` (in any, where none is named) and in none of `except`.
    pub(crate) fn for_each(&self, rooms: &[Room], except: &[Room], each: impl FnMut(&Arc<Socket<D>>)) {
        self.rooms.read().for_each(rooms, except, each);
    }
}
