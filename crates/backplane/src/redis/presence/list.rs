//! The list of who is online, asked for once where many want it at a time: whole offices come back at the same moment.

use carillon_protocol::presence::OnlineUser;
use tokio::{sync::Mutex, time::Instant};

use crate::Result;

/// The list that was fetched last, and when it was asked for.
#[derive(Debug, Default)]
pub(in crate::redis) struct List(Mutex<Option<(Instant, Vec<OnlineUser>)>>);

impl List {
    /// A list that `fetch` was asked for after this call: its own, or that of another call which waited as well.
    pub(super) async fn since_now(
        &self,
        fetch: impl AsyncFnOnce() -> Result<Vec<OnlineUser>>,
    ) -> Result<Vec<OnlineUser>> {
        let called_at = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((asked_at, users)) = last.as_ref()
            && *asked_at > called_at
        {
            return Ok(users.clone());
        }
        let asked_at = Instant::now();
        let users = fetch().await?;
        *last = Some((asked_at, users.clone()));
        Ok(users)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_at_a_time_ask_twice_at_most_and_get_nothing_older_than_their_call() {
        let (list, asked) = (List::default(), AtomicUsize::new(0));
        let ask = async || {
            let called_at = Instant::now();
            let fetch = async || {
                assert!(Instant::now() >= called_at);
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(Vec::new())
            };
            list.since_now(fetch).await.unwrap();
        };

        let later = async |n: u64| {
            tokio::time::sleep(Duration::from_micros(n)).await;
            ask().await;
        };
        join_all((0..100).map(later)).await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);

        ask().await;
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }
}
