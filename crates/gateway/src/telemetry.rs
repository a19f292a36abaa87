//! What a node tells its operator: logs and metrics. Neither ever holds a token or the text of a message.

#[cfg(test)]
pub(crate) mod capture;
mod logs;
mod metrics;

pub use logs::{LogError, init_logs};
pub use metrics::{Metrics, Totals};
