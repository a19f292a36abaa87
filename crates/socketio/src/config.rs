//! What an operator may set of the transport, with the defaults of engine.io 6 and socket.io 4.

use std::time::Duration;

use carillon_protocol::limits;

/// Times and bounds of sessions.
#[derive(Debug, Clone)]
pub struct Config {
    /// Time from the handshake, and from each pong, to the next ping.
    pub ping_interval: Duration,
    /// How long a pong may take.
    pub ping_timeout: Duration,
    /// How long a WebSocket may take from its opening to the upgrade packet.
    pub upgrade_timeout: Duration,
    /// How long a session may live without joining a namespace; `None` for plain Engine.IO.
    pub connect_timeout: Option<Duration>,
    /// How long a closed session waits for a transport to take what is left for it.
    pub close_grace: Duration,
    /// Largest message from a client, in bytes.
    pub max_payload: usize,
    /// Most packets in one polling payload.
    pub max_packets_per_payload: usize,
    /// Most packets that may wait for a client.
    pub queue_packets: usize,
    /// Most bytes that may wait for a client. One packet may be larger where nothing else waits.
    pub queue_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            connect_timeout: Some(Duration::from_secs(45)),
            close_grace: Duration::from_secs(30),
            max_payload: limits::MAX_PAYLOAD_BYTES,
            max_packets_per_payload: limits::MAX_PACKETS_PER_PAYLOAD,
            queue_packets: limits::MAX_QUEUE_PACKETS,
            queue_bytes: limits::MAX_QUEUE_BYTES,
        }
    }
}
