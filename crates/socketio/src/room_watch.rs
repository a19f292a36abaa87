//! Who wants to know in which rooms a node has sockets: a cluster subscribes to those alone.

use carillon_protocol::id::Room;

/// Is told which rooms have sockets here. A socket's own room, named by its id, is one of them.
///
/// It is called while the membership is locked, so that the last word on a room is always the true one. So it must be
/// short, and must not call the [`Hub`](crate::Hub).
pub trait RoomWatch: Send + Sync {
    /// A room got its first socket.
    fn occupied(&self, nsp: &str, room: &Room);

    /// A room lost its last socket.
    fn vacated(&self, nsp: &str, room: &Room);
}
