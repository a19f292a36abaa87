//! The HTTP server for clients: what actix-web's own is, over connections that a WebSocket can be taken out of.

use std::{fmt, io, net::TcpListener, time::Duration};

use actix_http::{HttpService, KeepAlive, Request, Response};
use actix_server::ServerBuilder;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, map_config,
};
use actix_web::{
    body::MessageBody,
    dev::{AppConfig, Server},
    error::{DispatchError, Error},
    rt::net::TcpStream,
};

use super::connection::{Connection, Held, REQUEST_HEAD_TIMEOUT};

/// Longer than the idle time of any usual balancer, so that none of them finds a connection closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long what a client still sends is read after the last response; actix-web's own default.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long idle connections are waited for at the end, in seconds.
const SHUTDOWN_SECONDS: u64 = 1;

/// Serves on a listener what `application` makes, which is called once on each of the threads that serve, `workers` of them.
/// A thread that has `connections`, WebSockets among them, and one more lets whoever comes wait.
///
/// # Errors
/// Where the listener cannot be used.
pub fn serve<F, I, S, B>(
    listener: TcpListener,
    workers: usize,
    connections: usize,
    application: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let builder = ServerBuilder::default();
    let stopping = builder.graceful_shutdown_signal();
    let server = builder
        .workers(workers)
        .max_concurrent_connections(connections)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .listen("clients", listener, move || {
            let stopping = stopping.clone();
            let application = application()
                .into_factory()
                .map_err(|error| Response::from(error.into().error_response()));
            let application = apply_fn_factory(application, |request: Request, application| {
                let connection = request.conn_data::<Held>().cloned();
                connection.iter().for_each(Held::asked);
                let answering = application.call(request);
                async move {
                    let answer = answering.await;
                    connection.iter().for_each(Held::answering);
                    answer
                }
            });
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
                .client_request_timeout(REQUEST_HEAD_TIMEOUT)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                .h1_allow_half_closed(false)
                .on_connect_ext(Connection::introduce)
                .h1(map_config(application, |()| AppConfig::default()));
            apply_fn_factory(http, |stream: TcpStream, http| {
                let address = stream.peer_addr().ok();
                let (connection, ended) = Connection::new(stream);
                let served = Box::pin(http.call((connection, address)));
                async move {
                    served.await?;
                    // A WebSocket goes on without its dispatcher.
                    let Err(_ended) = ended.await;
                    Ok::<_, DispatchError>(())
                }
            })
        })?;
    Ok(server.run())
}
