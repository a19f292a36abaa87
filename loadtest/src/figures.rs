//! What a scenario has measured: a line for people, and one figure a line in a file that `report` reads.

use std::{fs::OpenOptions, io::Write as _, path::PathBuf, time::Duration};

use clap::Args;
use hdrhistogram::Histogram;
use tokio::time::Instant;

/// Latencies are counted in microseconds, up to a minute.
const LONGEST_MICROS: u64 = 60_000_000;

/// From this share of a core on, a rate may be what this program can do and not what the server can.
pub(crate) const SATURATED_SHARE: f64 = 0.95;

/// Where figures go.
#[derive(Debug, Clone, Args)]
pub(crate) struct Output {
    /// A file that the figures are added to, for `report`.
    #[arg(long)]
    figures: Option<PathBuf>,
    /// Whose figures they are.
    #[arg(long, default_value = "carillon")]
    server: String,
    /// What the scenario is called in the file, where it is not the usual name.
    #[arg(long)]
    scenario: Option<String>,
}

/// Names and values, in the order in which they were added. A name ends with its unit: `_us`, `_ms`, `_s`, `_kib`.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    values: Vec<(String, f64)>,
    notes: Vec<&'static str>,
}

impl Figures {
    pub(crate) fn add(&mut self, name: &str, value: f64) {
        self.values.push((name.to_owned(), value));
    }

    pub(crate) fn count(&mut self, name: &str, count: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        self.add(name, count as f64);
    }

    /// Something to be known about the figures.
    pub(crate) fn note(&mut self, note: &'static str) {
        self.notes.push(note);
    }

    /// Prints them and adds them to the file; `usual_name` is the scenario's.
    #[expect(clippy::print_stdout, reason = "its output is what it is for")]
    pub(crate) fn publish(&self, output: &Output, usual_name: &str) -> anyhow::Result<()> {
        let scenario = output.scenario.as_deref().unwrap_or(usual_name);
        let values: Vec<_> = self
            .values
            .iter()
            .map(|(name, value)| format!("{name} {}", rounded(*value)))
            .collect();
        println!("{:13} {scenario}: {}", output.server, values.join(", "));
        for note in &self.notes {
            println!("{:13} {scenario}: {note}", output.server);
        }
        let Some(path) = &output.figures else {
            return Ok(());
        };
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        for (name, value) in &self.values {
            writeln!(file, "{}\t{scenario}\t{name}\t{value}", output.server)?;
        }
        Ok(())
    }
}

/// With three digits that count.
pub(crate) fn rounded(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// How long things took, from the time at which they were due.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_max(LONGEST_MICROS, 3)?))
    }

    pub(crate) fn record(&mut self, due: Instant) {
        self.record_duration(due.elapsed());
    }

    pub(crate) fn record_duration(&mut self, duration: Duration) {
        self.0
            .saturating_record(u64::try_from(duration.as_micros()).unwrap_or(LONGEST_MICROS));
    }

    /// `p50_ms`, `p99_ms` and `max_ms`, each behind `prefix`.
    pub(crate) fn read(&self, prefix: &str, figures: &mut Figures) {
        for (name, quantile) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)] {
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            let millis = self.0.value_at_quantile(quantile) as f64 / 1_000.0;
            figures.add(&format!("{prefix}{name}"), millis);
        }
    }
}
