//! The process itself: its build, its memory, its threads, what it logs and where it panics.

use std::time::Duration;

use prometheus::{Counter, Histogram, IntCounter, IntGauge, Result};
use tokio::runtime::Handle;

use super::series::{Maker, Series, raise_seconds, set};
use crate::telemetry::process::{LEVELS, ProcessTotals, THREADS};

/// Metrics of the process. Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct Process {
    loop_lag: Series<Histogram, 0>,
    workers: IntGauge,
    tasks: IntGauge,
    queue: IntGauge,
    busy: Counter,
    panics: Series<IntCounter, 1>,
    logs: Series<IntCounter, 1>,
    spans_dropped: Series<IntCounter, 1>,
}

impl Process {
    pub(super) fn new(maker: &Maker<'_>) -> Result<Self> {
        let commit = option_env!("CARILLON_COMMIT").unwrap_or("unknown");
        maker.info(
            "build_info",
            "The build that runs; always 1.",
            &[("version", env!("CARGO_PKG_VERSION")), ("commit", commit)],
        )?;
        let memory = maker.gauge(
            "memory_limit_bytes",
            "The memory that the process may take: that of its control group, else that of the machine; 0 where it is unknown.",
        )?;
        set(&memory, crate::telemetry::process::memory_limit().unwrap_or(0));
        Ok(Self {
            loop_lag: maker.durations(
                "event_loop_lag_seconds",
                "How late timers are on the threads that serve.",
                [],
            )?,
            workers: maker.gauge("tokio_workers", "Threads that run tasks.")?,
            tasks: maker.gauge("tokio_tasks", "Tasks that live.")?,
            queue: maker.gauge("tokio_global_queue_depth", "Tasks that wait for any thread.")?,
            busy: maker.seconds_counter(
                "tokio_worker_busy_seconds_total",
                "Time that threads spent on tasks, over all threads.",
            )?,
            panics: maker.counters("panics_total", "Panics.", [("task", &THREADS)])?,
            logs: maker.counters(
                "log_messages_total",
                "Lines that were logged.",
                [("level", &LEVELS)],
            )?,
            spans_dropped: maker.counters(
                "trace_spans_dropped_total",
                "Spans that were not exported.",
                [("reason", &["queue_full", "export_failed"])],
            )?,
        })
    }

    /// A timer was so late.
    pub fn timer_was_late(&self, lag: Duration) {
        self.loop_lag.observe([], lag);
    }

    pub(super) fn take_over(&self, totals: &ProcessTotals, runtimes: &[Handle]) {
        for (place, total) in totals.panics.into_iter().enumerate() {
            self.panics.raise([place], total);
        }
        for (place, total) in totals.logs.into_iter().enumerate() {
            self.logs.raise([place], total);
        }
        for (place, total) in totals.spans_dropped.into_iter().enumerate() {
            self.spans_dropped.raise([place], total);
        }
        let (mut workers, mut tasks, mut queue, mut busy) = (0, 0, 0, Duration::ZERO);
        for runtime in runtimes.iter().map(Handle::metrics) {
            workers += runtime.num_workers();
            tasks += runtime.num_alive_tasks();
            queue += runtime.global_queue_depth();
            busy += (0..runtime.num_workers())
                .map(|worker| runtime.worker_total_busy_duration(worker))
                .sum::<Duration>();
        }
        for (gauge, count) in [
            (&self.workers, workers),
            (&self.tasks, tasks),
            (&self.queue, queue),
        ] {
            set(gauge, u64::try_from(count).unwrap_or(u64::MAX));
        }
        raise_seconds(&self.busy, busy);
    }
}
