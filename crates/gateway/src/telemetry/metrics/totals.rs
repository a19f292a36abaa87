//! What others count (sessions, limits, the keys), handed over at each scrape.

use carillon_backplane::Health;
use carillon_socketio::{CloseReason, Counters, PacketType, Transport};
use prometheus::{IntCounter, IntGauge, Result};
use tokio::runtime::Handle;

use super::{
    connections::TRANSPORTS,
    series::{Label, Maker, Series, raise, set},
};
use crate::{
    auth::Attempt, http::health::Stage, limits::Limit, services::Waiting, telemetry::process::ProcessTotals,
};

/// What others count.
#[derive(Debug)]
pub struct Totals<'a> {
    /// Of sessions.
    pub sessions: &'a Counters,
    /// How many connections the node may hold.
    pub connections_limit: u32,
    /// What waits for clients.
    pub queued: Queued,
    /// Rooms that sockets of this node are in.
    pub rooms: Rooms,
    /// Where the node stands.
    pub stage: Stage,
    /// Refusals so far, by limit.
    pub rate_limited: Vec<(Limit, u64)>,
    /// Tokens looked at so far, by what came of it.
    pub attempts: [u64; Attempt::ALL.len()],
    /// The key set, where there is one.
    pub key_set: KeySet,
    /// Whether the store could be written to lately.
    pub store: bool,
    /// How the backplane does.
    pub backplane: Health,
    /// Whether sockets lack something that was said.
    pub catching_up: bool,
    /// What the other nodes are still to be told.
    pub waiting: Waiting,
    /// Of the process.
    pub process: ProcessTotals,
    /// The runtimes of all threads.
    pub runtimes: Vec<Handle>,
}

/// What waits for the clients of a node, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Queued {
    /// For all of them.
    pub all: usize,
    /// For the one that most waits for.
    pub most: usize,
    /// What may wait for one of them.
    pub limit: usize,
}

/// The rooms of a node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rooms {
    /// Users with a connection.
    pub users: usize,
    /// Rooms with a socket.
    pub rooms: usize,
    /// Sockets in rooms, once for each room.
    pub memberships: usize,
}

/// How a key set does.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeySet {
    /// Seconds since it was read well.
    pub age_seconds: u64,
    /// Looks that found a key set, and looks that did not.
    pub refreshes: [u64; 2],
}

#[derive(Debug)]
pub(super) struct Copied {
    connections: Series<IntGauge, 1>,
    connections_limit: IntGauge,
    opened: Series<IntCounter, 1>,
    arrived: IntCounter,
    closed: Series<IntCounter, 2>,
    upgrades: Series<IntCounter, 1>,
    packets_received: Series<IntCounter, 1>,
    packets_sent: Series<IntCounter, 1>,
    bytes_received: Series<IntCounter, 1>,
    bytes_sent: Series<IntCounter, 1>,
    queued: IntGauge,
    most_queued: IntGauge,
    queue_limit: IntGauge,
    dropped: Series<IntCounter, 1>,
    users: IntGauge,
    rooms: IntGauge,
    memberships: IntGauge,
    rate_limited: Series<IntCounter, 1>,
    attempts: Series<IntCounter, 2>,
    key_age: IntGauge,
    key_refreshes: Series<IntCounter, 1>,
    ready: IntGauge,
    draining: IntGauge,
    drain_left: IntGauge,
    dependencies: Series<IntGauge, 1>,
}

impl Copied {
    pub(super) fn new(maker: &Maker<'_>) -> Result<Self> {
        let transport: Label<'_> = ("transport", &TRANSPORTS);
        let packet_types = PacketType::ALL.map(PacketType::as_str);
        let packet_type: Label<'_> = ("type", &packet_types);
        let reasons = CloseReason::ALL.map(label);
        Ok(Self {
            connections: maker.gauges(
                "connections",
                "Connections that live, by the transport that opened them.",
                [transport],
            )?,
            connections_limit: maker.gauge(
                "connections_limit",
                "Connections that the node may hold; with more, clients are refused.",
            )?,
            opened: maker.counters("connections_opened_total", "Connections opened.", [transport])?,
            arrived: maker.counter(
                "connections_arrived_total",
                "Connections that came from other nodes; they count as opened by WebSocket.",
            )?,
            closed: maker.counters(
                "connections_closed_total",
                "Connections closed.",
                [transport, ("reason", &reasons)],
            )?,
            upgrades: maker.counters(
                "transport_upgrades_total",
                "WebSockets that came to take over from polling.",
                [("result", &["ok", "failed"])],
            )?,
            packets_received: maker.counters(
                "packets_received_total",
                "Engine.IO packets from clients.",
                [packet_type],
            )?,
            packets_sent: maker.counters(
                "packets_sent_total",
                "Engine.IO packets given to transports for writing.",
                [packet_type],
            )?,
            bytes_received: maker.counters(
                "received_bytes_total",
                "Bytes of messages and payloads from clients.",
                [transport],
            )?,
            bytes_sent: maker.counters(
                "sent_bytes_total",
                "Bytes of packets given to transports for writing.",
                [transport],
            )?,
            queued: maker.gauge("outbound_queue_bytes", "Bytes that wait for clients, in all.")?,
            most_queued: maker.gauge(
                "outbound_queue_max_bytes",
                "Bytes that wait for the client that most waits for.",
            )?,
            queue_limit: maker.gauge(
                "outbound_queue_limit_bytes",
                "Bytes that may wait for one client; with more it is closed as a slow consumer.",
            )?,
            dropped: maker.counters(
                "outbound_dropped_total",
                "Packets that a client's queue could not take; each overflow has ended a connection.",
                [("class", &["volatile", "overflow"])],
            )?,
            users: maker.gauge("users", "Users with a connection to this node.")?,
            rooms: maker.gauge("rooms", "Rooms that sockets of this node are in.")?,
            memberships: maker.gauge(
                "room_memberships",
                "Sockets of this node in rooms, once for each room.",
            )?,
            rate_limited: maker.pairs(
                "rate_limited_total",
                "What went over a limit.",
                ["scope", "limit"],
                &Limit::ALL.map(|limit| [limit.scope(), limit.as_str()]),
            )?,
            attempts: maker.counters(
                "auth_attempts_total",
                "Tokens looked at.",
                [("method", &["jwt"]), ("result", &Attempt::ALL.map(Attempt::as_str))],
            )?,
            key_age: maker.gauge(
                "jwks_age_seconds",
                "Seconds since the key set was last read well; 0 without one.",
            )?,
            key_refreshes: maker.counters(
                "jwks_refreshes_total",
                "Looks at the key set.",
                [("result", &["ok", "error"])],
            )?,
            ready: maker.gauge("ready", "Whether the node takes new clients.")?,
            draining: maker.gauge("draining", "Whether the node sends its clients away.")?,
            drain_left: maker.gauge(
                "drain_connections_remaining",
                "Connections that a draining node still has to close.",
            )?,
            dependencies: maker.gauges(
                "dependency_up",
                "Whether what the node keeps its state in did its work lately, the embedded store and the in-process backplane \
                 included.",
                [("dependency", &["store", "backplane"])],
            )?,
        })
    }

    pub(super) fn take_over(&self, totals: &Totals<'_>) {
        self.take_over_sessions(totals.sessions);
        let wide = |count| u64::try_from(count).unwrap_or(u64::MAX);
        let is_draining = totals.stage == Stage::Draining;
        for (gauge, value) in [
            (&self.connections_limit, u64::from(totals.connections_limit)),
            (&self.queued, wide(totals.queued.all)),
            (&self.most_queued, wide(totals.queued.most)),
            (&self.queue_limit, wide(totals.queued.limit)),
            (&self.users, wide(totals.rooms.users)),
            (&self.rooms, wide(totals.rooms.rooms)),
            (&self.memberships, wide(totals.rooms.memberships)),
            (&self.key_age, totals.key_set.age_seconds),
            (&self.ready, u64::from(totals.stage == Stage::Ready)),
            (&self.draining, u64::from(is_draining)),
            (
                &self.drain_left,
                if is_draining { totals.sessions.live() } else { 0 },
            ),
        ] {
            set(gauge, value);
        }
        for (place, is_up) in [totals.store, totals.backplane.is_up].into_iter().enumerate() {
            self.dependencies.set([place], u64::from(is_up));
        }
        for (limit, total) in &totals.rate_limited {
            self.rate_limited.raise([*limit as usize], *total);
        }
        for (place, total) in totals.attempts.into_iter().enumerate() {
            self.attempts.raise([0, place], total);
        }
        for (place, total) in totals.key_set.refreshes.into_iter().enumerate() {
            self.key_refreshes.raise([place], total);
        }
    }

    fn take_over_sessions(&self, counters: &Counters) {
        for transport in Transport::ALL {
            let place = transport as usize;
            self.connections.set([place], counters.live_by(transport));
            self.opened.raise([place], counters.opened_by(transport));
            for (reason, total) in counters.closed_by(transport) {
                self.closed.raise([place, reason as usize], total);
            }
        }
        raise(&self.arrived, counters.arrived());
        for (series, pair) in [
            (&self.upgrades, [counters.upgraded(), counters.not_upgraded()]),
            (&self.dropped, [counters.dropped(), counters.overflowed()]),
        ] {
            for (place, total) in pair.into_iter().enumerate() {
                series.raise([place], total);
            }
        }
        for (packet, total) in counters.packets_received() {
            self.packets_received.raise([packet as usize], total);
        }
        for (packet, total) in counters.packets_sent() {
            self.packets_sent.raise([packet as usize], total);
        }
        for (transport, total) in counters.received_bytes() {
            self.bytes_received.raise([transport as usize], total);
        }
        for (transport, total) in counters.sent_bytes() {
            self.bytes_sent.raise([transport as usize], total);
        }
    }
}

/// Why a connection was closed, as dashboards name it.
const fn label(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::TransportClose => "client",
        CloseReason::TransportError => "transport_error",
        CloseReason::PingTimeout => "ping_timeout",
        CloseReason::ParseError => "protocol_error",
        CloseReason::TooBig => "message_too_big",
        CloseReason::ForcedClose => "forced_close",
        CloseReason::SlowConsumer => "slow_consumer",
        CloseReason::ConnectTimeout => "connect_timeout",
        CloseReason::Expired => "token_expired",
        CloseReason::Superseded => "superseded",
        CloseReason::ServerShutdown => "drain",
        CloseReason::Moved => "moved",
    }
}
