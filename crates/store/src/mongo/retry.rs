//! Which writes are repeated, and how often.

use std::{future::Future, time::Duration};

use backon::{ExponentialBuilder, Retryable};

use super::error::Failure;

/// Five attempts more, within some 300 milliseconds, spread so that rivals do not meet again.
pub(super) const fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(4))
        .with_max_delay(Duration::from_millis(200))
        .with_factor(2.5)
        .with_max_times(5)
        .with_jitter()
}

/// Does `attempt` until it succeeds or fails in a way that does not pass. Doing it twice must be as doing it once.
pub(super) async fn idempotent<Value, Attempt>(attempt: impl FnMut() -> Attempt) -> Result<Value, Failure>
where
    Attempt: Future<Output = Result<Value, Failure>>,
{
    attempt.retry(pauses()).when(Failure::passes).await
}

/// Does `attempt` until it succeeds or fails in a way that leaves open whether it happened: what it answers is exact.
pub(super) async fn exact<Value, Attempt>(attempt: impl FnMut() -> Attempt) -> Result<Value, Failure>
where
    Attempt: Future<Output = Result<Value, Failure>>,
{
    attempt.retry(pauses()).when(Failure::was_rolled_back).await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const DEADLOCK: i32 = 16_908_292;
    const SHUTDOWN: i32 = 91;

    fn failing(code: i32, times: u32, count: &Cell<u32>) -> Result<(), Failure> {
        count.set(count.get() + 1);
        if count.get() > times {
            Ok(())
        } else {
            Err(Failure::of_code(code, "refused".to_owned()))
        }
    }

    #[tokio::test]
    async fn what_is_idempotent_is_repeated_a_few_times() {
        let count = Cell::new(0);
        idempotent(|| async { failing(SHUTDOWN, 5, &count) })
            .await
            .unwrap();
        assert_eq!(count.take(), 6);
        assert!(
            idempotent(|| async { failing(DEADLOCK, 99, &count) })
                .await
                .is_err()
        );
        assert_eq!(count.take(), 6);
    }

    #[tokio::test]
    async fn what_must_be_exact_is_repeated_only_if_it_did_not_happen() {
        let count = Cell::new(0);
        exact(|| async { failing(DEADLOCK, 3, &count) }).await.unwrap();
        assert_eq!(count.take(), 4);
        assert!(exact(|| async { failing(SHUTDOWN, 1, &count) }).await.is_err());
        assert_eq!(count.take(), 1);
    }
}
