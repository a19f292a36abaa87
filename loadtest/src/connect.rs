//! Sockets that open by polling and go over to WebSocket, as the official client does by default.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    Target,
    client::{self, Client},
    cpu::Meter,
    http::Http,
    token,
};

/// How long one socket may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens `sockets`, `rate` a second, and prints how it went.
pub(crate) async fn run(target: &Target, sockets: usize, rate: u32) -> anyhow::Result<()> {
    let meter = Meter::start(&target.processes)?;
    let started = Instant::now();
    let mut due = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut opening = JoinSet::new();
    for number in 0..sockets {
        due.tick().await;
        let (node, token) = (
            target.node(number)?,
            token::mint(&format!("c{number}"), &target.secret)?,
        );
        opening.spawn(async move {
            let begun = Instant::now();
            let opened = tokio::time::timeout(PATIENCE, upgrade(node, &token)).await;
            (
                opened.context("not in time").and_then(|opened| opened),
                begun.elapsed(),
            )
        });
    }
    let (mut kept, mut failures, mut slowest) = (Vec::new(), 0_usize, Duration::ZERO);
    while let Some(opened) = opening.join_next().await {
        match opened? {
            (Ok(socket), took) => {
                slowest = slowest.max(took);
                kept.push(socket);
            }
            (Err(error), _) => {
                failures += 1;
                if failures <= 5 {
                    println!("  {error:#}");
                }
            }
        }
    }
    let alive = still_alive(kept).await;
    println!(
        "connect: {sockets} sockets in {:.1} s, {failures} errors, slowest {} ms, {alive} alive at the end; {}",
        started.elapsed().as_secs_f64(),
        slowest.as_millis(),
        meter.per(u64::try_from(sockets)?)?
    );
    anyhow::ensure!(failures == 0 && alive == sockets, "not every socket is there");
    Ok(())
}

/// Opens by polling, joins, goes over to WebSocket.
async fn upgrade(node: SocketAddr, token: &str) -> anyhow::Result<Client> {
    let mut http = Http::new(node);
    let open = http.request(None, None).await.context("handshake")?;
    let sid = open.split('"').nth(3).context("no sid")?.to_owned();
    let connect = format!("40{{\"token\":\"{token}\"}}");
    http.request(Some(&sid), Some(&connect))
        .await
        .context("CONNECT")?;
    let mut confirmed = false;
    while !confirmed {
        let payload = http.request(Some(&sid), None).await.context("first poll")?;
        confirmed = payload.split('\u{1e}').any(|packet| packet.starts_with("40"));
    }
    let mut client = client::open(node, Some(&sid)).await.context("WebSocket")?;
    client.sender.send("2probe".to_owned()).await?;
    client.expect("3probe").await.context("probe")?;
    client.sender.send("5".to_owned()).await?;
    Ok(client)
}

/// How many of the sockets answer to an event.
async fn still_alive(clients: Vec<Client>) -> usize {
    let mut asked: FuturesUnordered<_> = clients
        .into_iter()
        .map(|mut client| async move {
            let asked = async {
                client.sender.send("421[\"getOnlineUsers\"]".to_owned()).await?;
                client.expect("431").await
            };
            let answered = tokio::time::timeout(PATIENCE, asked)
                .await
                .context("no answer in time");
            // Kept until all have answered.
            (answered.and_then(|answer| answer), client)
        })
        .collect();
    let (mut alive, mut kept) = (0, Vec::new());
    while let Some((answered, client)) = asked.next().await {
        match answered {
            Ok(_ack) => alive += 1,
            Err(error) => println!("  {error:#}"),
        }
        kept.push(client);
    }
    alive
}
