//! The composition root: a node is put together here, served, and taken down in order.

mod backends;
mod frame;
mod housekeeping;
mod servers;
mod states;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{dev::ServerHandle, web};
use anyhow::Context as _;
use carillon_socketio::{CloseReason, Engine};
use carillon_store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::TaskTracker;

use crate::{
    cluster::forwarding::Forwarding,
    http::{
        console::Console, dev::DevTokens, engineio::Endpoint, health::Stage, openapi::Published, rest::Rest,
    },
    services::Services,
    settings::Settings,
    telemetry::{MeteredStore, ProcessCounts},
};
use backends::Joint;
pub(crate) use backends::{database_path, redis_options};
use frame::{Frame, Service};
use housekeeping::Housekeeping;
use servers::{Listeners, Parts};

/// How long a node that drains is seen not to be ready before it sends its clients away.
const DRAIN_NOTICE: Duration = Duration::from_millis(250);
/// How long a node that drains takes to tell the others what they have not heard yet.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long the end of each connection takes, where there is time for all of them: other nodes take so many clients with ease.
const DRAIN_PACE: Duration = Duration::from_millis(4);
/// How long the server of health and metrics is waited for at the very end.
const LAST_SERVER_TIMEOUT: Duration = Duration::from_secs(1);

/// How a node came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to stop, and has sent its clients away and made everything durable.
    Drained,
    /// It was told a second time, and ended at once.
    Cut {
        /// The number of the second signal.
        signal: u8,
    },
}

/// A node that serves.
pub struct Node {
    frame: Frame,
    services: Arc<Services>,
    store: Arc<dyn Store>,
    joint: Joint,
    engine: Arc<Engine>,
    forwarding: Arc<Forwarding>,
    clients: ServerHandle,
    /// Of health and metrics, where they are apart: it ends last.
    internal: Option<ServerHandle>,
    last: TaskTracker,
    address: SocketAddr,
    drain_window: Duration,
    drain_timeout: Duration,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Puts a node together and begins to serve. `listening` is told the address, before the servers that the node depends
    /// on are waited for; while it waits it is alive and not ready.
    ///
    /// # Errors
    /// Where the store cannot be opened, a port is taken, or the built-in cryptography does not work.
    pub async fn start(
        settings: &Settings,
        counts: &Arc<ProcessCounts>,
        listening: impl FnOnce(SocketAddr),
    ) -> anyhow::Result<Self> {
        let frame = Frame::new(settings, counts)?;
        let health = web::Data::new(frame.health());
        let origins = web::Data::new(settings.origins.clone());
        let listeners = Listeners::bind(settings)?;
        let address = listeners.address()?;
        let internal = listeners.serve_internal(&health)?;
        let last = TaskTracker::new();
        let internal = internal.map(|server| servers::spawn(server, &last));

        let waiting = if backends::is_self_contained(settings) {
            None
        } else {
            let server = listeners.serve_waiting(&frame.capacity, &health, &origins)?;
            Some(servers::spawn(server, &frame.tasks))
        };
        let mut listening = Some(listening);
        if waiting.is_some()
            && let Some(listening) = listening.take()
        {
            listening(address);
        }
        backends::await_keys(&frame.verifier).await;
        frame.states.has_keys();
        let store = backends::open_store(settings).await?;
        let store: Arc<dyn Store> = Arc::new(MeteredStore::new(store, frame.metrics.store.clone()));
        frame.states.has_store();
        let joint = Joint::open(settings).await;
        let service = frame.assemble(settings, &store, &joint).await;

        let Service {
            services,
            engine,
            forwarding,
            hand_over,
        } = service;
        let parts = Parts {
            rest: web::Data::new(Rest {
                services: Arc::clone(&services),
                verifier: frame.verifier.clone(),
                limits: frame.limits.clone(),
                development: settings.shows_details(),
            }),
            health,
            endpoint: web::Data::new(Endpoint {
                engine: Arc::clone(&engine),
                origins: settings.origins.clone(),
                readiness: Arc::clone(&frame.readiness),
                limits: Arc::clone(&frame.limits),
                forwarding: Arc::clone(&forwarding),
                hand_over,
            }),
            origins,
            proxies: web::Data::new(settings.trusted_proxies.clone()),
            metrics: web::Data::from(Arc::clone(&frame.metrics)),
            runtimes: Arc::clone(&frame.runtimes),
            dev_tokens: settings
                .dev
                .then(|| web::Data::new(DevTokens::new(settings.auth.clone(), Arc::clone(&frame.clock)))),
            // The page of the routes is offered where the console is.
            description: web::Data::new(Published::new(settings.dev, settings.console)?),
            console: settings
                .console
                .then(|| web::Data::new(Console::new(settings, address))),
        };
        let clients = listeners.serve_clients(settings, &frame.capacity, parts)?;
        let clients = servers::spawn(clients, &frame.tasks);
        if let Some(waiting) = waiting {
            servers::relieve(waiting, &frame.tasks, frame.stopping.clone()).await;
        }
        let housekeeping = Housekeeping {
            services: Arc::clone(&services),
            limits: Arc::clone(&frame.limits),
            jwks: frame.verifier.jwks().cloned(),
            store: Arc::clone(&store),
            states: Arc::clone(&frame.states),
        };
        housekeeping.spawn(settings, &frame.tasks, &frame.stopping);
        frame.readiness.advance(Stage::Ready);
        tracing::info!(%address, "ready");
        if let Some(listening) = listening {
            listening(address);
        }
        Ok(Self {
            frame,
            services,
            store,
            joint,
            engine,
            forwarding,
            clients,
            internal,
            last,
            address,
            drain_window: settings.drain_window,
            drain_timeout: settings.drain_timeout,
        })
    }

    /// Where clients are served.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes the node down: no new clients, transports closed (their clients go elsewhere and come back), the cluster left,
    /// what is accepted made durable.
    ///
    /// # Errors
    /// Where the store cannot be flushed.
    pub async fn drain(self) -> anyhow::Result<()> {
        let connections = self.engine.counters().live();
        let window = self
            .drain_window
            .min(DRAIN_PACE.saturating_mul(u32::try_from(connections).unwrap_or(u32::MAX)));
        tracing::info!(connections, ?window, "draining");
        let Frame {
            readiness,
            sessions,
            tasks,
            stopping,
            left,
            metrics,
            ..
        } = self.frame;
        readiness.advance(Stage::Draining);
        stopping.cancel();
        self.services.presence.drain();
        let gone = async {
            if connections > 0 {
                // Who asks whether the node is ready learns that it is not before its clients come back.
                tokio::time::sleep(DRAIN_NOTICE).await;
            }
            self.engine.close_over(window, CloseReason::ServerShutdown).await;
            sessions.close();
            sessions.wait().await;
        };
        if tokio::time::timeout(self.drain_timeout, gone).await.is_err() {
            let left = sessions.len();
            self.engine.close_all(CloseReason::ServerShutdown);
            metrics.drain_forced(left);
            tracing::warn!(left, "not every client took its leave in time");
        }
        self.forwarding.let_go().await;
        if tokio::time::timeout(LAST_WORDS, self.services.announce_rest())
            .await
            .is_err()
        {
            tracing::warn!("not everything was told to the other nodes");
        }
        self.joint.leave().await;
        left.cancel();
        self.clients.stop(true).await;
        tasks.close();
        if tokio::time::timeout(self.drain_timeout, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(tasks = tasks.len(), "not every task ended in time");
        }
        let flushed = self.store.flush().await.context("the store cannot be flushed");
        if let Some(internal) = &self.internal {
            internal.stop(true).await;
            self.last.close();
            let _late = tokio::time::timeout(LAST_SERVER_TIMEOUT, self.last.wait()).await;
        }
        flushed?;
        tracing::info!("drained");
        Ok(())
    }
}

/// Serves until SIGTERM or SIGINT, then drains, and ends at once at the second. `listening` is told the address.
///
/// # Errors
/// Those of [`Node::start`] and [`Node::drain`].
pub async fn run(
    settings: &Settings,
    counts: &Arc<ProcessCounts>,
    listening: impl FnOnce(SocketAddr),
) -> anyhow::Result<End> {
    let mut signals = Signals::new()?;
    let node = tokio::select! {
        node = Node::start(settings, counts, listening) => node?,
        // It has no client and nothing that is not durable.
        _ = signals.next() => return Ok(End::Drained),
    };
    signals.next().await;
    tokio::select! {
        drained = node.drain() => drained.map(|()| End::Drained),
        signal = signals.next() => {
            tracing::warn!("told to stop a second time: the node ends at once");
            Ok(End::Cut { signal })
        }
    }
}

/// What tells a node to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The number of the next one.
    async fn next(&mut self) -> u8 {
        let kind = tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        };
        u8::try_from(kind.as_raw_value()).unwrap_or_default()
    }
}
