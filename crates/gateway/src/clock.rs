//! Wall time and new ids, from one place, so that tests can set them.

use std::time::{Duration, UNIX_EPOCH};

use carillon_protocol::{id::ObjectId, time::Timestamp};
use parking_lot::Mutex;

/// Tells the time and makes ids.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// A new id: four bytes of seconds, five random ones per process, three of a counter, as MongoDB's drivers make them.
    fn new_id(&self) -> ObjectId;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    process: [u8; 5],
    counter: Mutex<u32>,
}

impl SystemClock {
    /// A clock whose ids start at a random counter.
    #[must_use]
    pub fn new() -> Self {
        Self {
            process: rand::random(),
            counter: Mutex::new(rand::random()),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one reader of the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn new_id(&self) -> ObjectId {
        let seconds = u32::try_from(self.now().as_millis() / 1000)
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let counter = {
            let mut counter = self.counter.lock();
            *counter = counter.wrapping_add(1);
            counter.to_be_bytes()
        };
        let [a, b, c, d] = seconds;
        let [e, f, g, h, i] = self.process;
        let [_, j, k, l] = counter;
        ObjectId::from_bytes([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_start_with_the_time() {
        let clock = SystemClock::new();
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| clock.new_id()).collect();
        assert_eq!(ids.len(), 1000);
        let seconds = clock.new_id().as_bytes()[..4]
            .iter()
            .fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
        assert!((clock.now().as_millis() / 1000 - seconds).abs() <= 1);
    }
}
