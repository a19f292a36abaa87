//! How the node does in its cluster. A node that is alone is a cluster of one.

use prometheus::{IntCounter, IntGauge, Registry};

use super::{Totals, register, set};

#[derive(Debug)]
pub(super) struct Cluster {
    is_up: IntGauge,
    nodes: IntGauge,
    rooms: IntGauge,
    received: IntCounter,
    malformed: IntCounter,
    published: IntCounter,
    dropped: IntCounter,
    probe_failures: IntCounter,
    catching_up: IntGauge,
    waiting: IntGauge,
    waiting_dropped: IntCounter,
}

impl Cluster {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        Ok(Self {
            is_up: gauge(
                "carillon_backplane_up",
                "Whether events go to and come from the other nodes.",
            )?,
            nodes: gauge(
                "carillon_cluster_nodes",
                "Nodes that live, as far as this one knows.",
            )?,
            rooms: gauge("carillon_backplane_rooms", "Rooms that the node subscribes to.")?,
            received: counter(
                "carillon_backplane_received_total",
                "Messages that came over the subscription.",
            )?,
            malformed: counter(
                "carillon_backplane_malformed_total",
                "Messages that came and could not be read.",
            )?,
            published: counter(
                "carillon_backplane_published_total",
                "Events given to the other nodes.",
            )?,
            dropped: counter(
                "carillon_backplane_dropped_total",
                "Volatile events that were not, as too many waited.",
            )?,
            probe_failures: counter(
                "carillon_backplane_probe_failures_total",
                "Probes that were not heard in time.",
            )?,
            catching_up: gauge(
                "carillon_catching_up",
                "Whether sockets lack something that was said, or the other nodes do; nobody is recovered here then.",
            )?,
            waiting: gauge(
                "carillon_backlog",
                "Chats and notifications that the other nodes are still to be told of.",
            )?,
            waiting_dropped: counter(
                "carillon_backlog_dropped_total",
                "Chats and notifications that they were not told of later, as too many waited.",
            )?,
        })
    }

    pub(super) fn take_over(&self, totals: &Totals) {
        let Totals {
            backplane: health,
            catching_up,
            waiting,
            ..
        } = totals;
        self.catching_up.set(i64::from(*catching_up));
        self.is_up.set(i64::from(health.is_up));
        for (gauge, count) in [
            (&self.nodes, health.nodes),
            (&self.rooms, health.rooms),
            (&self.waiting, waiting.now),
        ] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        for (counter, total) in [
            (&self.received, health.received),
            (&self.malformed, health.malformed),
            (&self.published, health.published),
            (&self.dropped, health.dropped),
            (&self.probe_failures, health.probe_failures),
            (&self.waiting_dropped, waiting.dropped),
        ] {
            set(counter, total);
        }
    }
}
