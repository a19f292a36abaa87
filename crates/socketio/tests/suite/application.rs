//! Socket.IO with an application that does what a client's `auth` and events ask for, and records what it is told.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::{Broadcast, Epoch, Offset},
    id::Room,
    value::Value,
};
use carillon_socketio::{
    Admission, Arriving, Config, ConnectRequest, Counters, DisconnectReason, Engine, Handler, Handshake, Hub,
    MissedEvent, RecoveryState, Refusal, Session, Socket, SocketIo,
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore},
    time::sleep,
};
use tokio_util::task::TaskTracker;

use crate::{
    recorder,
    transport::{self, Client},
};

pub(crate) type TestSocket = Arc<Socket<Value>>;

/// Serves `/` and `/chat`.
///
/// `auth`: `refuse` (a message), `rooms` (names), `recoverable` (a bool).
/// A socket with `stays` does not move to another node, one with `unwelcome` may not come.
/// Events: `echo` answers its arguments; `join` and `leave` take a room; `emit` sends its arguments back as an event;
/// `slow` takes so many milliseconds.
pub(crate) struct TestApp {
    hub: Arc<Hub<Value>>,
    log: Mutex<Vec<String>>,
    changed: Notify,
    next_pid: AtomicUsize,
    /// Socket ids of the sessions that may be resumed, by private id. Each is taken once.
    pub(crate) lost: Mutex<HashMap<ByteString, ByteString>>,
    /// What the next resumed session missed; `None`: nobody knows.
    pub(crate) missed: Mutex<Option<Vec<MissedEvent>>>,
    /// The reading of what was missed waits for a permit.
    pub(crate) reading: Semaphore,
}

impl TestApp {
    fn record(&self, entry: String) {
        self.log.lock().push(entry);
        self.changed.notify_waiters();
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    /// Waits until this was recorded.
    pub(crate) async fn wait(&self, entry: &str) {
        loop {
            let changed = self.changed.notified();
            if self.log().iter().any(|known| known == entry) {
                return;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Handler<Value> for TestApp {
    fn serves(&self, nsp: &str) -> bool {
        matches!(nsp, "/" | "/chat")
    }

    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission<Value>, Refusal> {
        let ConnectRequest { auth, resume, .. } = request;
        if let Some(message) = auth.get("refuse").and_then(Value::as_text) {
            return Err(Refusal {
                message: (**message).to_owned(),
                data: auth.get("data").cloned(),
            });
        }
        let rooms = match auth.get("rooms") {
            Some(Value::Array(rooms)) => rooms
                .iter()
                .filter_map(Value::as_text)
                .map(|name| room(name))
                .collect(),
            _ => Vec::new(),
        };
        let resumed = resume.and_then(|resume| {
            let socket_id = self.lost.lock().remove(resume.pid)?;
            Some(RecoveryState {
                pid: resume.pid.into(),
                offset: resume.offset,
                resumed_socket: Some(socket_id),
            })
        });
        self.record(format!("connect resume={}", resume.is_some()));
        let recovery = resumed.or_else(|| {
            auth.get("recoverable")?;
            let number = self.next_pid.fetch_add(1, Ordering::Relaxed);
            Some(RecoveryState {
                pid: format!("pid{number}").into(),
                offset: place(0),
                resumed_socket: None,
            })
        });
        Ok(Admission {
            data: auth.clone(),
            rooms,
            recovery,
        })
    }

    async fn missed(&self, _socket: &TestSocket, offset: Offset) -> Option<Vec<MissedEvent>> {
        self.record(format!("missed since {offset}"));
        let _permit = self.reading.acquire().await.unwrap();
        self.missed.lock().take()
    }

    async fn given_up(&self, socket: &TestSocket) {
        self.record(format!("given up {}", socket.nsp()));
    }

    async fn connected(&self, socket: &TestSocket) {
        self.record(format!("connected {}", socket.nsp()));
    }

    async fn event(&self, socket: &TestSocket, args: Vec<Value>) -> Vec<Value> {
        let name = args
            .first()
            .and_then(Value::as_text)
            .map(ToString::to_string)
            .unwrap_or_default();
        let rest = args.get(1..).unwrap_or_default();
        let first = rest
            .first()
            .and_then(Value::as_text)
            .map(ToString::to_string)
            .unwrap_or_default();
        match name.as_str() {
            "join" => self.hub.join(socket, room(&first)),
            "leave" => self.hub.leave(socket, &room(&first)),
            "emit" => drop(socket.emit(rest)),
            "slow" => sleep(Duration::from_millis(first.parse().unwrap())).await,
            _ => {}
        }
        self.record(format!("event {name}"));
        rest.to_vec()
    }

    async fn disconnected(&self, socket: &TestSocket, reason: DisconnectReason) {
        assert!(
            self.hub.rooms_of(socket).is_empty(),
            "a socket that is gone is in no room"
        );
        self.record(format!("disconnected {}: {}", socket.nsp(), reason.as_str()));
    }

    fn depart(&self, socket: &TestSocket) -> Option<Value> {
        socket
            .data()
            .get("stays")
            .is_none()
            .then(|| socket.data().clone())
    }

    fn arrive(&self, arriving: Arriving<'_>) -> Option<Value> {
        self.record(format!("arrive {} {}", arriving.nsp, arriving.handshake.address));
        let welcome = arriving.data.get("unwelcome").is_none();
        welcome.then_some(arriving.data)
    }

    async fn arrived(&self, socket: &TestSocket) {
        self.record(format!("arrived {}", socket.nsp()));
    }

    async fn handed_over(&self, socket: &TestSocket) {
        assert!(
            self.hub.rooms_of(socket).is_empty(),
            "a socket that is gone is in no room"
        );
        self.record(format!("handed over {}", socket.nsp()));
    }
}

pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) hub: Arc<Hub<Value>>,
    pub(crate) handler: Arc<TestApp>,
    pub(crate) tasks: TaskTracker,
}

impl App {
    pub(crate) fn new(config: Config) -> Self {
        Self::counted(config, Counters::default())
    }

    pub(crate) fn counted(config: Config, counters: Counters) -> Self {
        let counters = Arc::new(counters);
        let hub = Arc::new(Hub::new(Arc::clone(&counters)));
        let handler = Arc::new(TestApp {
            hub: Arc::clone(&hub),
            log: Mutex::default(),
            changed: Notify::new(),
            next_pid: AtomicUsize::new(0),
            lost: Mutex::default(),
            missed: Mutex::new(Some(Vec::new())),
            reading: Semaphore::new(100),
        });
        let tasks = TaskTracker::new();
        let socket_io = Arc::new(SocketIo::new(
            Arc::clone(&hub),
            Arc::clone(&handler) as Arc<dyn Handler<Value>>,
        ));
        let engine = Arc::new(Engine::new(config, socket_io, counters, tasks.clone()));
        Self {
            engine,
            hub,
            handler,
            tasks,
        }
    }

    pub(crate) fn quiet() -> Self {
        Self::new(recorder::quiet())
    }

    /// A client that has joined nothing.
    pub(crate) async fn open(&self) -> (Client, Arc<Session>) {
        self.open_with(Handshake::default()).await
    }

    /// The same, opened with this.
    pub(crate) async fn open_with(&self, handshake: Handshake) -> (Client, Arc<Session>) {
        let (mut client, reader, sink) = transport::pair(2_048);
        let (engine, link) = (Arc::clone(&self.engine), self.engine.open_websocket(handshake));
        self.tasks
            .spawn(async move { engine.run(link, reader, sink).await });
        let open = client.text().await;
        let session = self.engine.session(open.split('"').nth(3).unwrap()).unwrap();
        (client, session)
    }

    /// A client that has joined `/` with this `auth`.
    pub(crate) async fn join(&self, auth: &str) -> (Client, TestSocket) {
        let (mut client, _session) = self.open().await;
        client.send(&format!("40{auth}")).await;
        let socket = self.joined(&client.packet().await);
        (client, socket)
    }

    /// The socket of this confirmation of the namespace `/`.
    pub(crate) fn joined(&self, confirmation: &str) -> TestSocket {
        let sid = confirmation
            .strip_prefix("40{\"sid\":\"")
            .expect(confirmation)
            .split('"')
            .next()
            .unwrap();
        self.hub.find("/", sid).unwrap()
    }
}

pub(crate) fn room(name: &str) -> Room {
    Room::new(name)
}

pub(crate) fn rooms(names: &[&str]) -> Vec<Room> {
    names.iter().map(|name| room(name)).collect()
}

/// An event without arguments, for some rooms of `/`.
pub(crate) fn broadcast(name: &'static str, to: &[&str], except: &[&str]) -> Broadcast {
    Broadcast {
        nsp: "/".into(),
        event: vec![Value::from(name)],
        rooms: rooms(to),
        except: rooms(except),
        volatile: false,
    }
}

/// A place in the log of the tests.
pub(crate) fn place(number: u64) -> Offset {
    Offset::new(Epoch::parse("k3Zp09aQ").unwrap(), number).unwrap()
}

/// An event in the log.
pub(crate) fn missed(name: &'static str, number: u64) -> MissedEvent {
    MissedEvent {
        tracked: None,
        broadcast: Arc::new(broadcast(name, &[], &[])),
        offset: place(number),
    }
}
