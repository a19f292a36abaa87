//! A namespace: its sockets, and which of them are in which rooms.

mod rooms;

use std::sync::Arc;

use bytestring::ByteString;
use carillon_protocol::id::Room;
use parking_lot::RwLock;

use crate::{hub::Summary, room_watch::RoomWatch, socket::Socket};
use rooms::Rooms;

#[derive(Debug)]
pub(crate) struct Namespace<D> {
    rooms: RwLock<Rooms<D>>,
}

impl<D> Namespace<D> {
    pub(crate) fn new(nsp: ByteString, watch: Option<Arc<dyn RoomWatch>>) -> Self {
        Self {
            rooms: RwLock::new(Rooms::new(nsp, watch)),
        }
    }

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

    pub(crate) fn joined_rooms(&self, each: impl FnMut(&Room, usize)) {
        self.rooms.read().joined(each);
    }

    pub(crate) fn find(&self, socket_id: &str) -> Option<Arc<Socket<D>>> {
        self.rooms.read().find(socket_id).cloned()
    }

    /// Calls `each` once for every socket that is in one of `rooms` (in any, where none is named) and in none of `except`.
    pub(crate) fn for_each(&self, rooms: &[Room], except: &[Room], each: impl FnMut(&Arc<Socket<D>>)) {
        self.rooms.read().for_each(rooms, except, each);
    }

    // A socket that is still at another node takes part in joins and leaves, so that it will be in the right rooms. It is
    // that node which answers for it.

    /// The sockets that [`Namespace::for_each`] would call, each with its rooms, at one moment.
    pub(crate) fn summaries(&self, rooms: &[Room], except: &[Room]) -> Vec<Summary<D>> {
        let index = self.rooms.read();
        index
            .select(rooms, except)
            .into_iter()
            .filter(|socket| socket.is_here())
            .map(|socket| Summary {
                rooms: index.rooms_of(&socket),
                socket,
            })
            .collect()
    }

    /// Puts the sockets that [`Namespace::for_each`] would call into `joined`; answers with them.
    pub(crate) fn join_all(&self, rooms: &[Room], except: &[Room], joined: &[Room]) -> Vec<Arc<Socket<D>>> {
        let mut index = self.rooms.write();
        let mut sockets = index.select(rooms, except);
        for socket in &sockets {
            for room in joined {
                index.join(socket, room.clone());
            }
        }
        sockets.retain(|socket| socket.is_here());
        sockets
    }

    /// Takes the sockets that [`Namespace::for_each`] would call out of `left`; answers with them.
    pub(crate) fn leave_all(&self, rooms: &[Room], except: &[Room], left: &[Room]) -> Vec<Arc<Socket<D>>> {
        let mut index = self.rooms.write();
        let mut sockets = index.select(rooms, except);
        for socket in &sockets {
            for room in left {
                index.leave(socket, room);
            }
        }
        sockets.retain(|socket| socket.is_here());
        sockets
    }

    /// The rooms that have sockets, with the own room of each.
    pub(crate) fn rooms(&self) -> Vec<Room> {
        self.rooms.read().rooms()
    }
}
