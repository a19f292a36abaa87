//! What a node tells its operator: logs, metrics and traces. None of them ever holds a token or the text of a message.

#[cfg(test)]
pub(crate) mod capture;
mod logs;
mod metered_store;
pub mod metrics;
mod process;
mod runtimes;
pub mod traces;

pub use logs::{LogError, init_logs};
pub use metered_store::MeteredStore;
pub use metrics::{Metrics, Totals};
pub use process::{ProcessCounts, ProcessTotals};
pub use runtimes::Runtimes;
