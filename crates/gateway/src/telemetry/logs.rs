//! Logs on standard error, for people or as one JSON object a line.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter,
    fmt::{self, MakeWriter},
    util::SubscriberInitExt as _,
};

use crate::settings::{LogFormat, LogSettings};

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

/// Sets up the logs of this process, those of libraries included. Once: the command line does it.
///
/// # Errors
/// [`LogError`].
pub fn init_logs(settings: &LogSettings) -> Result<(), LogError> {
    Ok(subscriber(settings, io::stderr)?.try_init()?)
}

fn subscriber<W>(settings: &LogSettings, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = fmt()
        .with_env_filter(EnvFilter::try_new(&settings.filter)?)
        .with_writer(writer)
        .with_ansi(false);
    Ok(match settings.format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

fn fmt() -> fmt::SubscriberBuilder {
    fmt::Subscriber::builder()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::capture::Lines;

    fn logged(filter: &str, format: LogFormat) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let settings = LogSettings {
            filter: filter.to_owned(),
            format,
        };
        let subscriber = subscriber(&settings, move || writer.clone()).unwrap();
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
            subscriber(&settings, io::sink),
            Err(LogError::Filter(_))
        ));
    }
}
