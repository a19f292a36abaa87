//! How long, and how often, the other nodes were out of reach.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// All outages since the node first reached the others.
#[derive(Debug, Default)]
pub(in crate::redis) struct Outages(Mutex<Sum>);

#[derive(Debug, Default)]
struct Sum {
    since: Option<Instant>,
    over: u64,
    time: Duration,
}

impl Outages {
    pub(super) fn begin(&self) {
        self.0.lock().since.get_or_insert_with(Instant::now);
    }

    pub(super) fn end(&self) {
        let mut sum = self.0.lock();
        if let Some(since) = sum.since.take() {
            sum.time += since.elapsed();
            sum.over += 1;
        }
    }

    /// How many are over, and how long all have lasted so far.
    pub(in crate::redis) fn sum(&self) -> (u64, Duration) {
        let sum = self.0.lock();
        let under_way = sum.since.map_or(Duration::ZERO, |since| since.elapsed());
        (sum.over, sum.time + under_way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_runs_during_an_outage_alone() {
        let outages = Outages::default();
        outages.end();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(outages.sum(), (0, Duration::ZERO));

        outages.begin();
        tokio::time::advance(Duration::from_secs(2)).await;
        outages.begin();
        assert_eq!(outages.sum(), (0, Duration::from_secs(2)));
        outages.end();
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(outages.sum(), (1, Duration::from_secs(2)));
    }
}
