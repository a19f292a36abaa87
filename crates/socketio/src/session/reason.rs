//! What carries a session, and why it ends.

/// What carries a session's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    /// Either.
    pub const ALL: [Self; 2] = [Self::Polling, Self::WebSocket];

    /// As the `transport` query parameter names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client closed its transport, or the connection went.
    TransportClose,
    /// The client broke the transport's rules, or the connection failed.
    TransportError,
    /// No pong in time.
    PingTimeout,
    /// A packet that is none.
    ParseError,
    /// A message over the limit.
    TooBig,
    /// The layer above closed it: what came broke the rules of Socket.IO.
    ForcedClose,
    /// More waited for the client than may.
    SlowConsumer,
    /// No namespace was joined in time.
    ConnectTimeout,
    /// What it was opened with is no longer valid (an expired token).
    Expired,
    /// The same client came back on a new connection.
    Superseded,
    /// The server goes.
    ServerShutdown,
    /// It lives on another node. Nobody is told of it as of an end.
    Moved,
}

impl CloseReason {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::TransportClose,
        Self::TransportError,
        Self::PingTimeout,
        Self::ParseError,
        Self::TooBig,
        Self::ForcedClose,
        Self::SlowConsumer,
        Self::ConnectTimeout,
        Self::Expired,
        Self::Superseded,
        Self::ServerShutdown,
        Self::Moved,
    ];

    /// As Socket.IO names it where it has a name; the others in the same style.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::TooBig => "message too big",
            Self::ForcedClose => "forced close",
            Self::SlowConsumer => "slow consumer",
            Self::ConnectTimeout => "connect timeout",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::ServerShutdown => "server shutting down",
            Self::Moved => "moved",
        }
    }

    /// Whether the client's side ended it, so that there is nothing left to tell it.
    pub(super) const fn is_clients(self) -> bool {
        matches!(
            self,
            Self::TransportClose | Self::TransportError | Self::PingTimeout | Self::ParseError | Self::TooBig
        )
    }
}
