//! The index of rooms. A socket's own room needs no entry: it is found by its id.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytestring::ByteString;
use carillon_protocol::id::Room;

use crate::{room_watch::RoomWatch, socket::Socket};

pub(super) struct Rooms<D> {
    nsp: ByteString,
    watch: Option<Arc<dyn RoomWatch>>,
    sockets: HashMap<ByteString, Member<D>>,
    members: HashMap<Room, HashMap<ByteString, Arc<Socket<D>>>>,
}

#[derive(Debug)]
struct Member<D> {
    socket: Arc<Socket<D>>,
    rooms: Vec<Room>,
}

impl<D> std::fmt::Debug for Rooms<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rooms")
            .field("nsp", &self.nsp)
            .field("sockets", &self.sockets.len())
            .finish_non_exhaustive()
    }
}

impl<D> Rooms<D> {
    pub(super) fn new(nsp: ByteString, watch: Option<Arc<dyn RoomWatch>>) -> Self {
        Self {
            nsp,
            watch,
            sockets: HashMap::new(),
            members: HashMap::new(),
        }
    }

    pub(super) fn attach(&mut self, socket: &Arc<Socket<D>>, rooms: Vec<Room>) -> bool {
        if self.sockets.contains_key(socket.id()) {
            return false;
        }
        self.sockets.insert(
            socket.id().clone(),
            Member {
                socket: Arc::clone(socket),
                rooms: Vec::new(),
            },
        );
        if !self.members.contains_key(socket.room()) {
            self.occupied(socket.room());
        }
        for room in rooms {
            self.join(socket, room);
        }
        true
    }

    pub(super) fn detach(&mut self, socket: &Socket<D>) {
        if self.member(socket).is_none() {
            return;
        }
        for room in self
            .sockets
            .remove(socket.id())
            .into_iter()
            .flat_map(|member| member.rooms)
        {
            self.remove_from(&room, socket.id());
        }
        if !self.members.contains_key(socket.room()) {
            self.vacated(socket.room());
        }
    }

    pub(super) fn join(&mut self, socket: &Socket<D>, room: Room) {
        if self.member(socket).is_none() {
            return;
        }
        let Some(member) = self.sockets.get_mut(socket.id()) else {
            return;
        };
        if *member.socket.room() == room || member.rooms.contains(&room) {
            return;
        }
        let shared = Arc::clone(&member.socket);
        member.rooms.push(room.clone());
        if !self.is_occupied(&room) {
            self.occupied(&room);
        }
        self.members
            .entry(room)
            .or_default()
            .insert(socket.id().clone(), shared);
    }

    pub(super) fn leave(&mut self, socket: &Socket<D>, room: &Room) {
        if self.member(socket).is_none() {
            return;
        }
        if let Some(member) = self.sockets.get_mut(socket.id()) {
            member.rooms.retain(|known| known != room);
        }
        self.remove_from(room, socket.id());
    }

    pub(super) fn rooms_of(&self, socket: &Socket<D>) -> Vec<Room> {
        self.member(socket)
            .map(|member| member.rooms.clone())
            .unwrap_or_default()
    }

    pub(super) fn find(&self, socket_id: &str) -> Option<&Arc<Socket<D>>> {
        self.sockets.get(socket_id).map(|member| &member.socket)
    }

    pub(super) fn for_each(&self, rooms: &[Room], except: &[Room], mut each: impl FnMut(&Arc<Socket<D>>)) {
        let mut visit = |socket: &Arc<Socket<D>>| {
            if !except.iter().any(|room| self.is_in(socket, room)) {
                each(socket);
            }
        };
        match rooms {
            [] => self.sockets.values().for_each(|member| visit(&member.socket)),
            [room] => self.sockets_in(room).for_each(visit),
            rooms => {
                let mut seen = HashSet::new();
                for socket in rooms.iter().flat_map(|room| self.sockets_in(room)) {
                    if seen.insert(socket.id()) {
                        visit(socket);
                    }
                }
            }
        }
    }

    pub(super) fn select(&self, rooms: &[Room], except: &[Room]) -> Vec<Arc<Socket<D>>> {
        let mut selected = Vec::new();
        self.for_each(rooms, except, |socket| selected.push(Arc::clone(socket)));
        selected
    }

    pub(super) fn joined(&self, mut each: impl FnMut(&Room, usize)) {
        for (room, members) in &self.members {
            each(room, members.len());
        }
    }

    pub(super) fn rooms(&self) -> Vec<Room> {
        let own = self.sockets.values().map(|member| member.socket.room());
        let shared = self
            .members
            .keys()
            .filter(|room| !self.sockets.contains_key(room.as_str()));
        own.chain(shared).cloned().collect()
    }

    /// The entry of this very socket: a resumed session has the id of its predecessor.
    fn member(&self, socket: &Socket<D>) -> Option<&Member<D>> {
        self.sockets
            .get(socket.id())
            .filter(|member| std::ptr::eq(&*member.socket, socket))
    }

    fn sockets_in(&self, room: &Room) -> impl Iterator<Item = &Arc<Socket<D>>> {
        let own = self.find(room.as_str());
        self.members
            .get(room)
            .into_iter()
            .flat_map(HashMap::values)
            .chain(own)
    }

    fn is_in(&self, socket: &Socket<D>, room: &Room) -> bool {
        socket.room() == room
            || self
                .members
                .get(room)
                .is_some_and(|members| members.contains_key(socket.id()))
    }

    fn remove_from(&mut self, room: &Room, socket_id: &ByteString) {
        let Some(members) = self.members.get_mut(room) else {
            return;
        };
        members.remove(socket_id);
        if members.is_empty() {
            self.members.remove(room);
            if !self.is_occupied(room) {
                self.vacated(room);
            }
        }
    }

    /// Whether any socket is in a room: by a join, or because it is its own.
    fn is_occupied(&self, room: &Room) -> bool {
        self.members.contains_key(room) || self.sockets.contains_key(room.as_str())
    }

    fn occupied(&self, room: &Room) {
        if let Some(watch) = &self.watch {
            watch.occupied(&self.nsp, room);
        }
    }

    fn vacated(&self, room: &Room) {
        if let Some(watch) = &self.watch {
            watch.vacated(&self.nsp, room);
        }
    }
}
