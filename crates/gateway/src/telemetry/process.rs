//! What is counted for the whole process, whatever nodes are in it: lines of the log, panics, spans that were lost. The
//! command line makes it once.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Levels of lines, as labels.
pub(super) const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// What threads are for, as labels.
pub(super) const THREADS: [&str; 4] = ["http", "runtime", "store", "other"];

/// Counts of a process.
#[derive(Debug, Default)]
pub struct ProcessCounts {
    logs: [AtomicU64; LEVELS.len()],
    panics: [AtomicU64; THREADS.len()],
    /// Spans for which there was no room.
    pub(super) spans_without_room: AtomicU64,
    /// Spans that the receiver did not take.
    pub(super) spans_not_exported: AtomicU64,
}

/// What was counted so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessTotals {
    pub(super) logs: [u64; LEVELS.len()],
    pub(super) panics: [u64; THREADS.len()],
    pub(super) spans_dropped: [u64; 2],
}

impl ProcessCounts {
    /// Counts every panic of this process from now on, beside what is done about it already.
    pub fn count_panics(self: &Arc<Self>) {
        let (counts, before) = (Arc::clone(self), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let label = purpose(thread.name().unwrap_or_default());
            if let Some(count) = counts.panics.get(label) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            before(panic);
        }));
    }

    /// What was counted so far.
    #[must_use]
    pub fn totals(&self) -> ProcessTotals {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ProcessTotals {
            logs: self.logs.each_ref().map(load),
            panics: self.panics.each_ref().map(load),
            spans_dropped: [&self.spans_without_room, &self.spans_not_exported].map(load),
        }
    }
}

/// Counts lines. To be filtered as the lines are.
#[derive(Debug, Clone)]
pub(super) struct CountLines(pub(super) Arc<ProcessCounts>);

impl<S: Subscriber> Layer<S> for CountLines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let place = match *event.metadata().level() {
            Level::ERROR => 0,
            Level::WARN => 1,
            Level::INFO => 2,
            Level::DEBUG => 3,
            Level::TRACE => 4,
        };
        if let Some(count) = self.0.logs.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The place of a thread's purpose among [`THREADS`].
fn purpose(thread: &str) -> usize {
    let begins = ["actix-", "tokio-", "store-"];
    begins
        .iter()
        .position(|begin| thread.starts_with(begin))
        .unwrap_or(begins.len())
}

/// The memory that this process may take, in bytes; `None` where the system does not say.
pub(super) fn memory_limit() -> Option<u64> {
    let of_group = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let group = of_group
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        .min();
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kibibytes: u64 = total.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1_024)
    });
    // A group without a limit names none, or more than there is.
    [group, machine].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn lines_are_counted_by_level() {
        let counts = Arc::new(ProcessCounts::default());
        let subscriber = tracing_subscriber::registry().with(CountLines(Arc::clone(&counts)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("one");
            tracing::info!("two");
            tracing::info!("three");
        });
        assert_eq!(counts.totals().logs, [1, 0, 2, 0, 0]);
    }

    #[test]
    fn a_thread_is_known_by_its_name() {
        let known = [
            "actix-rt|system:0|arbiter:1",
            "tokio-rt-worker",
            "store-writer",
            "main",
        ];
        assert_eq!(
            known.map(|name| THREADS.get(purpose(name)).copied()),
            THREADS.map(Some)
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn there_is_a_limit_to_memory() {
        assert!(memory_limit().unwrap() > 1 << 20);
    }
}
