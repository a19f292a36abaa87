//! Where traces go.

use super::{
    Setting,
    values::{http_address, put, ratio},
};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "CARILLON_OTLP_ENDPOINT",
        "otlp-endpoint",
        "URL",
        "Receiver of OpenTelemetry traces over gRPC, such as http://127.0.0.1:4317; OTEL_EXPORTER_OTLP_ENDPOINT counts as well",
        |settings, given| put(&mut settings.traces.otlp_endpoint, http_address(given).map(Some)),
        |settings| settings.traces.otlp_endpoint.clone().unwrap_or_default(),
    )
    .or_variable("OTEL_EXPORTER_OTLP_ENDPOINT"),
    Setting::new(
        "CARILLON_TRACE_RATIO",
        "trace-ratio",
        "SHARE",
        "Share of traces that are sent, from 0 to 1; those that a caller has begun follow the caller",
        |settings, given| put(&mut settings.traces.ratio, ratio(given)),
        |settings| settings.traces.ratio.to_string(),
    ),
];
