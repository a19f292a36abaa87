//! What has happened, counted: for whoever exports metrics.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use carillon_protocol::engine::{Frame, Packet};

use crate::{
    observer::{Delivery, Observer, Tracked},
    session::{CloseReason, Transport},
};

/// Totals since the start. They only grow.
#[derive(Default)]
pub struct Counters {
    observer: Option<Box<dyn Observer>>,
    opened: [AtomicU64; Transport::ALL.len()],
    closed: [[AtomicU64; CloseReason::ALL.len()]; Transport::ALL.len()],
    arrived: AtomicU64,
    upgraded: AtomicU64,
    not_upgraded: AtomicU64,
    dropped: AtomicU64,
    overflowed: AtomicU64,
    delivered: AtomicU64,
    received: Traffic,
    sent: Traffic,
}

/// Types of Engine.IO packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of Engine.IO v4")]
pub enum PacketType {
    Open,
    Close,
    Ping,
    Pong,
    Message,
    Upgrade,
    Noop,
}

/// What went in one direction.
#[derive(Default)]
struct Traffic {
    packets: [AtomicU64; PacketType::ALL.len()],
    bytes: [AtomicU64; Transport::ALL.len()],
}

impl PacketType {
    /// Every type.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::Close,
        Self::Ping,
        Self::Pong,
        Self::Message,
        Self::Upgrade,
        Self::Noop,
    ];

    /// Its name in the protocol's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Message => "message",
            Self::Upgrade => "upgrade",
            Self::Noop => "noop",
        }
    }

    const fn of(packet: &Packet) -> Self {
        match packet {
            Packet::Open => Self::Open,
            Packet::Close => Self::Close,
            Packet::Ping(_) => Self::Ping,
            Packet::Pong(_) => Self::Pong,
            Packet::Message(_) => Self::Message,
            Packet::Upgrade => Self::Upgrade,
            Packet::Noop => Self::Noop,
        }
    }

    /// Of a frame that is written here, which is never malformed.
    fn of_frame(frame: &Frame) -> Self {
        let Frame::Text(text) = frame else {
            return Self::Message;
        };
        match text.as_bytes().first() {
            Some(b'0') => Self::Open,
            Some(b'1') => Self::Close,
            Some(b'2') => Self::Ping,
            Some(b'3') => Self::Pong,
            Some(b'5') => Self::Upgrade,
            Some(b'6') => Self::Noop,
            _ => Self::Message,
        }
    }
}

impl Traffic {
    fn packets(&self) -> impl Iterator<Item = (PacketType, u64)> {
        PacketType::ALL.into_iter().zip(self.packets.iter().map(load))
    }

    fn bytes(&self) -> impl Iterator<Item = (Transport, u64)> {
        Transport::ALL.into_iter().zip(self.bytes.iter().map(load))
    }
}

impl Counters {
    /// At 0, with someone who is told more than can be counted.
    #[must_use]
    pub fn observed_by(observer: Box<dyn Observer>) -> Self {
        Self {
            observer: Some(observer),
            ..Self::default()
        }
    }

    pub(crate) fn opened(&self, transport: Transport) {
        add(self.opened.get(transport as usize), 1);
    }

    /// A session came from another node, over WebSocket.
    pub(crate) fn session_arrived(&self) {
        add(Some(&self.arrived), 1);
    }

    pub(crate) fn closed(&self, transport: Transport, reason: CloseReason, lifetime: Duration) {
        let of_transport = self.closed.get(transport as usize);
        add(of_transport.and_then(|closed| closed.get(reason as usize)), 1);
        if let Some(observer) = &self.observer {
            observer.closed(transport, lifetime);
        }
    }

    pub(crate) fn upgrade(&self, is_done: bool) {
        add(
            Some(if is_done {
                &self.upgraded
            } else {
                &self.not_upgraded
            }),
            1,
        );
    }

    pub(crate) fn event_delivered(&self, sockets: u64) {
        add(Some(&self.delivered), sockets);
    }

    /// A packet did not fit into a queue.
    pub(crate) fn did_not_fit(&self, volatile: bool) {
        add(Some(if volatile { &self.dropped } else { &self.overflowed }), 1);
    }

    pub(crate) fn packet_received(&self, packet: &Packet) {
        add(self.received.packets.get(PacketType::of(packet) as usize), 1);
    }

    pub(crate) fn bytes_received(&self, transport: Transport, bytes: usize) {
        add(self.received.bytes.get(transport as usize), wide(bytes));
    }

    pub(crate) fn sent(&self, transport: Transport, frames: &[Frame]) {
        let bytes = frames.iter().map(Frame::len).sum();
        add(self.sent.bytes.get(transport as usize), wide(bytes));
        for frame in frames {
            add(self.sent.packets.get(PacketType::of_frame(frame) as usize), 1);
        }
    }

    pub(crate) fn ponged(&self, transport: Transport, round_trip: Duration) {
        if let Some(observer) = &self.observer {
            observer.ponged(transport, round_trip);
        }
    }

    pub(crate) fn tracked(&self, tracked: impl IntoIterator<Item = Tracked>, delivery: Delivery) {
        if let Some(observer) = &self.observer {
            for tracked in tracked {
                observer.delivered(tracked, delivery);
            }
        }
    }

    /// Sessions opened, by the transport that opened them.
    #[must_use]
    pub fn opened_by(&self, transport: Transport) -> u64 {
        self.opened.get(transport as usize).map_or(0, load)
    }

    /// Sessions that came from other nodes.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        load(&self.arrived)
    }

    /// Sessions ended that were opened by `transport`, by reason. One that came from another node was opened by WebSocket.
    pub fn closed_by(&self, transport: Transport) -> impl Iterator<Item = (CloseReason, u64)> {
        let counts = self.closed.get(transport as usize).into_iter().flatten();
        CloseReason::ALL.into_iter().zip(counts.map(load))
    }

    /// Sessions ended, by reason.
    pub fn closed_by_reason(&self) -> impl Iterator<Item = (CloseReason, u64)> {
        let [polling, websocket] = Transport::ALL.map(|transport| self.closed_by(transport));
        polling
            .zip(websocket)
            .map(|((reason, one), (_, other))| (reason, one + other))
    }

    /// Sessions that live and were opened by `transport`.
    #[must_use]
    pub fn live_by(&self, transport: Transport) -> u64 {
        let closed: u64 = self.closed_by(transport).map(|(_, count)| count).sum();
        let arrived = match transport {
            Transport::Polling => 0,
            Transport::WebSocket => self.arrived(),
        };
        (self.opened_by(transport) + arrived).saturating_sub(closed)
    }

    /// Sessions that live.
    #[must_use]
    pub fn live(&self) -> u64 {
        Transport::ALL
            .into_iter()
            .map(|transport| self.live_by(transport))
            .sum()
    }

    /// Sessions that went from polling to WebSocket.
    #[must_use]
    pub fn upgraded(&self) -> u64 {
        load(&self.upgraded)
    }

    /// WebSockets that came to take a session over and did not.
    #[must_use]
    pub fn not_upgraded(&self) -> u64 {
        load(&self.not_upgraded)
    }

    /// Volatile packets that were dropped at a full queue.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        load(&self.dropped)
    }

    /// Other packets that a full queue could not take: each has ended its session.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        load(&self.overflowed)
    }

    /// Events put into a queue, once per socket.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        load(&self.delivered)
    }

    /// Packets from clients, by type.
    pub fn packets_received(&self) -> impl Iterator<Item = (PacketType, u64)> {
        self.received.packets()
    }

    /// Packets given to transports for writing, by type.
    pub fn packets_sent(&self) -> impl Iterator<Item = (PacketType, u64)> {
        self.sent.packets()
    }

    /// Bytes of packets from clients.
    pub fn received_bytes(&self) -> impl Iterator<Item = (Transport, u64)> {
        self.received.bytes()
    }

    /// Bytes of packets given to transports for writing.
    pub fn sent_bytes(&self) -> impl Iterator<Item = (Transport, u64)> {
        self.sent.bytes()
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters")
            .field("live", &self.live())
            .finish_non_exhaustive()
    }
}

fn add(counter: Option<&AtomicU64>, count: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
