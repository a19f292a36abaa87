//! The server that the official protocol test suites ask for, on the crates that the gateway is built on: Engine.IO that
//! echoes at `/engine.io/`, Socket.IO with the suites' events at `/socket.io/`; and one server of a cluster with Node
//! servers, that does what a client tells it to. Loopback only; for tests.

mod cluster;
mod inbound;
mod suite;

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{App, web};
use carillon_backplane::local::{LocalBackplane, LogBounds};
use carillon_gateway::{
    capacity::Capacity,
    cluster::{forwarding::Forwarding, hand_over::HandOver},
    gaps::Gaps,
    http::{
        engineio::{self, Endpoint},
        health::{Readiness, Stage},
        origin::Origins,
        server,
    },
    limits::Limits,
    settings::LimitSettings,
};
use carillon_socketio::{Config, Counters, Engine, Hub, SocketIo};
use clap::Parser;
use tokio_util::task::TaskTracker;

use cluster::Cluster;
use suite::{Echo, Suite};

/// More than the suites open.
const MOST_CONNECTIONS: usize = 10_000;

/// Serves the official Engine.IO and Socket.IO protocol test suites on 127.0.0.1.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port to listen on.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Milliseconds between pings; the suites are written for the defaults.
    #[arg(long, default_value_t = 300)]
    ping_interval: u64,
    /// Milliseconds that a pong is waited for.
    #[arg(long, default_value_t = 200)]
    ping_timeout: u64,
    /// Milliseconds that a Socket.IO client has to join a namespace.
    #[arg(long, default_value_t = 1_000)]
    connect_timeout: u64,
    /// The Redis of a cluster to be in, for the event `call`; heartbeats are as by default then.
    #[arg(long)]
    redis: Option<String>,
    /// The other servers there use the sharded adapter.
    #[arg(long, requires = "redis")]
    sharded: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Arguments {
        port,
        ping_interval,
        ping_timeout,
        connect_timeout,
        redis,
        sharded,
    } = Arguments::parse();
    let cluster = match redis {
        Some(url) => Some(Arc::new(Cluster::connect(url, sharded).await?)),
        None => None,
    };
    let config = match &cluster {
        // While a call is worked off, its client's heartbeat waits.
        Some(_) => Config::default(),
        None => Config {
            ping_interval: Duration::from_millis(ping_interval),
            ping_timeout: Duration::from_millis(ping_timeout),
            connect_timeout: Some(Duration::from_millis(connect_timeout)),
            ..Config::default()
        },
    };
    let counters = Arc::new(Counters::default());
    let hub = Arc::new(Hub::new(Arc::clone(&counters)));
    let mut suite = SocketIo::new(
        Arc::clone(&hub),
        Arc::new(Suite {
            cluster: cluster.clone(),
        }),
    );
    if let Some(cluster) = &cluster {
        cluster.join(&hub).await?;
        suite = suite.with_ids(cluster.ids());
    }
    let echo_config = Config {
        connect_timeout: None,
        ..config.clone()
    };
    let readiness = Arc::new(Readiness::default());
    readiness.advance(Stage::Ready);
    // The suites open sessions as fast as they like.
    let unlimited = LimitSettings {
        enabled: false,
        ..LimitSettings::default()
    };
    let limits = Arc::new(Limits::new(&unlimited, &Capacity::of_this_process(None)));
    let endpoint = |config, acceptor| {
        let tasks = TaskTracker::new();
        let engine = Engine::new(config, acceptor, Arc::clone(&counters), tasks.clone());
        let engine = Arc::new(engine);
        let alone = LocalBackplane::new("conformance", Duration::ZERO, LogBounds::default());
        let alone = Arc::new(alone);
        web::Data::new(Endpoint {
            forwarding: Arc::new(Forwarding::new(engine.clone(), alone.clone(), limits.clone())),
            hand_over: Arc::new(HandOver::new(
                engine.clone(),
                alone.clone(),
                alone,
                Gaps::default(),
                tasks,
            )),
            engine,
            origins: Origins::default(),
            readiness: Arc::clone(&readiness),
            limits: Arc::clone(&limits),
        })
    };
    let (engine_io, socket_io) = (
        endpoint(echo_config, Arc::new(Echo)),
        endpoint(config, Arc::new(suite)),
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    server::serve(listener, 1, MOST_CONNECTIONS, move || {
        App::new()
            .configure(|cfg| engineio::configure(cfg, "/engine.io/", engine_io.clone()))
            .configure(|cfg| engineio::configure(cfg, engineio::PREFIX, socket_io.clone()))
    })?
    .await?;
    Ok(())
}
