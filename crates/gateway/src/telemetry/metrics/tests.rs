use std::{collections::BTreeSet, time::Duration};

use carillon_backplane::Health;
use carillon_protocol::problem::Code;
use carillon_socketio::{Counters, Delivery, Observer as _, Path, Tracked, Transport};
use tokio::time::Instant;

use super::*;
use crate::{
    auth::Attempt,
    http::{health::Stage, measure},
    limits::Limit,
    services::Waiting,
    telemetry::ProcessTotals,
};

const DOCS: &str = include_str!("../../../../../docs/operations/metrics.md");

fn metrics() -> Metrics {
    Metrics::new(measure::routes()).unwrap()
}

fn totals(sessions: &Counters) -> Totals<'_> {
    Totals {
        sessions,
        connections_limit: 0,
        queued: Queued::default(),
        rooms: Rooms::default(),
        stage: Stage::Starting,
        rate_limited: Limit::ALL.map(|limit| (limit, 0)).to_vec(),
        attempts: [0; Attempt::ALL.len()],
        key_set: KeySet::default(),
        store: false,
        backplane: Health::default(),
        catching_up: false,
        waiting: Waiting::default(),
        process: ProcessTotals::default(),
        runtimes: Vec::new(),
    }
}

fn text(metrics: &Metrics) -> String {
    metrics.render(&totals(&Counters::default()))
}

#[track_caller]
fn assert_told(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|told| told == *line), "{line} in\n{text}");
    }
}

/// `name type labels` of each metric of ours, as the text tells it.
fn told(text: &str) -> BTreeSet<String> {
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE carillon_"));
    types
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let begins = [format!("carillon_{name}{{"), format!("carillon_{name}_bucket{{")];
            let series = text.lines().find_map(|line| {
                let labels = begins.iter().find_map(|begin| line.strip_prefix(begin))?;
                labels.split_once('}')
            });
            let labels: BTreeSet<&str> = series
                .map(|(labels, _)| labels.split(',').filter_map(|label| label.split('=').next()))
                .into_iter()
                .flatten()
                .filter(|label| *label != "le")
                .collect();
            let labels: Vec<_> = labels.into_iter().collect();
            format!("carillon_{name} {kind} {}", labels.join(","))
        })
        .collect()
}

/// The same, as the table of the documentation tells it.
fn documented() -> BTreeSet<String> {
    let rows = DOCS.lines().filter_map(|line| line.strip_prefix("| `carillon_"));
    rows.map(|row| {
        let mut cells = row.split('|').map(str::trim);
        let name = cells.next().unwrap().trim_end_matches('`');
        let kind = cells.next().unwrap();
        let mut labels: Vec<_> = cells
            .next()
            .unwrap()
            .split(',')
            .map(|label| label.trim().trim_matches('`'))
            .filter(|label| !label.is_empty())
            .collect();
        labels.sort_unstable();
        format!("carillon_{name} {kind} {}", labels.join(","))
    })
    .collect()
}

#[test]
fn the_documentation_lists_what_there_is() {
    let (told, documented) = (told(&text(&metrics())), documented());
    let missing: Vec<_> = told.difference(&documented).collect();
    let too_much: Vec<_> = documented.difference(&told).collect();
    assert!(
        missing.is_empty() && too_much.is_empty(),
        "not documented: {missing:#?}\nnot there: {too_much:#?}"
    );
}

#[test]
fn every_combination_of_labels_is_there_from_the_start() {
    let text = text(&metrics());
    assert_told(
        &text,
        &[
            "carillon_connections{transport=\"polling\"} 0",
            "carillon_connections_closed_total{reason=\"drain\",transport=\"websocket\"} 0",
            "carillon_connections_rejected_total{reason=\"origin\"} 0",
            "carillon_events_total{event=\"typing\",outcome=\"server_error\"} 0",
            "carillon_events_total{event=\"other\",outcome=\"client_error\"} 0",
            "carillon_message_sends_total{outcome=\"duplicate\",source=\"socket\"} 0",
            "carillon_message_deliveries_total{outcome=\"dropped_slow\",path=\"recovery\"} 0",
            "carillon_message_delivery_latency_seconds_bucket{path=\"remote\",le=\"0.1\"} 0",
            "carillon_store_operations_total{op=\"append_message\",result=\"error\"} 0",
            "carillon_http_requests_total{method=\"GET\",route=\"/api/chat/messages/{chatboxId}\",status=\"4xx\"} 0",
            "carillon_rate_limited_total{limit=\"messages\",scope=\"user\"} 0",
            "carillon_auth_attempts_total{method=\"jwt\",result=\"unknown_kid\"} 0",
            "carillon_panics_total{task=\"http\"} 0",
            "carillon_trace_spans_dropped_total{reason=\"queue_full\"} 0",
            "carillon_ready 0",
        ],
    );
    assert!(text.contains("carillon_build_info{"));
    #[cfg(target_os = "linux")]
    assert!(text.contains("\nprocess_resident_memory_bytes "));
}

#[test]
fn names_that_clients_make_up_add_no_series() {
    let metrics = metrics();
    let before = text(&metrics).lines().count();

    for name in ["anything", "", "other", "joinChat "] {
        let took = Duration::from_millis(1);
        metrics.events.answered(name, Some(Code::Invalid), took);
    }
    metrics.http.answered(("PATCH", "/made/up"), 404, Duration::ZERO);
    metrics.http.answered(OTHER, 0, Duration::ZERO);
    metrics.http.answered(OTHER, 999, Duration::ZERO);

    let after = text(&metrics);
    assert_eq!(after.lines().count(), before);
    assert_told(
        &after,
        &[
            "carillon_events_total{event=\"other\",outcome=\"client_error\"} 4",
            "carillon_http_requests_total{method=\"other\",route=\"other\",status=\"4xx\"} 1",
            "carillon_http_request_duration_seconds_count{method=\"other\",route=\"other\"} 3",
        ],
    );
}

#[test]
fn a_refused_send_counts_as_event_and_as_send() {
    let metrics = metrics();
    let events = &metrics.events;
    events.answered("sendMessage", Some(Code::RateLimited), Duration::ZERO);
    events.answered("sendMessage", None, Duration::ZERO);
    events.sent(SendOutcome::Ok, 5, Duration::from_millis(2));

    assert_told(
        &text(&metrics),
        &[
            "carillon_events_total{event=\"sendMessage\",outcome=\"ok\"} 1",
            "carillon_message_sends_total{outcome=\"client_error\",source=\"socket\"} 1",
            "carillon_message_sends_total{outcome=\"ok\",source=\"socket\"} 1",
            "carillon_message_send_duration_seconds_bucket{source=\"socket\",le=\"0.0025\"} 1",
            "carillon_message_size_bytes_bucket{le=\"16\"} 1",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_delivery_has_its_path_its_outcome_and_where_it_was_written_its_latency() {
    let metrics = metrics();
    let local = Tracked {
        path: Path::Local,
        since: Instant::now(),
    };
    tokio::time::advance(Duration::from_millis(100)).await;
    metrics.connections.delivered(local, Delivery::Written);
    let recovered = Tracked {
        path: Path::Recovery,
        ..local
    };
    metrics.connections.delivered(recovered, Delivery::DroppedClosed);

    assert_told(
        &text(&metrics),
        &[
            "carillon_message_delivery_latency_seconds_bucket{path=\"local\",le=\"0.075\"} 0",
            "carillon_message_delivery_latency_seconds_bucket{path=\"local\",le=\"0.1\"} 1",
            "carillon_message_delivery_latency_seconds_count{path=\"recovery\"} 0",
            "carillon_message_deliveries_total{outcome=\"written\",path=\"local\"} 1",
            "carillon_message_deliveries_total{outcome=\"dropped_closed\",path=\"recovery\"} 1",
        ],
    );
}

#[tokio::test]
async fn totals_are_copied_and_not_added_up() {
    let (metrics, sessions) = (metrics(), Counters::default());
    let totals = Totals {
        stage: Stage::Ready,
        backplane: Health {
            is_up: true,
            published: 7,
            degraded: Duration::from_millis(1_500),
            ..Health::default()
        },
        catching_up: true,
        waiting: Waiting { now: 3, dropped: 1 },
        attempts: [5, 0, 0, 0, 0, 1],
        runtimes: vec![tokio::runtime::Handle::current()],
        ..totals(&sessions)
    };
    let first = metrics.render(&totals);
    assert_told(
        &first,
        &[
            "carillon_ready 1",
            "carillon_backplane_published_total{result=\"ok\"} 7",
            "carillon_backplane_degraded_seconds_total 1.5",
            "carillon_catching_up 1",
            "carillon_backlog 3",
            "carillon_backlog_dropped_total 1",
            "carillon_auth_attempts_total{method=\"jwt\",result=\"claims\"} 1",
            "carillon_tokio_workers 1",
        ],
    );
    let ours = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("carillon_"));
        let steady = lines.filter(|line| !line.contains("busy"));
        steady.map(str::to_owned).collect()
    };
    assert_eq!(ours(&metrics.render(&totals)), ours(&first));
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_until_it_has_ended() {
    let metrics = metrics();
    let write = metrics.store.begin(StoreOp::AppendMessage);
    let read = metrics.store.begin(StoreOp::HistoryPage);
    tokio::time::advance(Duration::from_secs(2)).await;
    let during = text(&metrics);
    write.end(false);
    drop(read);

    assert_told(
        &during,
        &[
            "carillon_write_queue_depth{queue=\"store\"} 1",
            "carillon_write_queue_oldest_age_seconds{queue=\"store\"} 2",
        ],
    );
    assert_told(
        &text(&metrics),
        &[
            "carillon_write_queue_depth{queue=\"store\"} 0",
            "carillon_store_operations_total{op=\"append_message\",result=\"error\"} 1",
            "carillon_store_operation_duration_seconds_count{op=\"history_page\"} 0",
        ],
    );
}

#[test]
fn places_follow_the_order_of_the_variants() {
    for (place, op) in StoreOp::ALL.into_iter().enumerate() {
        assert_eq!(op as usize, place);
    }
    for (place, attempt) in Attempt::ALL.into_iter().enumerate() {
        assert_eq!(attempt as usize, place);
    }
    for (place, limit) in Limit::ALL.into_iter().enumerate() {
        assert_eq!(limit as usize, place);
    }
    for (place, transport) in Transport::ALL.into_iter().enumerate() {
        assert_eq!(transport as usize, place);
    }
    for (place, reason) in carillon_socketio::CloseReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, place);
    }
    for (place, packet) in carillon_socketio::PacketType::ALL.into_iter().enumerate() {
        assert_eq!(packet as usize, place);
    }
}

#[test]
fn two_nodes_fit_into_one_process() {
    let (one, other) = (metrics(), metrics());
    one.events.typing(true);
    assert_told(
        &text(&other),
        &["carillon_typing_events_total{action=\"forwarded\"} 0"],
    );
}
