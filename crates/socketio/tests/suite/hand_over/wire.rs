//! Two nodes in one process that see all broadcasts in one order, each in its own time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::{Broadcast, Offset},
    id::Room,
};
use carillon_socketio::{Config, Departure, Handshake, Leaving, Owner, Session, SessionBrief, SessionExport};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot},
    time::sleep,
};

use crate::{
    application::{App, TestSocket, place},
    recorder::{get, post},
    transport::{self, Client},
};

/// A place in the order of broadcasts.
enum Item {
    Broadcast(Arc<Broadcast>, Offset),
    Fence(Box<dyn FnOnce() + Send>),
}

/// A session is polling on `x`, and its WebSocket comes to `y`.
pub(crate) struct Nodes {
    pub(crate) x: App,
    pub(crate) y: App,
    orders: [mpsc::Sender<Item>; 2],
    count: Mutex<u64>,
}

/// A node that takes its time: so many milliseconds before each place in the order, over and over.
fn follow(node: &App, lags: Vec<u64>) -> mpsc::Sender<Item> {
    let (sender, mut order) = mpsc::channel(4_096);
    let hub = Arc::clone(&node.hub);
    node.tasks.spawn(async move {
        let mut lags = lags.into_iter().cycle();
        while let Some(item) = order.recv().await {
            sleep(Duration::from_millis(lags.next().unwrap_or(0))).await;
            match item {
                Item::Broadcast(broadcast, offset) => _ = hub.deliver(&broadcast, Some(offset)),
                Item::Fence(pass) => pass(),
            }
        }
    });
    sender
}

impl Nodes {
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        Self::lagging(config, Vec::new(), Vec::new())
    }

    pub(crate) fn lagging(config: &Config, x_lags: Vec<u64>, y_lags: Vec<u64>) -> Arc<Self> {
        let (x, y) = (App::new(config.clone()), App::new(config.clone()));
        let orders = [follow(&x, x_lags), follow(&y, y_lags)];
        let count = Mutex::new(0);
        Arc::new(Self { x, y, orders, count })
    }

    /// Gives a broadcast its place, numbered from 1 on.
    pub(crate) fn publish(&self, broadcast: Broadcast) {
        let mut count = self.count.lock();
        *count += 1;
        let (broadcast, offset) = (Arc::new(broadcast), place(*count));
        for order in &self.orders {
            let item = Item::Broadcast(Arc::clone(&broadcast), offset);
            order.try_send(item).ok().unwrap();
        }
    }

    /// Gives a fence its place; `x` and `y` pass it in their own time.
    fn fence(&self, x: Box<dyn FnOnce() + Send>, y: Box<dyn FnOnce() + Send>) {
        let _one_order = self.count.lock();
        let [x_order, y_order] = &self.orders;
        x_order.try_send(Item::Fence(x)).ok().unwrap();
        y_order.try_send(Item::Fence(y)).ok().unwrap();
    }

    /// A session on `x` that has joined nothing.
    pub(crate) fn open(&self) -> Arc<Session> {
        let open = self.x.engine.open_polling(Handshake {
            address: "203.0.113.7".into(),
            headers: vec![("authorization".into(), "secret".into())],
            place: None,
        });
        self.x.engine.session(open.split('"').nth(3).unwrap()).unwrap()
    }

    /// A session on `x` that has joined `/`.
    pub(crate) async fn join(&self, auth: &str) -> (Arc<Session>, TestSocket) {
        let session = self.open();
        assert!(post(&session, &format!("40{auth}")).await);
        let socket = self.x.joined(&get(&session).await);
        (session, socket)
    }

    /// A WebSocket comes to `y` with the sid of `session`.
    pub(crate) fn websocket(self: &Arc<Self>, session: &Session, wire: &Arc<Wire>) -> Client {
        let (client, reader, sink) = transport::pair(4_096);
        let (engine, owner) = (Arc::clone(&self.y.engine), Arc::clone(wire));
        let sid = session.sid().clone();
        let running = async move { engine.run_arrival(sid, None, owner, reader, sink).await };
        self.y.tasks.spawn(running);
        client
    }

    /// Whether nothing of any session is left on either node but for the word that it moved.
    pub(crate) fn are_empty(&self) -> bool {
        [&self.x, &self.y]
            .iter()
            .all(|node| node.engine.counters().live() == 0 && node.hub.rooms("/").is_empty())
    }
}

/// What goes wrong on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The owner says after a while that it is over.
    GoneAfterProbe,
    /// The owner has no brief: it was not asked.
    NoBrief,
    /// The owner built a brief, which did not come.
    BriefLost,
    /// The subscriptions were not confirmed.
    Unattended,
    /// What was exported did not come.
    ExportLost,
    /// The fence was never seen on this node.
    NoFence,
}

/// The way from `y` to `x`.
pub(crate) struct Wire {
    nodes: Arc<Nodes>,
    sid: ByteString,
    latency: Duration,
    fault: Option<Fault>,
    /// The step that waits for [`Wire::release`].
    held: Option<&'static str>,
    steps: Mutex<Vec<&'static str>>,
    changed: Notify,
    released: Semaphore,
    leaving: Mutex<Option<Arc<Leaving>>>,
    departure: Mutex<Option<Arc<Departure>>>,
    pub(crate) attended: Mutex<Vec<(ByteString, Room)>>,
}

impl Wire {
    pub(crate) fn new(nodes: &Arc<Nodes>, session: &Session) -> Arc<Self> {
        Arc::new(Self::between(nodes, session))
    }

    pub(crate) fn slow(nodes: &Arc<Nodes>, session: &Session, latency: Duration) -> Arc<Self> {
        Arc::new(Self {
            latency,
            ..Self::between(nodes, session)
        })
    }

    pub(crate) fn faulty(nodes: &Arc<Nodes>, session: &Session, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            fault: Some(fault),
            ..Self::between(nodes, session)
        })
    }

    /// Stops before `step` until released.
    pub(crate) fn held(nodes: &Arc<Nodes>, session: &Session, step: &'static str) -> Arc<Self> {
        Arc::new(Self {
            held: Some(step),
            ..Self::between(nodes, session)
        })
    }

    fn between(nodes: &Arc<Nodes>, session: &Session) -> Self {
        Self {
            nodes: Arc::clone(nodes),
            sid: session.sid().clone(),
            latency: Duration::ZERO,
            fault: None,
            held: None,
            steps: Mutex::default(),
            changed: Notify::new(),
            released: Semaphore::new(0),
            leaving: Mutex::default(),
            departure: Mutex::default(),
            attended: Mutex::default(),
        }
    }

    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }

    pub(crate) fn steps(&self) -> Vec<&'static str> {
        self.steps.lock().clone()
    }

    /// Waits until a step has begun.
    pub(crate) async fn wait(&self, step: &str) {
        loop {
            let changed = self.changed.notified();
            if self.steps.lock().contains(&step) {
                return;
            }
            changed.await;
        }
    }

    async fn step(&self, step: &'static str) {
        self.steps.lock().push(step);
        self.changed.notify_waiters();
        sleep(self.latency).await;
        if self.held == Some(step) {
            self.released.acquire().await.unwrap().forget();
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

#[async_trait]
impl Owner for Wire {
    async fn probe(&self) -> bool {
        self.step("probe").await;
        let Some(session) = self.nodes.x.engine.session(&self.sid) else {
            return false;
        };
        let leaving = session.probe_elsewhere().map(Arc::new);
        let accepted = leaving.is_some();
        *self.leaving.lock() = leaving;
        sleep(self.latency).await;
        accepted
    }

    async fn gone(&self) {
        if self.has(Fault::GoneAfterProbe) {
            return sleep(Duration::from_millis(50)).await;
        }
        let leaving = self.leaving.lock().clone();
        match leaving {
            Some(leaving) => leaving.ended().await,
            None => std::future::pending().await,
        }
    }

    async fn brief(&self) -> Option<SessionBrief> {
        self.step("brief").await;
        let leaving = self.leaving.lock().take()?;
        if self.has(Fault::NoBrief) {
            return None;
        }
        let departure = Arc::new(leaving.upgrade().await?);
        let brief = departure.brief().to_bytes();
        *self.departure.lock() = Some(departure);
        sleep(self.latency).await;
        let no_headers = !brief.windows(6).any(|bytes| bytes == b"secret");
        assert!(no_headers, "a brief has no headers");
        SessionBrief::from_bytes(&brief).filter(|_| !self.has(Fault::BriefLost))
    }

    async fn attend(&self, rooms: &[(ByteString, Room)]) -> bool {
        self.step("attend").await;
        *self.attended.lock() = rooms.to_vec();
        !self.has(Fault::Unattended)
    }

    async fn export(&self, at_fence: Box<dyn FnOnce() + Send>) -> Option<SessionExport> {
        self.step("export").await;
        let departure = self.departure.lock().clone()?;
        let (sender, exported) = oneshot::channel();
        let on_x = move || {
            let _waits = sender.send(departure.export().map(|export| export.to_bytes()));
        };
        let on_y: Box<dyn FnOnce() + Send> = if self.has(Fault::NoFence) {
            Box::new(|| {})
        } else {
            at_fence
        };
        self.nodes.fence(Box::new(on_x), on_y);
        let export = exported.await.ok()??;
        sleep(self.latency).await;
        if self.has(Fault::ExportLost) {
            return None;
        }
        Some(SessionExport::from_bytes(&export).unwrap())
    }

    async fn arrived(&self) {
        self.step("arrived").await;
        self.departure.lock().take().unwrap().departed();
    }

    async fn lost(&self) {
        self.step("lost").await;
        self.leaving.lock().take();
        if let Some(departure) = self.departure.lock().take() {
            departure.abandon();
        }
    }
}
