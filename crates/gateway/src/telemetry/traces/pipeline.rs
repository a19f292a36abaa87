//! Spans on their way to the receiver: a bounded queue that never waits, and a task that exports what is in it. What is lost
//! is counted.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::telemetry::process::ProcessCounts;

/// Most spans that wait; the default of OpenTelemetry's own processor.
const MAX_WAITING: usize = 2_048;
/// Most spans that are exported at once; its default as well.
const MAX_BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where spans go when they end.
#[derive(Debug)]
pub(super) struct Intake {
    waiting: mpsc::Sender<SpanData>,
    counts: Arc<ProcessCounts>,
}

/// The other end of the queue.
#[derive(Debug)]
pub(super) struct Outlet {
    waiting: mpsc::Receiver<SpanData>,
    counts: Arc<ProcessCounts>,
}

pub(super) fn new(counts: Arc<ProcessCounts>) -> (Intake, Outlet) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let intake = Intake {
        waiting: sender,
        counts: Arc::clone(&counts),
    };
    let outlet = Outlet {
        waiting: receiver,
        counts,
    };
    (intake, outlet)
}

impl SpanProcessor for Intake {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.waiting.try_send(span).is_err() {
            self.counts.spans_without_room.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    /// The outlet ends by its own token, and is waited for there.
    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Outlet {
    /// Exports spans until `stopping`, then what is left.
    pub(super) async fn run(mut self, exporter: impl SpanExporter, stopping: CancellationToken) {
        let mut is_reached = true;
        while let Some(batch) = self.batch(&stopping).await {
            let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            let was_reached = is_reached;
            let exported = exporter.export(batch).await;
            is_reached = exported.is_ok();
            match (exported, was_reached) {
                (Ok(()), false) => tracing::info!("traces are exported again"),
                // Said once, not for every batch.
                (Err(error), true) => tracing::warn!(%error, "traces are not exported"),
                _ => {}
            }
            if !is_reached {
                self.counts.spans_not_exported.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// The next spans; `None` once there will be none.
    async fn batch(&mut self, stopping: &CancellationToken) -> Option<Vec<SpanData>> {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            first = self.waiting.recv() => batch.push(first?),
            () = stopping.cancelled() => return None,
        }
        let until = Instant::now() + PATIENCE;
        while batch.len() < MAX_BATCH {
            let room = MAX_BATCH - batch.len();
            tokio::select! {
                biased;
                more = self.waiting.recv_many(&mut batch, room) => if more == 0 { break },
                () = stopping.cancelled() => break,
                () = tokio::time::sleep_until(until) => break,
            }
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::{error::OTelSdkError, trace::SdkTracerProvider};
    use parking_lot::Mutex;

    use super::*;

    /// Takes spans by name, or nothing.
    #[derive(Debug, Clone, Default)]
    struct Receiver {
        taken: Arc<Mutex<Vec<usize>>>,
        is_away: bool,
    }

    impl SpanExporter for Receiver {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            if self.is_away {
                return Err(OTelSdkError::InternalFailure("away".to_owned()));
            }
            self.taken.lock().push(batch.len());
            Ok(())
        }
    }

    fn spans(intake: Intake, count: usize) -> SdkTracerProvider {
        let provider = SdkTracerProvider::builder().with_span_processor(intake).build();
        for _ in 0..count {
            drop(provider.tracer("test").start("span"));
        }
        provider
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_exported_in_batches_also_at_the_end() {
        let counts = Arc::new(ProcessCounts::default());
        let (intake, outlet) = new(Arc::clone(&counts));
        let (receiver, stopping) = (Receiver::default(), CancellationToken::new());
        let _provider = spans(intake, MAX_BATCH + 1);
        stopping.cancel();

        outlet.run(receiver.clone(), stopping).await;

        assert_eq!(*receiver.taken.lock(), [MAX_BATCH, 1]);
        assert_eq!(counts.totals().spans_dropped, [0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lost_is_counted() {
        let counts = Arc::new(ProcessCounts::default());
        let (intake, outlet) = new(Arc::clone(&counts));
        let stopping = CancellationToken::new();
        let _provider = spans(intake, MAX_WAITING + 3);
        stopping.cancel();

        let away = Receiver {
            is_away: true,
            ..Receiver::default()
        };
        outlet.run(away, stopping).await;

        let waiting = u64::try_from(MAX_WAITING).unwrap();
        assert_eq!(counts.totals().spans_dropped, [3, waiting]);
    }
}
