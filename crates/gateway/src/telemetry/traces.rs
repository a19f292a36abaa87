//! Traces: what is a span, and the way of spans to a receiver over OTLP, where one is configured. Without one no span is
//! ever made: nobody is interested in them.
//!
//! Spans name routes, events and operations from fixed sets. Nothing that a client wrote is in them.

mod pipeline;

use std::{sync::Arc, time::Duration};

use actix_web::http::header::HeaderMap;
use carillon_protocol::problem::Code;
use carillon_socketio::random_id;
use opentelemetry::{
    KeyValue,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider, SpanExporter as _, Tracer},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Span, debug_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{
    metrics::{Outcome, Route},
    process::ProcessCounts,
};
use crate::settings::TraceSettings;

/// The target of all spans.
pub(super) const TARGET: &str = "carillon::span";
/// How long the receiver may take to take spans.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the last spans are waited for at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(4);
/// Typing signals are too many to be traced.
const UNTRACED: &str = "typing";

/// The receiver of spans cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("the receiver of traces cannot be used")]
pub struct TraceError(#[from] opentelemetry_otlp::ExporterBuildError);

/// The way of spans to a receiver.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Traces {
    /// Begins to export spans, where the settings name a receiver. To be called within a runtime, which exports them.
    ///
    /// # Errors
    /// Where the receiver's address cannot be used. That it cannot be reached is none.
    pub fn start(settings: &TraceSettings, counts: &Arc<ProcessCounts>) -> Result<Option<Self>, TraceError> {
        let Some(endpoint) = &settings.otlp_endpoint else {
            return Ok(None);
        };
        let resource = resource();
        let mut exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        exporter.set_resource(&resource);
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let (intake, outlet) = pipeline::new(Arc::clone(counts));
        tasks.spawn(outlet.run(exporter, stopping.clone()));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                settings.ratio,
            ))))
            .with_span_processor(intake)
            .build();
        Ok(Some(Self {
            provider,
            tasks,
            stopping,
        }))
    }

    /// What makes spans.
    pub(super) fn tracer(&self) -> Tracer {
        self.provider.tracer("carillon")
    }

    /// Exports what is left, as far as the receiver takes it soon.
    pub async fn flush(&self) {
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(FLUSH_TIMEOUT, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("the receiver of traces did not take the last spans in time");
        }
    }
}

/// Who exports: `service.name` is `carillon` unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` says otherwise.
fn resource() -> Resource {
    let given = Resource::builder().build();
    let name = given.get(&"service.name".into()).map(|name| name.to_string());
    let name = name.filter(|name| !name.starts_with("unknown_service"));
    Resource::builder()
        .with_service_name(name.unwrap_or_else(|| "carillon".to_owned()))
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", random_id().to_string()),
        ])
        .build()
}

/// A request over HTTP, part of the trace that its `traceparent` names.
pub(crate) fn request_span(method: &str, headers: &HeaderMap) -> Span {
    let span = debug_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = method,
        http.route = tracing::field::Empty,
        http.response.status_code = tracing::field::Empty,
    );
    if !span.is_disabled() {
        let parent = TraceContextPropagator::new().extract(&Headers(headers));
        if parent.span().span_context().is_valid() {
            // It fails only where there is no tracer to take it.
            let _untraced = span.set_parent(parent);
        }
    }
    span
}

/// What came of a request.
pub(crate) fn answered(span: &Span, (method, template): Route, status: u16) {
    if span.is_disabled() {
        return;
    }
    // The route was not known when the span began.
    span.context().span().update_name(format!("{method} {template}"));
    span.record("http.route", template);
    span.record("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// A client's event: `name` is one that the node knows, whatever the client said.
pub(crate) fn event_span(name: &'static str) -> Span {
    if name == UNTRACED {
        return Span::none();
    }
    debug_span!(
        target: TARGET,
        parent: None,
        "event",
        otel.name = %format_args!("event {name}"),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        carillon.event = name,
        carillon.refusal = tracing::field::Empty,
    )
}

/// An event was refused.
pub(crate) fn refused(span: &Span, code: Code) {
    span.record("carillon.refusal", code.as_str());
    if Outcome::of(Some(code)) == Outcome::ServerError {
        span.record("otel.status_code", "ERROR");
    }
}

/// An operation of the store.
pub(crate) fn store_span(operation: &'static str) -> Span {
    debug_span!(
        target: TARGET,
        "store",
        otel.name = %format_args!("store {operation}"),
        otel.kind = "client",
        db.operation.name = operation,
    )
}

/// The announcement of a message or notification to all nodes.
pub(crate) fn publish_span() -> Span {
    debug_span!(target: TARGET, "publish", otel.kind = "producer")
}

/// The delivery of a message or notification to this node's sockets. What another node announced begins a trace of its own:
/// nodes have no sealed place to tell each other theirs.
pub(crate) fn delivery_span(parent: Option<&Span>, is_message: bool) -> Span {
    let event = if is_message {
        "receiveMessage"
    } else {
        "notification"
    };
    debug_span!(
        target: TARGET,
        parent: parent.and_then(Span::id),
        "deliver",
        otel.name = %format_args!("deliver {event}"),
        otel.kind = "consumer",
        carillon.event = event,
        carillon.origin = if parent.is_some() { "local" } else { "remote" },
    )
}

/// Headers of a request, for a propagator.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
