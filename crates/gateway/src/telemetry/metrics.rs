//! Metrics in Prometheus' text format. `docs/operations/metrics.md` lists them, and a test compares the two.
//!
//! Labels come from small fixed sets, never from clients, and each of their combinations is there from the start, at 0.
//! Whoever measures has the handle of its series: nothing is looked up by name for an event. What others count (sessions,
//! limits) is handed over in [`Totals`] at each scrape.

mod cluster;
mod connections;
mod events;
mod http;
mod process;
mod series;
mod store;
mod totals;

use parking_lot::Mutex;
use prometheus::{IntCounter, Registry, TextEncoder, process_collector::ProcessCollector};

use series::Maker;
use totals::Copied;

pub use cluster::Cluster;
pub use connections::{Connections, RecoveryOutcome, Rejection};
pub use events::{Events, Gap, NotificationOutcome, Outcome, SendOutcome, known_event};
pub use http::{Http, InFlight, OTHER, Route};
pub use process::Process;
pub use store::{Operation, StoreMetrics, StoreOp};
pub use totals::{KeySet, Queued, Rooms, Totals};

use events::OUTCOMES;

/// All metrics of a node, in a registry of its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Of connections.
    pub connections: Connections,
    /// Of what clients ask for.
    pub events: Events,
    /// Of HTTP.
    pub http: Http,
    /// Of the store.
    pub store: StoreMetrics,
    /// Of the backplane.
    pub cluster: Cluster,
    /// Of the process.
    pub process: Process,
    drain_forced: IntCounter,
    /// One scrape after the other, as totals are copied in and then read.
    copied: Mutex<Copied>,
}

impl Metrics {
    /// Metrics at 0, for a node with these routes.
    ///
    /// # Errors
    /// Where two have one name, which a test excludes.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let maker = Maker(&registry);
        let metrics = Self {
            connections: Connections::new(&maker)?,
            events: Events::new(&maker)?,
            http: Http::new(&maker, routes)?,
            store: StoreMetrics::new(&maker)?,
            cluster: Cluster::new(&maker)?,
            process: Process::new(&maker)?,
            drain_forced: maker.counter(
                "drain_forced_closes_total",
                "Connections that were still there when a drain's time was over.",
            )?,
            copied: Mutex::new(Copied::new(&maker)?),
            registry,
        };
        // Reads /proc, so it says nothing elsewhere.
        metrics
            .registry
            .register(Box::new(ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// A drain's time was over, with so many connections left.
    pub fn drain_forced(&self, connections: usize) {
        self.drain_forced
            .inc_by(u64::try_from(connections).unwrap_or(u64::MAX));
    }

    /// All metrics as text, with what others counted.
    #[must_use]
    pub fn render(&self, totals: &Totals<'_>) -> String {
        let copied = self.copied.lock();
        copied.take_over(totals);
        self.cluster.take_over(totals);
        self.process.take_over(&totals.process, &totals.runtimes);
        self.store.look();
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_else(|error| {
                tracing::error!(%error, "metrics not encoded");
                String::new()
            })
    }
}

#[cfg(test)]
mod tests;
