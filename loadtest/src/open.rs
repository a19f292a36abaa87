//! Sockets that are opened at a rate, each its own user's, and stay: errors, CPU of a connect, memory of an idle socket.
//! Then each joins a room, which also shows that it is alive.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use futures_util::{StreamExt, stream};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    Target,
    client::Client,
    dialect::Dialect,
    figures::{Figures, Latencies},
    http::Http,
    process::{Meter, resident_kib},
};

/// How long one socket may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before memory is read.
const SETTLING: Duration = Duration::from_secs(1);
/// How many join at a time.
const JOINING: usize = 100;

/// Opens `sockets`, `rate` a second, and prints how it went. Fails where one is missing.
pub(crate) async fn run(target: &Target, sockets: usize, rate: u32, polling: bool) -> anyhow::Result<()> {
    let memory_before = resident_kib(&target.processes)?;
    let meter = Meter::start(&target.processes)?;
    let started = Instant::now();
    let mut ticks = tokio::time::interval_at(started, Duration::from_secs(1) / rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut opening = JoinSet::new();
    for number in 0..sockets {
        let due = ticks.tick().await;
        let (node, dialect) = (target.node(number)?, target.dialect);
        let token = target.token(&format!("c{number}"))?;
        opening.spawn(async move {
            let open = async {
                if polling {
                    upgrade(node, &token).await
                } else {
                    Client::connect(node, dialect, &token).await
                }
            };
            let opened = tokio::time::timeout(PATIENCE, open).await;
            (
                number,
                due.elapsed(),
                opened.context("not in time").and_then(|opened| opened),
            )
        });
    }
    let (mut kept, mut errors, mut latencies) = (Vec::new(), 0, Latencies::new()?);
    while let Some(opened) = opening.join_next().await {
        let (number, took, opened) = opened?;
        match opened {
            Ok(client) => {
                latencies.record_duration(took);
                kept.push((number, client));
            }
            Err(error) => {
                errors += 1;
                complain(&error);
            }
        }
    }
    let mut figures = Figures::default();
    meter.read(u64::try_from(sockets)?, &mut figures)?;
    figures.count("errors", errors);
    latencies.read("", &mut figures);
    let idle = |memory: f64, sockets: usize| {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let each = (memory - memory_before) / sockets.max(1) as f64;
        each
    };
    tokio::time::sleep(SETTLING).await;
    let resident = resident_kib(&target.processes)?;
    figures.add("idle_kib", idle(resident, kept.len()));

    let joined = join_rooms(kept).await;
    tokio::time::sleep(SETTLING).await;
    let resident = resident_kib(&target.processes)?;
    figures.add("in_room_kib", idle(resident, joined.len()));
    let alive = u64::try_from(joined.len())?;
    figures.count("missing", u64::try_from(sockets)?.saturating_sub(alive));
    figures.publish(&target.output, if polling { "open-polling" } else { "open" })?;
    anyhow::ensure!(joined.len() == sockets, "not every socket is there");
    Ok(())
}

/// Each into a chat's room of its own; those that were let in.
async fn join_rooms(clients: Vec<(usize, Client)>) -> Vec<Client> {
    let joins = clients.into_iter().map(|(number, mut client)| async move {
        let joined = client.join(&format!("c{number}_z")).await;
        joined.map(|()| client)
    });
    stream::iter(joins)
        .buffer_unordered(JOINING)
        .filter_map(async |joined| joined.inspect_err(complain).ok())
        .collect()
        .await
}

#[expect(clippy::print_stderr, reason = "its output is what it is for")]
fn complain(error: &anyhow::Error) {
    eprintln!("  {error:#}");
}

/// Opens by polling, connects, goes over to WebSocket.
async fn upgrade(node: SocketAddr, token: &str) -> anyhow::Result<Client> {
    let path = "/socket.io/?EIO=4&transport=polling";
    let mut http = Http::new(node);
    let open = http.get(path, None).await.context("handshake")?;
    let sid = open.split('"').nth(3).context("no sid")?.to_owned();
    let session = format!("{path}&sid={sid}");
    let (connect, connected) = Dialect::Socketio.connect(token);
    http.post(&session, &connect).await.context("CONNECT")?;
    let mut is_confirmed = false;
    while !is_confirmed {
        let payload = http.get(&session, None).await.context("first poll")?;
        is_confirmed = payload
            .split('\u{1e}')
            .any(|packet| packet.starts_with(connected));
    }
    let path = format!("{}&sid={sid}", Dialect::Socketio.path());
    let mut client = Client::open(node, Dialect::Socketio, Some(&path))
        .await
        .context("WebSocket")?;
    client.writer.send("2probe").await?;
    client.expect("3probe").await.context("probe")?;
    client.writer.send("5").await?;
    Ok(client)
}
