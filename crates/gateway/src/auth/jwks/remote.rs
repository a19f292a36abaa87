//! A key set that is fetched: one fetch at a time, at times that its answers ask for.
//!
//! - After a good answer the next fetch is due as its `Cache-Control` says, within [`LEAST_INTERVAL`] and [`MOST_INTERVAL`].
//! - After a bad one it is tried again, with pauses that grow from [`FIRST_PAUSE`] to [`LAST_PAUSE`].
//! - A token with an unknown `kid` has the set fetched at once, but not twice within [`MISS_INTERVAL`], however many there
//!   are. Nobody waits for that: such tokens are refused until the key is there.

mod address;

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{self, Instant};

use super::Jwks;
pub use address::JwksUrl;
use address::{Bounds, Fetched};

/// The shortest time that an answer may ask for before the next fetch.
const LEAST_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// The longest one.
const MOST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// The time until the next fetch where the answer asks for none.
const USUAL_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The pause after a fetch that failed; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// The shortest time between two fetches because of unknown keys.
const MISS_INTERVAL: Duration = Duration::from_secs(60);

/// An address, and when it is to be asked again.
#[derive(Debug)]
pub(super) struct Remote {
    url: JwksUrl,
    bounds: Bounds,
    due: Mutex<Instant>,
}

impl Remote {
    pub(super) fn new(url: JwksUrl) -> Self {
        Self {
            url,
            bounds: Bounds::default(),
            due: Mutex::new(Instant::now()),
        }
    }

    pub(super) const fn url(&self) -> &JwksUrl {
        &self.url
    }

    /// Fetches the first keys.
    ///
    /// # Errors
    /// Why there are none, in words for the operator.
    pub(super) async fn first_look(&self, jwks: &Jwks) -> Result<(), String> {
        let found = self.url.fetch(self.bounds).await;
        let wanted = found.as_ref().ok().and_then(|fetched| fetched.max_age);
        jwks.begin(found.map(|fetched| fetched.text))?;
        *self.due.lock() = Instant::now() + interval(wanted);
        Ok(())
    }

    /// Keeps the keys of `jwks` fresh. Never ends.
    pub(super) async fn follow(&self, jwks: &Jwks) {
        self.follow_by(jwks, || self.url.fetch(self.bounds)).await;
    }

    async fn follow_by<F: Future<Output = Result<Fetched, String>>>(
        &self,
        jwks: &Jwks,
        fetch: impl Fn() -> F,
    ) {
        let mut due = *self.due.lock();
        let mut pause = FIRST_PAUSE;
        let mut next_by_miss = Instant::now();
        loop {
            let missed = async {
                time::sleep_until(next_by_miss).await;
                jwks.unknown_kid.notified().await;
            };
            tokio::select! {
                () = time::sleep_until(due) => {}
                () = missed => next_by_miss = Instant::now() + MISS_INTERVAL,
            }
            let fetched = fetch().await;
            let wanted = fetched.as_ref().ok().and_then(|fetched| fetched.max_age);
            let next = if jwks.take(fetched.map(|fetched| fetched.text)) {
                pause = FIRST_PAUSE;
                interval(wanted)
            } else {
                let next = pause;
                pause = (pause * 2).min(LAST_PAUSE);
                next
            };
            due = Instant::now() + next;
        }
    }
}

/// When to fetch again, as an answer that is good for `max_age` has it.
fn interval(max_age: Option<Duration>) -> Duration {
    max_age
        .unwrap_or(USUAL_INTERVAL)
        .clamp(LEAST_INTERVAL, MOST_INTERVAL)
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
