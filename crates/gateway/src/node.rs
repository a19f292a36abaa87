//! The composition root: a node is put together here, served, and taken down in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
    middleware::{Condition, from_fn},
    web,
};
use anyhow::Context as _;
use carillon_backplane::local::{LocalBackplane, LogBounds};
use carillon_socketio::{CloseReason, Config, Counters, Engine, Hub, SocketIo, Transport, random_id};
use carillon_store::{
    Store,
    sqlite::{SqliteOptions, SqliteStore},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{self, Jwks, Verifier},
    clock::{Clock, SystemClock},
    cluster::Receiver,
    events::Events,
    http::{
        cors, count,
        dev::{self, DevTokens},
        engineio::{self, Endpoint},
        error,
        health::{self, Health, Readiness, Stage},
        origin::Origins,
        rest::{self, Rest},
    },
    limits::Limits,
    services::Services,
    settings::Settings,
    sockets::Sockets,
    telemetry::{Metrics, Totals},
};

/// The database's file in the data folder.
const DATABASE_FILE: &str = "carillon.db";
/// Longer than the idle time of any usual balancer, so that none of them finds a connection closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take to send the head of a request.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a node that drains is seen not to be ready before it sends its clients away.
const DRAIN_NOTICE: Duration = Duration::from_millis(250);
/// How long idle connections are waited for at the end, in seconds.
const SHUTDOWN_SECONDS: u64 = 1;
/// How often old notifications are looked for.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How often the limiters forget who has been quiet.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// A node that serves.
pub struct Node {
    store: Arc<dyn Store>,
    engine: Arc<Engine>,
    readiness: Arc<Readiness>,
    /// The tasks of sessions.
    sessions: TaskTracker,
    /// All others.
    tasks: TaskTracker,
    stopping: CancellationToken,
    servers: Vec<ServerHandle>,
    address: SocketAddr,
    drain_timeout: Duration,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The parts that requests are served with; shared by all workers.
#[derive(Clone)]
struct Parts {
    rest: web::Data<Rest>,
    health: web::Data<Health>,
    endpoint: web::Data<Endpoint>,
    origins: web::Data<Origins>,
    metrics: web::Data<Metrics>,
    dev_tokens: Option<web::Data<DevTokens>>,
}

impl Node {
    /// Puts a node together and begins to serve.
    ///
    /// # Errors
    /// Where the store cannot be opened, a port is taken, or the built-in cryptography does not work.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        for warning in auth::warnings(&settings.auth) {
            tracing::warn!("{warning}");
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (sessions, tasks) = (TaskTracker::new(), TaskTracker::new());
        let path = settings.data_dir.join(DATABASE_FILE);
        let store: Arc<dyn Store> = Arc::new(
            SqliteStore::open(&path, &SqliteOptions::default()).context("the store cannot be opened")?,
        );
        let backplane = Arc::new(LocalBackplane::new(
            &random_id(),
            settings.recovery_window,
            LogBounds::default(),
        ));
        let verifier = Arc::new(Verifier::new(&settings.auth, Arc::clone(&clock))?);
        let jwks = verifier.jwks().cloned();
        let limits = Arc::new(Limits::new(&settings.limits));
        let metrics = Arc::new(Metrics::new()?);
        let services = Arc::new(Services::new(
            Arc::clone(&store),
            backplane.clone(),
            Arc::clone(&clock),
            settings.presence,
            tasks.clone(),
        ));

        let counters = Arc::new(Counters::default());
        let hub = Arc::new(Hub::new(Arc::clone(&counters)));
        backplane.join(Arc::new(Receiver(Arc::clone(&hub))));
        let sockets = Sockets {
            hub: Arc::clone(&hub),
            backplane,
            events: Events::new(
                Arc::clone(&services),
                Arc::clone(&clock),
                limits.clone(),
                verifier.clone(),
                settings.shows_details(),
            ),
            services: Arc::clone(&services),
            verifier: Arc::clone(&verifier),
            limits: Arc::clone(&limits),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
        };
        let config = Config {
            ping_interval: settings.ping_interval,
            ping_timeout: settings.ping_timeout,
            ..Config::default()
        };
        let socket_io = Arc::new(SocketIo::new(hub, Arc::new(sockets)));
        let engine = Arc::new(Engine::new(
            config,
            socket_io,
            Arc::clone(&counters),
            sessions.clone(),
        ));

        let readiness = Arc::new(Readiness::default());
        let origins = settings.origins.clone();
        let (scraped, counted, rendered) =
            (Arc::clone(&readiness), Arc::clone(&limits), Arc::clone(&metrics));
        let parts = Parts {
            rest: web::Data::new(Rest {
                services: Arc::clone(&services),
                verifier,
                limits: limits.clone(),
                development: settings.shows_details(),
            }),
            health: web::Data::new(Health {
                readiness: Arc::clone(&readiness),
                parts: Arc::new(|| vec![("store", "up"), ("backplane", "up")]),
                metrics: Arc::new(move || rendered.render(&totals(&counters, &counted, &scraped))),
            }),
            endpoint: web::Data::new(Endpoint {
                engine: Arc::clone(&engine),
                origins: origins.clone(),
                readiness: Arc::clone(&readiness),
                quota: limits.clone(),
            }),
            origins: web::Data::new(origins),
            metrics: web::Data::from(Arc::clone(&metrics)),
            dev_tokens: settings
                .dev
                .then(|| web::Data::new(DevTokens::new(settings.auth.clone(), clock))),
        };
        let stopping = CancellationToken::new();
        let (addresses, servers) = serve(settings, &parts)?;
        let address = addresses.first().copied().context("no address to listen on")?;
        let mut handles = Vec::new();
        for server in servers {
            handles.push(server.handle());
            tasks.spawn(server);
        }
        spawn_housekeeping(settings, &tasks, &stopping, services, limits, jwks);
        readiness.advance(Stage::Ready);
        tracing::info!(%address, "ready");
        let drain_timeout = settings.drain_timeout;
        Ok(Self {
            store,
            engine,
            readiness,
            sessions,
            tasks,
            stopping,
            servers: handles,
            address,
            drain_timeout,
        })
    }

    /// Where clients are served.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes the node down: no new clients, transports closed (their clients go elsewhere and come back), what is
    /// accepted made durable.
    ///
    /// # Errors
    /// Where the store cannot be flushed.
    pub async fn drain(self) -> anyhow::Result<()> {
        tracing::info!("draining");
        self.readiness.advance(Stage::Draining);
        self.stopping.cancel();
        if self.engine.counters().live() > 0 {
            // Who asks whether the node is ready learns that it is not before its clients come back.
            tokio::time::sleep(DRAIN_NOTICE).await;
        }
        self.engine.close_all(CloseReason::ServerShutdown);
        self.sessions.close();
        if tokio::time::timeout(self.drain_timeout, self.sessions.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                left = self.sessions.len(),
                "not every client took its leave in time"
            );
        }
        for server in &self.servers {
            server.stop(true).await;
        }
        self.tasks.close();
        if tokio::time::timeout(self.drain_timeout, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(tasks = self.tasks.len(), "not every task ended in time");
        }
        self.store.flush().await.context("the store cannot be flushed")?;
        tracing::info!("drained");
        Ok(())
    }
}

/// Serves until SIGTERM or SIGINT, then drains. `started` is told the address.
///
/// # Errors
/// Those of [`Node::start`] and [`Node::drain`].
pub async fn run(settings: &Settings, started: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let node = Node::start(settings)?;
    started(node.address());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    node.drain().await
}

/// The servers, and where they listen: that for clients first.
fn serve(settings: &Settings, parts: &Parts) -> anyhow::Result<(Vec<SocketAddr>, Vec<Server>)> {
    let is_internal_apart = settings.internal_port.is_some();
    let client_parts = parts.clone();
    let clients = HttpServer::new(move || {
        let Parts {
            rest,
            health,
            endpoint,
            origins,
            metrics,
            dev_tokens,
        } = client_parts.clone();
        let is_dev = dev_tokens.is_some();
        App::new()
            .app_data(rest)
            .app_data(health)
            .app_data(origins)
            .app_data(metrics)
            .configure(|cfg| engineio::configure(cfg, engineio::PREFIX, endpoint))
            .service(web::scope("").wrap(from_fn(error::json_errors)).configure(|cfg| {
                if !is_internal_apart {
                    health::configure(cfg);
                }
                if let Some(tokens) = dev_tokens {
                    dev::configure(cfg, tokens);
                }
                rest::configure(cfg);
            }))
            .wrap(from_fn(cors::cors))
            .wrap(Condition::new(is_dev, from_fn(dev::guard)))
            .wrap(from_fn(count::responses))
    })
    .workers(settings.workers)
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(REQUEST_HEAD_TIMEOUT)
    .h1_allow_half_closed(false)
    .disable_signals()
    .bind((settings.bind, settings.port))
    .with_context(|| format!("cannot listen on {}:{}", settings.bind, settings.port))?;
    let mut addresses = clients.addrs();
    let mut servers = vec![clients.run()];
    if let Some(port) = settings.internal_port {
        let health = parts.health.clone();
        let internal = HttpServer::new(move || {
            App::new()
                .app_data(health.clone())
                .wrap(from_fn(error::json_errors))
                .configure(health::configure)
        })
        .workers(1)
        .disable_signals()
        .bind((settings.bind, port))
        .with_context(|| format!("cannot listen on {}:{port}", settings.bind))?;
        addresses.extend(internal.addrs());
        servers.push(internal.run());
    }
    Ok((addresses, servers))
}

/// What is done now and then: old notifications deleted, the key set looked at, limiters cleared of who has been
/// quiet.
fn spawn_housekeeping(
    settings: &Settings,
    tasks: &TaskTracker,
    stopping: &CancellationToken,
    services: Arc<Services>,
    limits: Arc<Limits>,
    jwks: Option<Arc<Jwks>>,
) {
    if let Some(jwks) = jwks {
        let stopping = stopping.clone();
        tasks.spawn(async move { stopping.run_until_cancelled(jwks.keep_fresh()).await });
    }
    let days = settings.notification_days;
    if days > 0 {
        let stopping = stopping.clone();
        tasks.spawn(async move {
            let mut due = tokio::time::interval(CLEANUP_INTERVAL);
            while stopping.run_until_cancelled(due.tick()).await.is_some() {
                match services.notifications.clean_up(days).await {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "old notifications deleted"),
                    Err(problem) => tracing::warn!(%problem, "old notifications not deleted"),
                }
            }
        });
    }
    let stopping = stopping.clone();
    tasks.spawn(async move {
        let mut due = tokio::time::interval(SWEEP_INTERVAL);
        while stopping.run_until_cancelled(due.tick()).await.is_some() {
            limits.sweep();
        }
    });
}

/// What the other parts have counted, for a scrape.
fn totals(counters: &Counters, limits: &Limits, readiness: &Readiness) -> Totals {
    Totals {
        connections: counters.live(),
        opened: [Transport::Polling, Transport::WebSocket]
            .map(|transport| (transport.as_str(), counters.opened_by(transport)))
            .to_vec(),
        closed: counters
            .closed_by_reason()
            .map(|(reason, count)| (reason.as_str(), count))
            .collect(),
        upgraded: counters.upgraded(),
        delivered: counters.delivered(),
        dropped: counters.dropped(),
        rate_limited: limits
            .refused()
            .map(|(limit, count)| (limit.as_str(), count))
            .collect(),
        ready: readiness.stage() == Stage::Ready,
    }
}
