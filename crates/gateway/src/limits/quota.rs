//! What of the limits those see who ask one question alone.

use std::net::IpAddr;

use carillon_protocol::id::{Room, UserId};

use super::Limits;

/// Bounds the requests of an address.
pub trait RequestQuota: Send + Sync {
    /// Counts one request.
    ///
    /// # Errors
    /// Where there are too many: after how many milliseconds a retry is worth it.
    fn request(&self, address: IpAddr) -> Result<(), u64>;

    /// Counts one poll or post of a session that belongs to `user`, in place of the address it comes from.
    ///
    /// # Errors
    /// As [`RequestQuota::request`].
    fn session_request(&self, user: &UserId) -> Result<(), u64>;
}

/// Bounds what a user asks for over sockets.
pub trait EventQuota: Send + Sync {
    /// Counts one event of any kind.
    ///
    /// # Errors
    /// Where there are too many: after how many milliseconds a retry is worth it.
    fn event(&self, user: &UserId) -> Result<(), u64>;

    /// Counts one message, beside the event that brings it.
    ///
    /// # Errors
    /// As [`EventQuota::event`].
    fn message(&self, user: &UserId) -> Result<(), u64>;
}

/// Bounds the chats that one socket has joined.
pub trait ChatQuota: Send + Sync {
    /// Whether it may join the room of one more, or is in it already.
    ///
    /// # Errors
    /// Where it is in too many: after how many milliseconds a retry is worth it.
    fn join(&self, chat: &Room) -> Result<(), u64>;
}

impl RequestQuota for Limits {
    fn request(&self, address: IpAddr) -> Result<(), u64> {
        Self::request(self, address).map_err(|refusal| refusal.millis)
    }

    fn session_request(&self, user: &UserId) -> Result<(), u64> {
        self.user_request(user).map_err(|refusal| refusal.millis)
    }
}

impl EventQuota for Limits {
    fn event(&self, user: &UserId) -> Result<(), u64> {
        Self::event(self, user).map_err(|refusal| refusal.millis)
    }

    fn message(&self, user: &UserId) -> Result<(), u64> {
        Self::message(self, user).map_err(|refusal| refusal.millis)
    }
}
