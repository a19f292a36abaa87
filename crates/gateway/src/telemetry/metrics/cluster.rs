//! How the node does in its cluster. A node that is alone is a cluster of one.

use std::time::Duration;

use prometheus::{Counter, Gauge, Histogram, IntCounter, IntGauge, Result};

use super::{
    Totals,
    series::{Maker, Series, raise, raise_seconds, set},
};

/// Metrics of the backplane.
#[derive(Debug)]
pub struct Cluster {
    is_up: IntGauge,
    nodes: IntGauge,
    rooms: IntGauge,
    received: IntCounter,
    malformed: IntCounter,
    published: Series<IntCounter, 1>,
    probe_failures: IntCounter,
    catching_up: IntGauge,
    backlog: IntGauge,
    backlog_dropped: IntCounter,
    probe_rtt: Series<Histogram, 0>,
    lag: Series<Histogram, 0>,
    reconnects: IntCounter,
    degraded: Counter,
    clock_skew: Gauge,
    last_sweep: Gauge,
}

impl Cluster {
    pub(super) fn new(maker: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            is_up: maker.gauge(
                "backplane_up",
                "Whether events go to and come from the other nodes.",
            )?,
            nodes: maker.gauge("cluster_nodes", "Nodes that live, as far as this one knows.")?,
            rooms: maker.gauge("backplane_rooms", "Rooms that the node subscribes to.")?,
            received: maker.counter(
                "backplane_received_total",
                "Messages that came over the subscription.",
            )?,
            malformed: maker.counter(
                "backplane_malformed_total",
                "Messages that came and could not be read.",
            )?,
            published: maker.counters(
                "backplane_published_total",
                "Events for the sockets of all nodes: shared, given to this node's own sockets alone (unshared), volatile \
                 and dropped.",
                [("result", &["ok", "unshared", "dropped"])],
            )?,
            probe_failures: maker.counter(
                "backplane_probe_failures_total",
                "Probes that were not heard in time.",
            )?,
            catching_up: maker.gauge(
                "catching_up",
                "Whether sockets lack something that was said, or the other nodes do; nobody is recovered here then.",
            )?,
            backlog: maker.gauge(
                "backlog",
                "Chats and notifications that the other nodes are still to be told of.",
            )?,
            backlog_dropped: maker.counter(
                "backlog_dropped_total",
                "Chats and notifications that they were not told of later, as too many waited.",
            )?,
            probe_rtt: maker.durations(
                "backplane_probe_rtt_seconds",
                "From sending a probe to hearing it.",
                [],
            )?,
            lag: maker.durations(
                "backplane_lag_seconds",
                "From publishing an event to hearing it.",
                [],
            )?,
            reconnects: maker.counter(
                "backplane_reconnects_total",
                "How often the other nodes were out of reach and came back.",
            )?,
            degraded: maker.seconds_counter(
                "backplane_degraded_seconds_total",
                "How long the other nodes were out of reach.",
            )?,
            clock_skew: maker.seconds_gauge(
                "clock_skew_seconds",
                "This node's clock less that of Redis; 0 without Redis.",
            )?,
            last_sweep: maker.seconds_gauge(
                "presence_last_sweep_timestamp_seconds",
                "When users of dead nodes were looked for last; without Redis when the node started.",
            )?,
        })
    }

    /// A probe was heard after this time.
    pub fn probed(&self, round_trip: Duration) {
        self.probe_rtt.observe([], round_trip);
    }

    /// An event was heard so long after it was published.
    pub fn lagged(&self, lag: Duration) {
        self.lag.observe([], lag);
    }

    /// This node's clock is so many milliseconds ahead.
    #[expect(
        clippy::cast_precision_loss,
        reason = "clocks differ by less than 2^52 milliseconds"
    )]
    pub fn clock_is_ahead(&self, millis: i64) {
        self.clock_skew.set(millis as f64 / 1_000.0);
    }

    /// By how many milliseconds this node's clock is ahead, as far as is known.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    pub fn clock_skew_millis(&self) -> i64 {
        (self.clock_skew.get() * 1_000.0) as i64
    }

    /// Users of dead nodes were looked for at this time, in milliseconds since 1970.
    #[expect(clippy::cast_precision_loss, reason = "times of this age are far below 2^52")]
    pub fn swept(&self, millis: i64) {
        self.last_sweep.set(millis as f64 / 1_000.0);
    }

    pub(super) fn take_over(&self, totals: &Totals<'_>) {
        let Totals {
            backplane: health,
            catching_up,
            waiting,
            ..
        } = totals;
        set(&self.catching_up, u64::from(*catching_up));
        self.is_up.set(i64::from(health.is_up));
        for (gauge, count) in [
            (&self.nodes, health.nodes),
            (&self.rooms, health.rooms),
            (&self.backlog, waiting.now),
        ] {
            set(gauge, u64::try_from(count).unwrap_or(u64::MAX));
        }
        for (counter, total) in [
            (&self.received, health.received),
            (&self.malformed, health.malformed),
            (&self.probe_failures, health.probe_failures),
            (&self.backlog_dropped, waiting.dropped),
            (&self.reconnects, health.reconnects),
        ] {
            raise(counter, total);
        }
        raise_seconds(&self.degraded, health.degraded);
        for (place, total) in [health.published, health.unshared, health.dropped]
            .into_iter()
            .enumerate()
        {
            self.published.raise([place], total);
        }
    }
}
