//! Fills chats of an embedded database for benchmarks of long histories, through the store itself.
//!
//! `cargo run --release -p carillon-store --example seed_chat -- data/bench/carillon.db 1000 h1,h2 1000000 m1,m2`: the file,
//! then how many messages and whose chat, any number of times.

#![expect(clippy::print_stdout, reason = "an example prints")]

#[path = "../tests/contract/samples.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "what it parses is given here")]
mod samples;

use std::{path::Path, time::Duration};

use carillon_store::{
    Messages,
    sqlite::{SqliteOptions, SqliteStore},
};
use futures_util::future::try_join_all;
use tokio::time::Instant;

/// Appends that may share a commit.
const GROUP: u64 = 500;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("no file")?;
    let store = SqliteStore::open(Path::new(&file), &SqliteOptions::default())?;
    while let Some(count) = arguments.next() {
        let users = arguments.next().ok_or("no users")?;
        let users = users.split_once(',').ok_or("users are ONE,OTHER")?;
        let took = fill(&store, count.parse()?, users).await?;
        println!("{count} messages in {:.1} s", took.as_secs_f64());
    }
    Ok(())
}

/// The two users write in turns.
async fn fill(
    store: &SqliteStore,
    count: u64,
    (one, other): (&str, &str),
) -> Result<Duration, Box<dyn std::error::Error>> {
    let start = Instant::now();
    for group in (0..count).step_by(usize::try_from(GROUP)?) {
        let appends = (group..count.min(group + GROUP)).map(|number| {
            let (from, to) = if number.is_multiple_of(2) {
                (one, other)
            } else {
                (other, one)
            };
            let millis = i64::try_from(number).unwrap_or(i64::MAX);
            store.append_message(samples::message(
                from,
                to,
                "hello, how are you doing today?",
                millis,
            ))
        });
        // Polled in order, so they are queued in order.
        try_join_all(appends).await?;
    }
    Ok(start.elapsed())
}
