//! Metrics in Prometheus' text format.
//!
//! Labels come from small fixed sets, never from clients, and each pair of them is there from the start, at 0. What
//! others count (sessions, limits) is handed over in [`Totals`] at each scrape.

mod cluster;

use carillon_backplane::Health;
use carillon_protocol::problem::Code;
use parking_lot::Mutex;
use prometheus::{
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
    process_collector::ProcessCollector,
};

use cluster::Cluster;

use crate::services::Waiting;

/// Events that clients may send; any other counts as the last.
const EVENTS: [&str; 8] = [
    "joinChat",
    "leaveChat",
    "sendMessage",
    "markMessageRead",
    "typing",
    "getOnlineUsers",
    "refreshToken",
    "unknown",
];
const SEND: &str = "sendMessage";
/// What may come of an event, beside [`OK`].
const FAILURES: [Code; 7] = [
    Code::Invalid,
    Code::Forbidden,
    Code::NotFound,
    Code::RateLimited,
    Code::Unavailable,
    Code::TokenExpired,
    Code::Internal,
];
const OK: &str = "ok";
const UNAUTHENTICATED: &str = "unauthenticated";
const LIMITED: &str = "limited";
const RECOVERED: &str = "recovered";
const INCOMPLETE: &str = "incomplete";
const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// All metrics of a node, in a registry of its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    rejected: IntCounterVec,
    recoveries: IntCounterVec,
    events: IntCounterVec,
    sends: IntCounterVec,
    http: IntCounterVec,
    /// One scrape after the other, as totals are copied in and then read.
    copied: Mutex<Copied>,
}

/// What others count. Labels are those of the counting side, each in every scrape.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Sessions that live.
    pub connections: u64,
    /// Sessions opened so far, by transport.
    pub opened: Vec<(&'static str, u64)>,
    /// Sessions closed so far, by reason.
    pub closed: Vec<(&'static str, u64)>,
    /// Sessions that went from polling to WebSocket so far.
    pub upgraded: u64,
    /// Events so far that were put into a client's queue.
    pub delivered: u64,
    /// Events so far that a full queue could not take.
    pub dropped: u64,
    /// Refusals so far, by limit.
    pub rate_limited: Vec<(&'static str, u64)>,
    /// Whether the node takes new clients.
    pub ready: bool,
    /// Whether the store could be written to lately.
    pub store: bool,
    /// How the backplane does.
    pub backplane: Health,
    /// Whether sockets lack something that was said.
    pub catching_up: bool,
    /// What the other nodes are still to be told.
    pub waiting: Waiting,
}

#[derive(Debug)]
struct Copied {
    connections: IntGauge,
    opened: IntCounterVec,
    closed: IntCounterVec,
    upgraded: IntCounter,
    deliveries: IntCounterVec,
    rate_limited: IntCounterVec,
    ready: IntGauge,
    store: IntGauge,
    cluster: Cluster,
}

impl Metrics {
    /// Metrics at 0.
    ///
    /// # Errors
    /// Where two have one name, which a test excludes.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let metrics = Self {
            rejected: counters(
                &registry,
                "connections_rejected_total",
                "Handshakes refused.",
                &["reason"],
            )?,
            recoveries: counters(
                &registry,
                "recoveries_total",
                "Attempts to recover a session.",
                &["outcome"],
            )?,
            events: counters(
                &registry,
                "events_total",
                "Events of clients.",
                &["event", "outcome"],
            )?,
            sends: counters(
                &registry,
                "message_sends_total",
                "Messages that clients sent.",
                &["outcome"],
            )?,
            http: counters(
                &registry,
                "http_requests_total",
                "HTTP requests answered.",
                &["status"],
            )?,
            copied: Mutex::new(Copied::new(&registry)?),
            registry,
        };
        metrics.describe_build()?;
        metrics.start_at_zero();
        // Reads /proc, so it says nothing elsewhere.
        metrics
            .registry
            .register(Box::new(ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// A handshake with a bad token or none.
    pub fn connection_rejected_unauthenticated(&self) {
        self.rejected.with_label_values(&[UNAUTHENTICATED]).inc();
    }

    /// A handshake over a limit.
    pub fn connection_rejected_limited(&self) {
        self.rejected.with_label_values(&[LIMITED]).inc();
    }

    /// An attempt to recover a session, and whether all it missed could be given.
    pub fn recovery(&self, recovered: bool) {
        self.recoveries
            .with_label_values(&[if recovered { RECOVERED } else { INCOMPLETE }])
            .inc();
    }

    /// An event of a client and the kind of its refusal, if it was refused.
    pub fn event(&self, name: &str, failure: Option<Code>) {
        let [.., unknown] = EVENTS;
        let event = EVENTS.into_iter().find(|event| *event == name).unwrap_or(unknown);
        // A socket never answers with another code; if it did, it would be this side's fault.
        let failure = failure.map(|code| {
            if FAILURES.contains(&code) {
                code
            } else {
                Code::Internal
            }
        });
        let outcome = failure.map_or(OK, Code::as_str);
        self.events.with_label_values(&[event, outcome]).inc();
        if event == SEND {
            self.sends.with_label_values(&[outcome]).inc();
        }
    }

    /// An HTTP request, answered with `status`.
    pub fn http_request(&self, status: u16) {
        let class = usize::from(status / 100)
            .checked_sub(1)
            .and_then(|class| STATUS_CLASSES.get(class));
        if let Some(class) = class {
            self.http.with_label_values(&[class]).inc();
        }
    }

    /// All metrics as text, with what others counted.
    #[must_use]
    pub fn render(&self, totals: &Totals) -> String {
        let copied = self.copied.lock();
        copied.take_over(totals);
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_else(|error| {
                tracing::error!(%error, "metrics not encoded");
                String::new()
            })
    }

    fn describe_build(&self) -> prometheus::Result<()> {
        let opts = Opts::new("carillon_build_info", "The build that runs; always 1.");
        let build = register(&self.registry, IntGaugeVec::new(opts, &["version"])?)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(())
    }

    fn start_at_zero(&self) {
        for reason in [UNAUTHENTICATED, LIMITED] {
            self.rejected.with_label_values(&[reason]).reset();
        }
        for outcome in [RECOVERED, INCOMPLETE] {
            self.recoveries.with_label_values(&[outcome]).reset();
        }
        for outcome in FAILURES.into_iter().map(Code::as_str).chain([OK]) {
            self.sends.with_label_values(&[outcome]).reset();
            for event in EVENTS {
                self.events.with_label_values(&[event, outcome]).reset();
            }
        }
        for class in STATUS_CLASSES {
            self.http.with_label_values(&[class]).reset();
        }
    }
}

impl Copied {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let connections = IntGauge::new("carillon_connections", "Connections that live.")?;
        let upgraded = IntCounter::new(
            "carillon_connection_upgrades_total",
            "Connections moved to WebSocket.",
        )?;
        let ready = IntGauge::new("carillon_ready", "Whether the node takes new clients.")?;
        let store = IntGauge::new(
            "carillon_store_up",
            "Whether the store could be written to lately.",
        )?;
        Ok(Self {
            connections: register(registry, connections)?,
            opened: counters(
                registry,
                "connections_opened_total",
                "Connections opened.",
                &["transport"],
            )?,
            closed: counters(
                registry,
                "connections_closed_total",
                "Connections closed.",
                &["reason"],
            )?,
            upgraded: register(registry, upgraded)?,
            deliveries: counters(
                registry,
                "message_deliveries_total",
                "Events for a client's queue.",
                &["outcome"],
            )?,
            rate_limited: counters(
                registry,
                "rate_limited_total",
                "What went over a limit.",
                &["limit"],
            )?,
            ready: register(registry, ready)?,
            store: register(registry, store)?,
            cluster: Cluster::new(registry)?,
        })
    }

    fn take_over(&self, totals: &Totals) {
        self.connections
            .set(i64::try_from(totals.connections).unwrap_or(i64::MAX));
        self.ready.set(i64::from(totals.ready));
        self.store.set(i64::from(totals.store));
        self.cluster.take_over(totals);
        set(&self.upgraded, totals.upgraded);
        let deliveries = [("delivered", totals.delivered), ("dropped", totals.dropped)];
        for (counters, totals) in [
            (&self.opened, totals.opened.as_slice()),
            (&self.closed, &totals.closed),
            (&self.deliveries, &deliveries),
            (&self.rate_limited, &totals.rate_limited),
        ] {
            for (label, total) in totals {
                set(&counters.with_label_values(&[label]), *total);
            }
        }
    }
}

/// Brings a counter to a total. Whoever scrapes sees the sum alone, as a scrape holds the lock.
fn set(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    register(
        registry,
        IntCounterVec::new(Opts::new(format!("carillon_{name}"), help), labels)?,
    )
}

fn register<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals() -> Totals {
        Totals {
            connections: 3,
            opened: vec![("polling", 4), ("websocket", 1)],
            closed: vec![("transport close", 2), ("ping timeout", 0)],
            rate_limited: vec![("messages", 0)],
            delivered: 9,
            ready: true,
            backplane: Health {
                is_up: true,
                nodes: 3,
                received: 7,
                ..Health::default()
            },
            catching_up: true,
            waiting: Waiting { now: 3, dropped: 1 },
            ..Totals::default()
        }
    }

    fn lines(metrics: &Metrics) -> String {
        metrics
            .render(&totals())
            .lines()
            .filter(|line| line.starts_with("carillon_"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn what_can_be_counted_is_there_from_the_start() {
        let text = Metrics::new().unwrap().render(&totals());
        for line in [
            "carillon_connections 3",
            "carillon_connections_opened_total{transport=\"polling\"} 4",
            "carillon_connections_closed_total{reason=\"ping timeout\"} 0",
            "carillon_connections_rejected_total{reason=\"limited\"} 0",
            "carillon_connection_upgrades_total 0",
            "carillon_message_sends_total{outcome=\"ok\"} 0",
            "carillon_message_deliveries_total{outcome=\"delivered\"} 9",
            "carillon_message_deliveries_total{outcome=\"dropped\"} 0",
            "carillon_events_total{event=\"typing\",outcome=\"forbidden\"} 0",
            "carillon_http_requests_total{status=\"5xx\"} 0",
            "carillon_rate_limited_total{limit=\"messages\"} 0",
            "carillon_recoveries_total{outcome=\"recovered\"} 0",
            "carillon_ready 1",
            "carillon_store_up 0",
            "carillon_backplane_up 1",
            "carillon_cluster_nodes 3",
            "carillon_backplane_received_total 7",
            "carillon_backplane_probe_failures_total 0",
            "carillon_catching_up 1",
            "carillon_backlog 3",
            "carillon_backlog_dropped_total 1",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
        assert!(text.contains("carillon_build_info{version=\""));
        #[cfg(target_os = "linux")]
        assert!(text.contains("\nprocess_resident_memory_bytes "));
    }

    #[test]
    fn names_that_clients_make_up_add_no_series() {
        let metrics = Metrics::new().unwrap();
        let before = lines(&metrics).lines().count();

        for name in ["anything", "", "unknown", "joinChat "] {
            metrics.event(name, Some(Code::Invalid));
        }
        metrics.event("typing", Some(Code::TooLarge));
        metrics.http_request(0);
        metrics.http_request(999);

        let after = lines(&metrics);
        assert_eq!(after.lines().count(), before);
        assert!(after.contains("carillon_events_total{event=\"unknown\",outcome=\"invalid\"} 4"));
        assert!(after.contains("carillon_events_total{event=\"typing\",outcome=\"internal\"} 1"));
    }

    #[test]
    fn a_send_counts_as_event_and_as_send() {
        let metrics = Metrics::new().unwrap();
        metrics.event("sendMessage", None);
        metrics.event("sendMessage", Some(Code::RateLimited));
        metrics.event("joinChat", None);

        let text = lines(&metrics);
        assert!(text.contains("carillon_message_sends_total{outcome=\"ok\"} 1"));
        assert!(text.contains("carillon_message_sends_total{outcome=\"rate_limited\"} 1"));
        assert!(text.contains("carillon_events_total{event=\"sendMessage\",outcome=\"ok\"} 1"));
    }

    #[test]
    fn rejections_recoveries_and_requests_are_counted() {
        let metrics = Metrics::new().unwrap();
        metrics.connection_rejected_unauthenticated();
        metrics.connection_rejected_limited();
        metrics.recovery(false);
        for status in [200, 204, 404, 500] {
            metrics.http_request(status);
        }

        let text = lines(&metrics);
        assert!(text.contains("carillon_connections_rejected_total{reason=\"unauthenticated\"} 1"));
        assert!(text.contains("carillon_recoveries_total{outcome=\"incomplete\"} 1"));
        assert!(text.contains("carillon_http_requests_total{status=\"2xx\"} 2"));
    }

    #[test]
    fn totals_are_copied_and_not_added_up() {
        let metrics = Metrics::new().unwrap();
        let first = lines(&metrics);
        let second = lines(&metrics);
        assert_eq!(first, second);
    }

    #[test]
    fn two_nodes_fit_into_one_process() {
        let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        one.event("typing", None);
        assert!(lines(&other).contains("carillon_events_total{event=\"typing\",outcome=\"ok\"} 0"));
    }
}
