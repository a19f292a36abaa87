//! Connections: how they begin, live, come back and end, and how long messages take on their way over them.

use std::time::Duration;

use carillon_socketio::{Delivery, Observer, Path, Tracked, Transport};
use prometheus::{Histogram, IntCounter, Result};

use super::{
    OUTCOMES, Outcome,
    series::{Label, Maker, Series},
};

/// The transports as labels.
pub(super) const TRANSPORTS: [&str; Transport::ALL.len()] =
    [Transport::Polling.as_str(), Transport::WebSocket.as_str()];
const PATHS: Label<'_> = ("path", &["local", "remote", "recovery"]);

/// Why a client was refused before it was connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// A bad token or none.
    Unauthenticated,
    /// Its user or address holds, or opens, as many connections as it may.
    ConnectionLimit,
    /// Its address asks too often.
    RequestRate,
    /// Its page is of a foreign origin.
    Origin,
    /// The node starts or drains.
    NotReady,
    /// Its request was none.
    BadRequest,
}

/// What became of a client's wish to have its session back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryOutcome {
    /// It has it, with all that it missed.
    Full,
    /// It was away for too long, or missed too much.
    TooOld,
    /// The log could not be read, or the node's own sockets lack something meanwhile.
    Error,
}

/// Metrics of connections. Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct Connections {
    durations: Series<Histogram, 1>,
    ping_rtt: Series<Histogram, 1>,
    handshakes: Series<IntCounter, 1>,
    handshake_duration: Series<Histogram, 1>,
    rejected: Series<IntCounter, 1>,
    recoveries: Series<IntCounter, 1>,
    recovered_messages: Histogram,
    latency: Series<Histogram, 1>,
    deliveries: Series<IntCounter, 2>,
}

impl Connections {
    pub(super) fn new(maker: &Maker<'_>) -> Result<Self> {
        let transport: Label<'_> = ("transport", &TRANSPORTS);
        let reasons = &[
            "unauthenticated",
            "connection_limit",
            "request_rate",
            "origin",
            "not_ready",
            "bad_request",
        ];
        Ok(Self {
            durations: maker.lifetimes(
                "connection_duration_seconds",
                "Life of connections that have ended, by the transport that opened them.",
                [transport],
            )?,
            ping_rtt: maker.durations("ping_rtt_seconds", "From ping to pong.", [transport])?,
            handshakes: maker.counters(
                "handshakes_total",
                "Requests of clients to be connected (CONNECT) that were answered.",
                [("outcome", &OUTCOMES)],
            )?,
            handshake_duration: maker.durations(
                "handshake_duration_seconds",
                "From the opening of a session to the confirmation that the client is connected.",
                [transport],
            )?,
            rejected: maker.counters(
                "connections_rejected_total",
                "Clients refused before they were connected.",
                [("reason", reasons)],
            )?,
            recoveries: maker.counters(
                "recoveries_total",
                "Wishes to have a lost session back.",
                [("outcome", &["full", "too_old", "error"])],
            )?,
            recovered_messages: maker.counts(
                "recovered_messages",
                "Events given to a session that came back, as it had missed them.",
            )?,
            latency: maker.durations(
                "message_delivery_latency_seconds",
                "From the acceptance of a message or notification to its writing on the recipient's transport. Local: measured \
                 by one clock. Remote and recovery: by the message's own time, of whose node the clock error is in it; this \
                 node's is not.",
                [PATHS],
            )?,
            deliveries: maker.counters(
                "message_deliveries_total",
                "Messages and notifications for recipients with a connection to this node, once for each connection.",
                [PATHS, ("outcome", &["written", "dropped_slow", "dropped_closed"])],
            )?,
        })
    }

    /// A client's CONNECT was refused.
    pub fn refused(&self, rejection: Rejection) {
        self.rejected(rejection);
        self.handshakes.inc([Outcome::ClientError as usize]);
    }

    /// A client was refused before it could say anything.
    pub fn rejected(&self, rejection: Rejection) {
        self.rejected.inc([rejection as usize]);
    }

    /// A client is connected whose session was opened by `transport` so long ago.
    pub fn connected(&self, transport: Transport, took: Duration) {
        self.handshakes.inc([Outcome::Ok as usize]);
        self.handshake_duration.observe([transport as usize], took);
    }

    /// A client asked for its session.
    pub fn recovery(&self, outcome: RecoveryOutcome) {
        self.recoveries.inc([outcome as usize]);
    }

    /// A session came back that had missed so many events.
    #[expect(clippy::cast_precision_loss, reason = "counts of one session are small")]
    pub fn recovered(&self, missed: usize) {
        self.recovery(RecoveryOutcome::Full);
        self.recovered_messages.observe(missed as f64);
    }
}

impl Observer for Connections {
    fn closed(&self, transport: Transport, lifetime: Duration) {
        self.durations.observe([transport as usize], lifetime);
    }

    fn ponged(&self, transport: Transport, round_trip: Duration) {
        self.ping_rtt.observe([transport as usize], round_trip);
    }

    fn delivered(&self, tracked: Tracked, delivery: Delivery) {
        let path = match tracked.path {
            Path::Local => 0,
            Path::Remote => 1,
            Path::Recovery => 2,
        };
        let outcome = match delivery {
            Delivery::Written => {
                self.latency.observe([path], tracked.since.elapsed());
                0
            }
            Delivery::DroppedSlow => 1,
            Delivery::DroppedClosed => 2,
        };
        self.deliveries.inc([path, outcome]);
    }
}
