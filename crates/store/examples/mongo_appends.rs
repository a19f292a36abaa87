//! Measures durable appends a second on a MongoDB server, closed loop: each sender waits for its answer.
//!
//! `MONGODB_URI=mongodb://127.0.0.1:27017/ cargo run --release -p carillon-store --example mongo_appends -- 100 10 1 plain`:
//! pairs, seconds, nodes (stores on the one database), `plain` or `resendable` (with a `clientMessageId`, announced after
//! each append), and `both` where both users of a pair send, each through another node. The database `carillon_bench` is
//! dropped before and after.

#![expect(clippy::print_stdout, reason = "an example prints")]

#[path = "../tests/contract/samples.rs"]
#[expect(clippy::unwrap_used, reason = "what it parses is given here")]
mod samples;

use std::{sync::Arc, time::Duration};

use carillon_store::{
    Messages,
    mongo::{MongoOptions, MongoStore},
};
use hdrhistogram::Histogram;
use mongodb::Client;
use tokio::{task::JoinSet, time::Instant};

const DATABASE: &str = "carillon_bench";

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let mut number = |usual: u64| arguments.next().map_or(Ok(usual), |text| text.parse::<u64>());
    let (pairs, seconds, nodes) = (number(100)?, number(10)?, number(1)?);
    let resendable = arguments.next().is_some_and(|mode| mode == "resendable");
    let both = arguments.next().is_some_and(|mode| mode == "both");

    #[expect(clippy::disallowed_methods, reason = "an example has no settings")]
    let server = std::env::var("MONGODB_URI")?;
    let uri = format!("{}/{DATABASE}", server.trim_end_matches('/'));
    let database = Client::with_uri_str(&uri).await?.database(DATABASE);
    database.drop().await?;
    let mut stores = Vec::new();
    for _ in 0..nodes {
        stores.push(Arc::new(
            MongoStore::connect(
                &uri,
                MongoOptions {
                    ..MongoOptions::default()
                },
            )
            .await?,
        ));
    }

    let start = Instant::now();
    let mut senders = JoinSet::new();
    let every = if both { 1 } else { 2 };
    for (sender, store) in (0..pairs * 2).step_by(every).zip(stores.iter().cycle()) {
        let store = Arc::clone(store);
        senders.spawn(send(
            store,
            sender,
            start + Duration::from_secs(seconds),
            resendable,
        ));
    }
    let mut times = Histogram::<u64>::new(3)?;
    while let Some(sent) = senders.join_next().await {
        times.add(sent??)?;
    }
    let took = start.elapsed().as_secs_f64();
    println!(
        "{:.0} messages/s; p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; {pairs} pairs, {nodes} nodes, {} messages",
        times.len() as f64 / took,
        times.value_at_quantile(0.5) as f64 / 1e3,
        times.value_at_quantile(0.99) as f64 / 1e3,
        times.max() as f64 / 1e3,
        times.len(),
    );
    database.drop().await?;
    Ok(())
}

/// Sends until `end`; the times in microseconds.
async fn send(
    store: Arc<MongoStore>,
    sender: u64,
    end: Instant,
    resendable: bool,
) -> Result<Histogram<u64>, Box<dyn std::error::Error + Send + Sync>> {
    let mut times = Histogram::new(3)?;
    let (from, to) = (format!("u{sender}"), format!("u{}", sender ^ 1));
    let mut count = 0;
    while Instant::now() < end {
        count += 1;
        let message = if resendable {
            samples::resendable(&from, &to, &format!("c-{count}"), count)
        } else {
            samples::message(&from, &to, "hello, how are you doing today?", count)
        };
        let start = Instant::now();
        let appended = store.append_message(message).await?;
        times.record(u64::try_from(start.elapsed().as_micros())?)?;
        if resendable {
            store.mark_announced(appended.message.id).await?;
        }
    }
    Ok(times)
}
