//! How long a node takes from its start until it takes clients.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use crate::{
    figures::{Figures, Output},
    http::Http,
};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(1);

/// Asks `/readyz` until it says yes; `since` is when the node was started, in seconds since 1970.
pub(crate) async fn run(node: SocketAddr, since: f64, output: &Output) -> anyhow::Result<()> {
    let patience = Instant::now() + PATIENCE;
    while let Err(error) = Http::new(node).get("/readyz", None).await {
        anyhow::ensure!(Instant::now() < patience, "not ready: {error:#}");
        tokio::time::sleep(PAUSE).await;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a program of its own, without a clock to inject"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let mut figures = Figures::default();
    figures.add("ready_ms", (now - since) * 1_000.0);
    figures.publish(output, "start")
}
