//! The HTTP servers of a node: that for clients, that for health and metrics where it is apart, and the one that answers
//! while the node waits for what it depends on.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
    http::KeepAlive,
    middleware::{Condition, from_fn},
    web,
};
use anyhow::Context as _;
use carillon_protocol::problem::Code;
use tokio::net::TcpSocket;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    capacity::Capacity,
    http::{
        client::Proxies,
        console::{self, Console},
        cors,
        dev::{self, DevTokens},
        engineio::{self, Endpoint},
        error::{self, ApiError},
        health::{self, Health},
        measure,
        openapi::{self, Published},
        origin::Origins,
        rest::{self, Rest},
        server,
    },
    settings::Settings,
    telemetry::{Metrics, Runtimes},
};

/// How long a server takes to accept no more.
const PAUSING: Duration = Duration::from_millis(100);
/// How long one that accepts no more has to answer what it has accepted.
const RELIEF: Duration = Duration::from_secs(10);
/// How many connections may wait to be accepted; actix' own default.
const BACKLOG: u32 = 2_048;
/// How many connections the port of health and metrics takes, of the files that clients leave.
const INTERNAL_CONNECTIONS: usize = 64;

/// The parts that requests of clients are served with; shared by all workers.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) rest: web::Data<Rest>,
    pub(super) health: web::Data<Health>,
    pub(super) endpoint: web::Data<Endpoint>,
    pub(super) origins: web::Data<Origins>,
    pub(super) proxies: web::Data<Proxies>,
    pub(super) metrics: web::Data<Metrics>,
    pub(super) runtimes: Arc<Runtimes>,
    pub(super) dev_tokens: Option<web::Data<DevTokens>>,
    pub(super) description: web::Data<Published>,
    pub(super) console: Option<web::Data<Console>>,
}

/// The ports of a node, taken before anything else is begun.
#[derive(Debug)]
pub(super) struct Listeners {
    clients: TcpListener,
    internal: Option<TcpListener>,
}

impl Listeners {
    /// # Errors
    /// Where a port is taken.
    pub(super) fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let bind = |port| {
            listen(settings.bind, port).with_context(|| format!("cannot listen on {}:{port}", settings.bind))
        };
        Ok(Self {
            clients: bind(settings.port)?,
            internal: settings.internal_port.map(bind).transpose()?,
        })
    }

    /// Where clients are served.
    pub(super) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.clients.local_addr()?)
    }

    /// Serves health and metrics on their own port, if they have one.
    pub(super) fn serve_internal(&self, health: &web::Data<Health>) -> anyhow::Result<Option<Server>> {
        let Some(listener) = &self.internal else {
            return Ok(None);
        };
        let health = health.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(health.clone())
                .wrap(from_fn(error::json_errors))
                .configure(health::configure)
        })
        .workers(1)
        .max_connections(INTERNAL_CONNECTIONS)
        .disable_signals()
        .listen(listener.try_clone()?)?;
        Ok(Some(server.run()))
    }

    /// Answers on the clients' port while the node waits for its servers: health, where it belongs there, and a refusal that
    /// is worth a retry. Connections are not kept, so that the next request finds the node.
    pub(super) fn serve_waiting(
        &self,
        capacity: &Capacity,
        health: &web::Data<Health>,
        origins: &web::Data<Origins>,
    ) -> anyhow::Result<Server> {
        let (health, origins) = (health.clone(), origins.clone());
        let is_internal_apart = self.internal.is_some();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(health.clone())
                .app_data(origins.clone())
                .configure(|cfg| {
                    if !is_internal_apart {
                        health::configure(cfg);
                    }
                    cfg.default_service(web::to(starting));
                })
                .wrap(from_fn(error::json_errors))
                .wrap(from_fn(cors::cors))
        })
        .workers(1)
        .max_connections(capacity.sockets_of_each(1))
        .keep_alive(KeepAlive::Disabled)
        .disable_signals()
        .listen(self.clients.try_clone()?)?;
        Ok(server.run())
    }

    /// Serves clients.
    pub(super) fn serve_clients(
        self,
        settings: &Settings,
        capacity: &Capacity,
        parts: Parts,
    ) -> anyhow::Result<Server> {
        let is_internal_apart = self.internal.is_some();
        let workers = settings.workers;
        // With more, whoever comes waits: no file is missing then where the node itself needs one.
        let sockets = capacity.sockets_of_each(workers);
        let server = server::serve(self.clients, workers, sockets, move || {
            let Parts {
                rest,
                health,
                endpoint,
                origins,
                proxies,
                metrics,
                runtimes,
                dev_tokens,
                description,
                console,
            } = parts.clone();
            // This runs once on each thread that serves.
            runtimes.watch_this_thread();
            let is_dev = dev_tokens.is_some();
            App::new()
                .app_data(rest)
                .app_data(health)
                .app_data(origins)
                .app_data(proxies)
                .app_data(metrics)
                .configure(|cfg| engineio::configure(cfg, engineio::PREFIX, endpoint))
                .service(web::scope("").wrap(from_fn(error::json_errors)).configure(|cfg| {
                    if !is_internal_apart {
                        health::configure(cfg);
                    }
                    if let Some(tokens) = dev_tokens {
                        dev::configure(cfg, tokens);
                    }
                    openapi::configure(cfg, description);
                    if let Some(console) = console {
                        console::configure(cfg, console);
                    }
                    rest::configure(cfg);
                }))
                .wrap(from_fn(cors::cors))
                .wrap(Condition::new(is_dev, from_fn(dev::guard)))
                .wrap(from_fn(measure::requests))
        })?;
        Ok(server)
    }
}

/// Has `tasks` run a server.
pub(super) fn spawn(server: Server, tasks: &TaskTracker) -> ServerHandle {
    let handle = server.handle();
    tasks.spawn(server);
    handle
}

/// Ends a server whose port another serves by now: it accepts no more when this returns. A graceful stop drops what has been
/// accepted and not been begun, so that comes later, or when the node is `stopping`.
pub(super) async fn relieve(server: ServerHandle, tasks: &TaskTracker, stopping: CancellationToken) {
    server.pause().await;
    // It is told, and says nothing of when it has done so.
    tokio::time::sleep(PAUSING).await;
    tasks.spawn(async move {
        stopping.run_until_cancelled(tokio::time::sleep(RELIEF)).await;
        server.stop(true).await;
    });
}

async fn starting() -> Result<web::Bytes, ApiError> {
    Err(ApiError::new(Code::Unavailable, "The node is starting"))
}

fn listen(address: IpAddr, port: u16) -> std::io::Result<TcpListener> {
    let socket = match address {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind((address, port).into())?;
    socket.listen(BACKLOG)?.into_std()
}
