//! Logs on standard error, for people or as one JSON object a line, with the ids of the trace that a line belongs to.
//!
//! What libraries say below `info` is left out whatever the filter says: they log requests as they came, and those hold
//! session ids and tokens.

use std::{fmt, io, sync::Arc};

use opentelemetry::trace::TraceContextExt as _;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, LevelFilter, filter_fn},
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use super::{
    process::{CountLines, ProcessCounts},
    traces::{self, Traces},
};
use crate::settings::{LogFormat, LogSettings};

/// What the targets of this project begin with.
const OWN_TARGETS: &str = "carillon";

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("the log filter cannot be read")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process logs already.
    #[error("the logs are set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up the logs of this process, those of libraries included, and its traces. Once: the command line does it.
///
/// # Errors
/// [`LogError`].
pub fn init_logs(
    settings: &LogSettings,
    counts: &Arc<ProcessCounts>,
    traces: Option<&Traces>,
) -> Result<(), LogError> {
    Ok(subscriber(settings, counts, traces, io::stderr)?.try_init()?)
}

fn subscriber<W>(
    settings: &LogSettings,
    counts: &Arc<ProcessCounts>,
    traces: Option<&Traces>,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let quiet_libraries =
        filter_fn(|line| *line.level() <= Level::INFO || line.target().starts_with(OWN_TARGETS));
    let filter =
        EnvFilter::try_new(&settings.filter)?.and(quiet_libraries.with_max_level_hint(LevelFilter::TRACE));
    let plain = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Text => plain
            .map_event_format(|inner| WithTrace {
                inner,
                is_json: false,
            })
            .boxed(),
        LogFormat::Json => plain
            .json()
            .flatten_event(true)
            .map_event_format(|inner| WithTrace { inner, is_json: true })
            .boxed(),
    };
    let lines = lines.and_then(CountLines(Arc::clone(counts))).with_filter(filter);
    let spans = traces.map(|traces| {
        let own = filter_fn(|what| what.is_span() && what.target() == traces::TARGET);
        tracing_opentelemetry::layer()
            .with_tracer(traces.tracer())
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(own.with_max_level_hint(LevelFilter::DEBUG))
    });
    Ok(tracing_subscriber::registry().with(lines).with(spans))
}

/// Lines with the ids of the trace and the span that they belong to, where they do.
struct WithTrace<F> {
    inner: F,
    is_json: bool,
}

impl<S, N, F> FormatEvent<S, N> for WithTrace<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let current = opentelemetry::Context::current();
        let span = current.span().span_context().clone();
        if !span.is_valid() {
            return self.inner.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let (trace_id, span_id, line) = (span.trace_id(), span.span_id(), line.trim_end());
        match line.strip_suffix('}').filter(|_| self.is_json) {
            Some(object) => {
                writeln!(
                    writer,
                    r#"{object},"trace_id":"{trace_id}","span_id":"{span_id}"}}"#
                )
            }
            None => writeln!(writer, "{line} trace_id={trace_id} span_id={span_id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{settings::TraceSettings, telemetry::capture::Lines};

    fn logged(filter: &str, format: LogFormat) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let settings = LogSettings {
            filter: filter.to_owned(),
            format,
        };
        let counts = Arc::new(ProcessCounts::default());
        let subscriber = subscriber(&settings, &counts, None, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(port = 4_000, "listening");
            tracing::debug!("not by default");
        });
        lines.text()
    }

    #[test]
    fn a_line_of_json_holds_its_fields() {
        let text = logged("info", LogFormat::Json);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["message"], &line["port"], &line["level"]),
            (&"listening".into(), &4_000.into(), &"INFO".into())
        );
    }

    #[test]
    fn a_line_of_text_is_plain() {
        let text = logged("info", LogFormat::Text);
        assert!(text.contains("INFO") && text.contains("listening port=4000") && !text.contains('\u{1b}'));
    }

    #[test]
    fn the_filter_decides_what_is_logged() {
        assert_eq!(logged("debug", LogFormat::Text).lines().count(), 2);
        assert_eq!(logged("carillon_gateway=warn", LogFormat::Text), "");
        let settings = LogSettings {
            filter: String::from("a=loud"),
            format: LogFormat::Text,
        };
        assert!(matches!(
            subscriber(&settings, &Arc::default(), None, io::sink),
            Err(LogError::Filter(_))
        ));
    }

    #[test]
    fn libraries_are_quiet_whatever_the_filter_says() {
        let (lines, settings) = (
            Lines::default(),
            LogSettings {
                filter: String::from("trace"),
                format: LogFormat::Text,
            },
        );
        let writer = lines.clone();
        let subscriber = subscriber(&settings, &Arc::default(), None, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!("our own");
            tracing::debug!(target: "actix_http::h1", "GET /socket.io/?sid=secret");
            tracing::warn!(target: "actix_http::h1", "a warning");
        });
        let text = lines.text();
        assert!(text.contains("our own") && text.contains("a warning"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[tokio::test]
    async fn lines_within_a_span_name_their_trace() {
        let settings = TraceSettings {
            otlp_endpoint: Some("http://127.0.0.1:1".to_owned()),
            ratio: 1.0,
        };
        let counts = Arc::new(ProcessCounts::default());
        let traces = Traces::start(&settings, &counts).unwrap().unwrap();
        for (format, start, end) in [
            (LogFormat::Json, r#""trace_id":""#, '"'),
            (LogFormat::Text, "trace_id=", ' '),
        ] {
            let (lines, filter) = (Lines::default(), String::from("info"));
            let writer = lines.clone();
            let logs = LogSettings { filter, format };
            let subscriber = subscriber(&logs, &counts, Some(&traces), move || writer.clone()).unwrap();
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!("outside");
                traces::event_span("sendMessage").in_scope(|| tracing::info!("within"));
            });
            let text = lines.text();
            let (outside, within) = text.split_once('\n').unwrap();
            assert!(!outside.contains("trace_id"), "{text}");
            let (_, id) = within.split_once(start).unwrap();
            let (id, _) = id.split_once(end).unwrap();
            assert!(
                id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{text}"
            );
            if format == LogFormat::Json {
                serde_json::from_str::<serde_json::Value>(within).unwrap();
            }
        }
    }
}
