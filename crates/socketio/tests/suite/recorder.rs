//! An engine whose sessions record what they are given.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    engine::{Frame, Message},
    socket::Frames,
};
use carillon_socketio::{
    Acceptor, Application, CloseReason, Config, Counters, Engine, Handshake, Sent, Session, WebSocketLink,
};
use parking_lot::Mutex;
use tokio::{sync::Notify, task::JoinHandle, time::sleep};
use tokio_util::task::TaskTracker;

use crate::transport::{self, Client};

/// What a session's application was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Text(String),
    Binary(Vec<u8>),
    Closed(CloseReason),
}

/// The one application of each session; the log is shared by all of them.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: Mutex<Vec<Entry>>,
    sessions: Mutex<Vec<Weak<Session>>>,
    changed: Notify,
    /// How long a message takes.
    delay: Duration,
}

impl Log {
    fn push(&self, entry: Entry) {
        self.entries.lock().push(entry);
        self.changed.notify_waiters();
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().clone()
    }

    /// Waits until there are so many entries; answers with them.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Entry> {
        loop {
            let changed = self.changed.notified();
            let entries = self.entries();
            if entries.len() >= count {
                return entries;
            }
            changed.await;
        }
    }

    /// Waits until the end of a session was told; answers with the entries by then.
    pub(crate) async fn wait_for_end(&self) -> Vec<Entry> {
        loop {
            let changed = self.changed.notified();
            if self.ends() > 0 {
                return self.entries();
            }
            changed.await;
        }
    }

    /// How often a session's end was told.
    pub(crate) fn ends(&self) -> usize {
        self.entries
            .lock()
            .iter()
            .filter(|entry| matches!(entry, Entry::Closed(_)))
            .count()
    }

    /// How many of the sessions are still in memory.
    pub(crate) fn in_memory(&self) -> usize {
        self.sessions
            .lock()
            .iter()
            .filter(|session| session.strong_count() > 0)
            .count()
    }
}

struct Recorder(Arc<Log>);

impl Acceptor for Recorder {
    fn accept(&self, session: &Arc<Session>) -> Box<dyn Application> {
        self.0.sessions.lock().push(Arc::downgrade(session));
        Box::new(Recording(Arc::clone(&self.0)))
    }
}

struct Recording(Arc<Log>);

#[async_trait]
impl Application for Recording {
    async fn message(&mut self, message: Message) {
        sleep(self.0.delay).await;
        self.0.push(match message {
            Message::Text(text) => Entry::Text(text.to_string()),
            Message::Binary(bytes) => Entry::Binary(bytes.to_vec()),
        });
    }

    async fn closed(&mut self, reason: CloseReason) {
        self.0.push(Entry::Closed(reason));
    }
}

/// A server of such sessions.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) engine: Arc<Engine>,
    pub(crate) log: Arc<Log>,
    pub(crate) tasks: TaskTracker,
}

/// Pings every 300 ms, pongs within 200 ms, no connect timeout.
pub(crate) fn config() -> Config {
    Config {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        upgrade_timeout: Duration::from_millis(1_000),
        connect_timeout: None,
        ..Config::default()
    }
}

/// As [`config`], but without pings for as long as a test lasts.
pub(crate) fn quiet() -> Config {
    Config {
        ping_interval: Duration::from_secs(3_600),
        ..config()
    }
}

impl Server {
    pub(crate) fn new(config: Config) -> Self {
        Self::slow(config, Duration::ZERO)
    }

    /// Each message takes `delay` in the application.
    pub(crate) fn slow(config: Config, delay: Duration) -> Self {
        let log = Arc::new(Log {
            delay,
            ..Log::default()
        });
        let tasks = TaskTracker::new();
        let recorder = Arc::new(Recorder(Arc::clone(&log)));
        let engine = Arc::new(Engine::new(
            config,
            recorder,
            Arc::new(Counters::default()),
            tasks.clone(),
        ));
        Self { engine, log, tasks }
    }

    pub(crate) fn open_polling(&self) -> Arc<Session> {
        let open = self.engine.open_polling(Handshake::default());
        let sid = open.split('"').nth(3).unwrap();
        self.engine.session(sid).unwrap()
    }

    /// Opens a WebSocket session whose client has read the open packet and has room for `capacity` frames.
    pub(crate) async fn open_websocket(&self, capacity: usize) -> (Arc<Session>, Client, JoinHandle<()>) {
        let (mut client, task) = self.run(self.engine.open_websocket(Handshake::default()), capacity);
        let open = client.text().await;
        let sid = open.split('"').nth(3).unwrap();
        (self.engine.session(sid).unwrap(), client, task)
    }

    /// A WebSocket with the sid of `session`.
    pub(crate) fn probe(&self, session: &Arc<Session>) -> (Client, JoinHandle<()>) {
        self.run(self.engine.upgrade(session), 1_024)
    }

    pub(crate) fn run(&self, link: WebSocketLink, capacity: usize) -> (Client, JoinHandle<()>) {
        let (client, reader, sink) = transport::pair(capacity);
        let engine = Arc::clone(&self.engine);
        let task = self
            .tasks
            .spawn(async move { engine.run(link, reader, sink).await });
        (client, task)
    }

    /// Whether nothing of any session is left: not in the engine, not in memory, not among the tasks.
    pub(crate) fn is_empty(&self) -> bool {
        self.engine.counters().live() == 0 && self.log.in_memory() == 0 && self.tasks.is_empty()
    }
}

pub(crate) fn text(text: &str) -> Entry {
    Entry::Text(text.to_owned())
}

/// A packet of one text frame.
pub(crate) fn packet(text: &str) -> Frames {
    [Frame::Text(text.into())].into_iter().collect()
}

/// Sends packets until one is not taken; answers how many were.
pub(crate) fn fill(session: &Session, volatile: bool) -> (usize, Sent) {
    for count in 0..10_000 {
        match session.send(packet(&format!("4{count}")), volatile) {
            Sent::Queued => {}
            sent => return (count, sent),
        }
    }
    panic!("the queue has no bound");
}

pub(crate) async fn post(session: &Arc<Session>, body: &str) -> bool {
    session.post().unwrap().receive(body.into()).await.is_ok()
}

pub(crate) async fn get(session: &Arc<Session>) -> ByteString {
    session.poll().unwrap().payload().await.unwrap()
}
