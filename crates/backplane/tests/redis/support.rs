//! Nodes for tests: a backplane each, and a receiving side that writes down what it is told.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use carillon_backplane::{
    Announcement, Asked, Backplane as _, Fanout as _, Inbound, NodeTag, Place, Presence as _, Routing as _,
    Selection, SocketSummary,
    redis::{RedisBackplane, RedisOptions},
};
use carillon_protocol::{
    adapter::{Broadcast, Offset},
    id::{Room, UserId},
    presence::Status,
    time::Timestamp,
    value::Value,
};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::server::RedisServer;

/// A fact that has not come about by then never will.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a node was told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    Event { name: String, offset: Option<Offset> },
    Fence(String),
    Presence(UserId, Status),
    Interrupted(Duration),
    Resumed,
    Joined(Vec<Room>),
    Left(Vec<Room>),
    Disconnected(bool),
    ServerEvent(Vec<Value>),
    Request(NodeTag, Bytes),
}

/// How a node answers requests of other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// With the same bytes.
    Echo,
    /// Never.
    Silent,
}

/// The receiving side of a node.
#[derive(Debug)]
pub(crate) struct Recorder {
    told: watch::Sender<Vec<Told>>,
    /// The sockets that it says it has.
    pub(crate) sockets: Mutex<Vec<SocketSummary>>,
    pub(crate) manner: Mutex<Manner>,
    /// Requests that were dropped before they were answered.
    pub(crate) dropped: watch::Sender<usize>,
    /// The names of events that are no node's of Carillon, or volatile.
    pub(crate) unkept: Mutex<Vec<String>>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            told: watch::Sender::new(Vec::new()),
            sockets: Mutex::default(),
            manner: Mutex::new(Manner::Echo),
            dropped: watch::Sender::new(0),
            unkept: Mutex::default(),
        }
    }

    fn write(&self, told: Told) {
        self.told.send_modify(|all| all.push(told));
    }

    /// What it was told so far.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.borrow().clone()
    }

    /// Waits for a fact about what it was told.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&[Told]) -> bool) {
        let mut told = self.told.subscribe();
        let waited = timeout(PATIENCE, told.wait_for(|told| is_so(told))).await;
        assert!(waited.is_ok(), "{what} did not come about: {:#?}", self.told());
    }

    /// The events that came, with their offsets.
    pub(crate) fn events(&self) -> Vec<(String, Option<Offset>)> {
        let told = self.told();
        told.into_iter()
            .filter_map(|told| match told {
                Told::Event { name, offset } => Some((name, offset)),
                _ => None,
            })
            .collect()
    }

    /// The names of the events that came.
    pub(crate) fn names(&self) -> Vec<String> {
        self.events().into_iter().map(|(name, _)| name).collect()
    }

    /// Waits for an event.
    pub(crate) async fn has(&self, event: &str) {
        self.until(event, |told| {
            told.iter()
                .any(|told| matches!(told, Told::Event { name, .. } if name == event))
        })
        .await;
    }

    /// Waits until it was told something.
    pub(crate) async fn was_told(&self, expected: &Told) {
        self.until(&format!("{expected:?}"), |told| told.contains(expected))
            .await;
    }

    /// Waits until it was told that the other nodes are out of reach.
    pub(crate) async fn was_interrupted(&self) {
        let is_interruption = |told: &Told| matches!(told, Told::Interrupted(_));
        self.until("interruption", |told| told.iter().any(is_interruption))
            .await;
    }
}

struct CountDrop(watch::Sender<usize>, bool);

impl Drop for CountDrop {
    fn drop(&mut self) {
        if !self.1 {
            self.0.send_modify(|dropped| *dropped += 1);
        }
    }
}

#[async_trait]
impl Inbound for Recorder {
    fn deliver(&self, broadcast: &Broadcast, place: Place) {
        let name = broadcast.event[0].as_text().unwrap().to_string();
        let offset = match place {
            Place::At(offset) => Some(offset),
            Place::Unlogged | Place::Unkept => None,
        };
        if place == Place::Unkept {
            self.unkept.lock().push(name.clone());
        }
        self.write(Told::Event { name, offset });
    }

    fn ask(&self, _broadcast: &Broadcast, _timeout: Duration) -> Asked {
        let sockets = self.sockets.lock().clone();
        let (sender, answers) = mpsc::channel(16);
        for socket in &sockets {
            sender.try_send(Value::String(socket.id.clone())).unwrap();
        }
        Asked {
            sockets: sockets.len(),
            answers,
        }
    }

    fn sockets(&self, selection: &Selection) -> Vec<SocketSummary> {
        let is_meant = |socket: &SocketSummary| {
            let is_in = |room: &Room| socket.rooms.contains(room) || room.as_str() == &*socket.id;
            (selection.rooms.is_empty() || selection.rooms.iter().any(is_in))
                && !selection.except.iter().any(is_in)
        };
        let sockets = self.sockets.lock();
        sockets
            .iter()
            .filter(|socket| is_meant(socket))
            .cloned()
            .collect()
    }

    fn rooms(&self, _nsp: &str) -> Vec<Room> {
        let sockets = self.sockets.lock();
        sockets.iter().flat_map(|socket| socket.rooms.clone()).collect()
    }

    fn join(&self, _selection: &Selection, rooms: &[Room]) {
        self.write(Told::Joined(rooms.to_vec()));
    }

    fn leave(&self, _selection: &Selection, rooms: &[Room]) {
        self.write(Told::Left(rooms.to_vec()));
    }

    fn disconnect(&self, _selection: &Selection, close: bool) {
        self.write(Told::Disconnected(close));
    }

    fn server_event(&self, _nsp: &str, args: &[Value]) -> Value {
        self.write(Told::ServerEvent(args.to_vec()));
        Value::from("pong")
    }

    fn presence_changed(&self, changes: Vec<(UserId, Status)>) {
        for (user, status) in changes {
            self.write(Told::Presence(user, status));
        }
    }

    fn interrupted(&self, unsure: Duration) {
        self.write(Told::Interrupted(unsure));
    }

    fn resumed(&self) {
        self.write(Told::Resumed);
    }

    fn fence(&self, id: &str) {
        self.write(Told::Fence(id.to_owned()));
    }

    async fn request(&self, from: NodeTag, body: Bytes) -> Bytes {
        self.write(Told::Request(from, body.clone()));
        let mut guard = CountDrop(self.dropped.clone(), false);
        let manner = *self.manner.lock();
        if manner == Manner::Silent {
            std::future::pending::<()>().await;
        }
        guard.1 = true;
        body
    }
}

/// A node; it ends with the value.
pub(crate) struct Node {
    pub(crate) backplane: Arc<RedisBackplane>,
    pub(crate) recorder: Arc<Recorder>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Node {
    /// A node of the cluster on `server`.
    pub(crate) async fn start(server: &RedisServer) -> Self {
        Self::start_with(options(server)).await
    }

    /// The same, with settings.
    pub(crate) async fn start_with(options: RedisOptions) -> Self {
        let node = Self {
            backplane: RedisBackplane::connect(options).await.unwrap(),
            recorder: Arc::new(Recorder::new()),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        let inbound = Arc::clone(&node.recorder);
        node.backplane
            .start(inbound, &node.tasks, node.stopping.clone())
            .await
            .unwrap();
        node
    }

    /// Puts a first socket into rooms.
    pub(crate) async fn occupy(&self, rooms: &[&'static str]) {
        let rooms: Vec<Room> = rooms.iter().map(|room| Room::new(*room)).collect();
        for room in &rooms {
            self.backplane.occupied(room);
        }
        self.backplane.attend(&rooms).await.unwrap();
    }

    /// Ends it as SIGKILL would: nothing is given back.
    pub(crate) async fn die(self) {
        self.stopping.cancel();
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait()).await.expect("its tasks end");
    }

    /// Waits until its link is up, or down.
    pub(crate) async fn until_up(&self, is_up: bool) {
        let is_so = async || self.backplane.health().is_up == is_up;
        eventually(&format!("that its link is up, {is_up},"), is_so).await;
    }

    /// Waits until it knows of so many nodes.
    pub(crate) async fn until_nodes(&self, nodes: usize) {
        let is_so = async || self.backplane.health().nodes == nodes;
        eventually(&format!("that it knows of {nodes} nodes"), is_so).await;
    }

    pub(crate) fn tag(&self) -> &NodeTag {
        self.backplane.tag()
    }

    /// A connection of `user`, announced where it is to be. Answers whether it was.
    pub(crate) async fn comes(&self, user: &UserId, at: Timestamp) -> bool {
        let is_news = self.backplane.connect(user, at).await.unwrap();
        is_news && self.announce(user, Status::Online).await
    }

    /// Announces a change to nobody in particular. Answers whether that was to be done.
    pub(crate) async fn announce(&self, user: &UserId, status: Status) -> bool {
        let announced = self
            .backplane
            .announce(vec![announcement(user, status, None)])
            .await;
        announced.unwrap() == [true]
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

/// Judges how long something takes, which each try says of itself, by the quickest of five: a busy machine makes everything
/// later.
pub(crate) async fn assert_within(limit: Duration, mut attempt: impl AsyncFnMut(usize) -> Duration) {
    let mut quickest = Duration::MAX;
    for number in 0..5 {
        quickest = quickest.min(attempt(number).await);
        if quickest <= limit {
            return;
        }
    }
    panic!("{quickest:?} at best, where it may take {limit:?}");
}

/// What comes of work that waits for nothing.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("it waits for something")
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("{what} did not come about"));
}

pub(crate) fn options(server: &RedisServer) -> RedisOptions {
    RedisOptions {
        url: server.url(),
        ..RedisOptions::default()
    }
}

/// A change, and what is told of it.
pub(crate) fn announcement(user: &UserId, status: Status, event: Option<Broadcast>) -> Announcement {
    Announcement {
        user: user.clone(),
        status,
        event,
    }
}

/// An event to rooms, kept.
pub(crate) fn event(name: &str, rooms: &[&'static str]) -> Broadcast {
    Broadcast {
        nsp: "/".into(),
        event: vec![Value::from(name.to_owned()), Value::from(1_i64)],
        rooms: rooms.iter().map(|room| Room::new(*room)).collect(),
        except: Vec::new(),
        volatile: false,
    }
}

/// An event to rooms, volatile.
pub(crate) fn volatile(name: &str, rooms: &[&'static str]) -> Broadcast {
    Broadcast {
        volatile: true,
        ..event(name, rooms)
    }
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id.to_owned()).unwrap()
}
