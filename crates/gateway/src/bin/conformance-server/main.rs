//! The server that the official protocol test suites ask for, on the crates that the gateway is built on: Engine.IO that
//! echoes at `/engine.io/`, Socket.IO with the suites' events at `/socket.io/`. Loopback only; for tests.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, web};
use async_trait::async_trait;
use carillon_backplane::local::{LocalBackplane, LogBounds};
use carillon_gateway::{
    cluster::{forwarding::Forwarding, hand_over::HandOver},
    gaps::Gaps,
    http::{
        engineio::{self, Endpoint},
        health::{Readiness, Stage},
        origin::Origins,
    },
    limits::RequestQuota,
};
use carillon_protocol::{
    engine::{Frame, Message},
    id::UserId,
    value::{Object, Value},
};
use carillon_socketio::{
    Acceptor, Admission, Application, CloseReason, Config, ConnectRequest, Counters, DisconnectReason,
    Engine, Handler, Hub, MissedEvent, Refusal, Session, Socket, SocketIo,
};
use clap::Parser;
use tokio_util::task::TaskTracker;

/// Serves the official Engine.IO and Socket.IO protocol test suites on 127.0.0.1.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port to listen on.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

/// The suites open sessions as fast as they like.
struct Unlimited;

impl RequestQuota for Unlimited {
    fn request(&self, _address: std::net::IpAddr) -> Result<(), u64> {
        Ok(())
    }

    fn session_request(&self, _user: &UserId) -> Result<(), u64> {
        Ok(())
    }
}

/// Sends every message back.
struct Echo;

impl Acceptor for Echo {
    fn accept(&self, session: &Arc<Session>) -> Box<dyn Application> {
        Box::new(EchoSession(Arc::clone(session)))
    }
}

struct EchoSession(Arc<Session>);

#[async_trait]
impl Application for EchoSession {
    async fn message(&mut self, message: Message) {
        let frame = match message {
            Message::Text(text) => Frame::Text(format!("4{text}").into()),
            Message::Binary(bytes) => Frame::Binary(bytes),
        };
        self.0.send([frame].into_iter().collect(), false);
    }

    async fn closed(&mut self, _reason: CloseReason) {}
}

/// The events of the Socket.IO suite. A socket keeps the `auth` it came with.
struct Suite;

#[async_trait]
impl Handler<Value> for Suite {
    fn serves(&self, nsp: &str) -> bool {
        matches!(nsp, "/" | "/custom")
    }

    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission<Value>, Refusal> {
        let data = match request.auth {
            Value::Null => Value::Object(Object::new()),
            auth => auth.clone(),
        };
        Ok(Admission {
            data,
            rooms: Vec::new(),
            recovery: None,
        })
    }

    async fn missed(&self, _socket: &Arc<Socket<Value>>, _offset: &str) -> Option<Vec<MissedEvent>> {
        None
    }

    async fn connected(&self, socket: &Arc<Socket<Value>>) {
        socket.emit(&[Value::from("auth"), socket.data().clone()]);
    }

    async fn event(&self, socket: &Arc<Socket<Value>>, mut args: Vec<Value>) -> Vec<Value> {
        let name = std::mem::replace(
            args.first_mut().unwrap_or(&mut Value::Null),
            Value::from("message-back"),
        );
        if name == Value::from("message") {
            socket.emit(&args);
        }
        args.into_iter().skip(1).collect()
    }

    async fn disconnected(&self, _socket: &Arc<Socket<Value>>, _reason: DisconnectReason) {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let Arguments { port } = Arguments::parse();
    let config = Config {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        connect_timeout: Some(Duration::from_secs(1)),
        ..Config::default()
    };
    let counters = Arc::new(Counters::default());
    let suite = Arc::new(SocketIo::new(
        Arc::new(Hub::new(Arc::clone(&counters))),
        Arc::new(Suite),
    ));
    let echo_config = Config {
        connect_timeout: None,
        ..config.clone()
    };
    let readiness = Arc::new(Readiness::default());
    readiness.advance(Stage::Ready);
    let endpoint = |config, acceptor| {
        let tasks = TaskTracker::new();
        let engine = Engine::new(config, acceptor, Arc::clone(&counters), tasks.clone());
        let (engine, quota) = (Arc::new(engine), Arc::new(Unlimited));
        let alone = LocalBackplane::new("conformance", Duration::ZERO, LogBounds::default());
        let alone = Arc::new(alone);
        web::Data::new(Endpoint {
            forwarding: Arc::new(Forwarding::new(engine.clone(), alone.clone(), quota.clone())),
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
            quota,
        })
    };
    let (engine_io, socket_io) = (endpoint(echo_config, Arc::new(Echo)), endpoint(config, suite));
    HttpServer::new(move || {
        App::new()
            .configure(|cfg| engineio::configure(cfg, "/engine.io/", engine_io.clone()))
            .configure(|cfg| engineio::configure(cfg, engineio::PREFIX, socket_io.clone()))
    })
    .workers(1)
    .h1_allow_half_closed(false)
    .bind((Ipv4Addr::LOCALHOST, port))?
    .run()
    .await
}
