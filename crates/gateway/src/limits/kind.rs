//! What is limited, and how often each limit refused something.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Messages of a user.
    Messages,
    /// Events of a user, messages among them.
    Events,
    /// Requests of an address.
    AddressRequests,
    /// Polls and posts of a user.
    UserRequests,
    /// Connections of a user at once.
    UserConnections,
    /// Open sessions of an address at once.
    AddressConnections,
    /// New sessions of an address.
    ConnectionRate,
    /// Open sessions of the node at once.
    NodeConnections,
    /// Chats that a connection has joined.
    JoinedChats,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 9] = [
        Self::Messages,
        Self::Events,
        Self::AddressRequests,
        Self::UserRequests,
        Self::UserConnections,
        Self::AddressConnections,
        Self::ConnectionRate,
        Self::NodeConnections,
        Self::JoinedChats,
    ];

    /// What it is counted by, as metrics name it.
    #[must_use]
    pub const fn scope(self) -> &'static str {
        match self {
            Self::Messages | Self::Events | Self::UserRequests | Self::UserConnections => "user",
            Self::AddressRequests | Self::AddressConnections | Self::ConnectionRate => "ip",
            Self::NodeConnections => "node",
            Self::JoinedChats => "connection",
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Events => "events",
            Self::AddressRequests => "address_requests",
            Self::UserRequests => "user_requests",
            Self::UserConnections => "user_connections",
            Self::AddressConnections => "address_connections",
            Self::ConnectionRate => "connection_rate",
            Self::NodeConnections => "node_connections",
            Self::JoinedChats => "joined_chats",
        }
    }
}

/// Refusals since the start, by limit.
#[derive(Debug, Default)]
pub(super) struct Refusals([AtomicU64; Limit::ALL.len()]);

impl Refusals {
    pub(super) fn count(&self, limit: Limit) {
        for (known, count) in Limit::ALL.iter().zip(&self.0) {
            if *known == limit {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Limit, u64)> {
        Limit::ALL
            .into_iter()
            .zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}
