//! Who is online, as `getOnlineUsers` and `userStatusChange` tell it.

use crate::{id::UserId, time::Timestamp};

/// A user with at least one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineUser {
    /// Who.
    pub user: UserId,
    /// Time of the latest connection.
    pub last_seen: Timestamp,
}

/// A user's first connection came, or the last one went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// At least one connection.
    Online,
    /// None.
    Offline,
}

impl Status {
    /// `online` or `offline`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
        }
    }
}
