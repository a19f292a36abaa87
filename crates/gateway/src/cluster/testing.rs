//! Nodes in one process, with ways between them that can be cut: for tests.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use bytestring::ByteString;
use carillon_backplane::{Fanout, NodeTag, Placement, RouteError, Routing, Unavailable};
use carillon_protocol::{
    adapter::{Broadcast, Offset},
    id::{Room, UserId},
    value::Value,
};
use carillon_socketio::{
    Admission, Arriving, Config, ConnectRequest, Counters, DisconnectReason, Engine, Handler, Handshake, Hub,
    Ids, MissedEvent, Refusal, Socket, SocketIo, random_id,
};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    forwarding::Forwarding,
    hand_over::HandOver,
    message::{self, Subject},
};
use crate::{gaps::Gaps, limits::RequestQuota};

/// The room of every socket of the test application.
pub(crate) const ROOM: &str = "everybody";
/// Polls and posts that the user of every session may make.
pub(crate) const QUOTA: usize = 100;

/// What joins the nodes.
#[derive(Default)]
pub(crate) struct Wires {
    nodes: Mutex<HashMap<NodeTag, Arc<TestNode>>>,
    dead: Mutex<HashMap<NodeTag, CancellationToken>>,
    /// Held while an event or a fence goes to all: one order for every node.
    order: Mutex<()>,
    pub(crate) questions: AtomicUsize,
    pub(crate) are_cut: AtomicBool,
    /// What is asked arrives nowhere.
    pub(crate) are_silent: AtomicBool,
    pub(crate) lose_fences: AtomicBool,
    pub(crate) have_no_fences: AtomicBool,
}

/// A node.
pub(crate) struct TestNode {
    pub(crate) engine: Arc<Engine>,
    pub(crate) hub: Arc<Hub<()>>,
    pub(crate) forwarding: Arc<Forwarding>,
    pub(crate) hand_over: Arc<HandOver>,
    pub(crate) app: Arc<App>,
    pub(crate) counted: Arc<Counted>,
    pub(crate) gaps: Gaps,
}

/// The way from one node to the others.
struct Way {
    tag: NodeTag,
    wires: Arc<Wires>,
}

/// The application: acknowledges every event, tells everybody in the room.
#[derive(Default)]
pub(crate) struct App {
    pub(crate) events: Mutex<Vec<String>>,
    pub(crate) ends: Mutex<Vec<&'static str>>,
}

/// Counts polls and posts.
#[derive(Default)]
pub(crate) struct Counted(AtomicUsize);

impl Wires {
    pub(crate) fn node(self: &Arc<Self>, tag: &'static str, config: Config) -> Arc<TestNode> {
        let way = Arc::new(Way {
            tag: tag.into(),
            wires: Arc::clone(self),
        });
        let counters = Arc::new(Counters::default());
        let (hub, app) = (
            Arc::new(Hub::new(Arc::clone(&counters))),
            Arc::new(App::default()),
        );
        let socket_io = Arc::new(SocketIo::new(Arc::clone(&hub), app.clone()));
        let (tasks, gaps) = (TaskTracker::new(), Gaps::default());
        let engine = Engine::new(config, socket_io, counters, tasks.clone()).with_ids(way.clone());
        let (engine, counted) = (Arc::new(engine), Arc::new(Counted::default()));
        let node = Arc::new(TestNode {
            forwarding: Arc::new(Forwarding::new(Arc::clone(&engine), way.clone(), counted.clone())),
            hand_over: Arc::new(HandOver::new(
                Arc::clone(&engine),
                way.clone(),
                way,
                gaps.clone(),
                tasks,
            )),
            engine,
            hub,
            app,
            counted,
            gaps,
        });
        self.nodes.lock().insert(tag.into(), Arc::clone(&node));
        self.dead.lock().insert(tag.into(), CancellationToken::new());
        node
    }

    /// A node is gone, and with it what it was asked and what it asked.
    pub(crate) fn kill(&self, tag: &str) {
        self.nodes.lock().remove(tag);
        if let Some(dead) = self.dead.lock().get(tag) {
            dead.cancel();
        }
    }

    /// Gives an event to the room of all sockets, on every node at one place in the order.
    pub(crate) fn publish(&self, event: &str) {
        let broadcast = Broadcast {
            nsp: "/".into(),
            event: vec![Value::from(event.to_owned())],
            rooms: vec![Room::new(ROOM)],
            except: vec![],
            volatile: false,
        };
        let _order = self.order.lock();
        let nodes: Vec<_> = self.nodes.lock().values().cloned().collect();
        for node in nodes {
            node.hub.deliver(&broadcast, None);
        }
    }

    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }

    fn dead(&self, tag: &str) -> CancellationToken {
        self.dead.lock().get(tag).cloned().unwrap()
    }
}

impl TestNode {
    /// Opens a session by polling, joins the namespace, takes the confirmation; answers with the sid.
    pub(crate) async fn open(&self) -> ByteString {
        let open = self.engine.open_polling(Handshake::default());
        let sid = ByteString::from(open.split('"').nth(3).unwrap());
        let session = self.engine.session(&sid).unwrap();
        session.set_owner("ann".into());
        session.post().unwrap().receive("40".into()).await.unwrap();
        let joined = session.poll().unwrap().payload().await.unwrap();
        assert!(joined.starts_with("40{"), "{joined}");
        sid
    }

    async fn answer(&self, from: NodeTag, body: &Bytes) -> Bytes {
        match message::open(body) {
            Some((Subject::Forward, question)) => self.forwarding.answer(from, question).await,
            Some((Subject::HandOver, question)) => self.hand_over.answer(from, question).await,
            _ => Bytes::new(),
        }
    }
}

impl Counted {
    pub(crate) fn requests(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl RequestQuota for Counted {
    fn request(&self, _address: std::net::IpAddr) -> Result<(), u64> {
        Ok(())
    }

    fn session_request(&self, _user: &UserId) -> Result<(), u64> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        if before < QUOTA { Ok(()) } else { Err(7) }
    }
}

impl Ids for Way {
    fn new_sid(&self) -> ByteString {
        format!("{}_{}", self.tag, random_id()).into()
    }

    fn new_socket_id(&self) -> ByteString {
        random_id()
    }
}

#[async_trait]
impl Routing for Way {
    fn tag(&self) -> &NodeTag {
        &self.tag
    }

    fn new_sid(&self) -> ByteString {
        Ids::new_sid(self)
    }

    fn new_socket_id(&self) -> ByteString {
        Ids::new_socket_id(self)
    }

    fn node_of(&self, sid: &str) -> Option<NodeTag> {
        let (tag, _) = sid.split_once('_')?;
        self.wires.dead.lock().contains_key(tag).then(|| tag.into())
    }

    fn is_alive(&self, node: &str) -> bool {
        self.wires.nodes.lock().contains_key(node)
    }

    async fn request(&self, node: &NodeTag, body: Bytes, timeout: Duration) -> Result<Bytes, RouteError> {
        self.wires.questions.fetch_add(1, Ordering::Relaxed);
        if self.wires.are_cut.load(Ordering::Relaxed) {
            return Err(RouteError::Unreachable);
        }
        let (here, there) = (self.wires.dead(&self.tag), self.wires.dead(node));
        let asked = self
            .wires
            .nodes
            .lock()
            .get(node)
            .cloned()
            .ok_or(RouteError::Gone)?;
        tokio::select! {
            biased;
            () = here.cancelled() => Err(RouteError::Gone),
            () = there.cancelled() => Err(RouteError::Gone),
            answer = asked.answer(self.tag.clone(), &body), if !self.wires.are_silent.load(Ordering::Relaxed) => Ok(answer),
            () = tokio::time::sleep(timeout) => Err(RouteError::Timeout),
        }
    }

    fn has_fences(&self) -> bool {
        !self.wires.have_no_fences.load(Ordering::Relaxed)
    }

    async fn fence(&self, node: &NodeTag, id: &str) -> carillon_backplane::Result<()> {
        if self.wires.are_cut.load(Ordering::Relaxed) {
            return Err(Unavailable {
                reason: "cut".to_owned(),
            });
        }
        if self.wires.lose_fences.load(Ordering::Relaxed) {
            return Ok(());
        }
        let _order = self.wires.order.lock();
        for tag in [&self.tag, node] {
            let node = self.wires.nodes.lock().get(tag).cloned();
            if let Some(node) = node {
                node.hand_over.fence(id);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Fanout for Way {
    async fn publish(&self, _broadcast: Broadcast) -> carillon_backplane::Result<Placement> {
        Ok(Placement::Placed)
    }

    async fn publish_in_order(
        &self,
        _chat: &str,
        _seq: u64,
        _broadcasts: Vec<Broadcast>,
    ) -> carillon_backplane::Result<Placement> {
        Ok(Placement::Placed)
    }

    async fn settle_order(&self, _chat: &str, _published: u64) -> carillon_backplane::Result<()> {
        Ok(())
    }

    async fn order(&self, _chat: &str) -> carillon_backplane::Result<Option<u64>> {
        Ok(None)
    }

    async fn forget_order(&self, _chat: &str, _published: u64) -> carillon_backplane::Result<()> {
        Ok(())
    }

    fn occupied(&self, _room: &Room) {}

    fn vacated(&self, _room: &Room) {}

    async fn attend(&self, _rooms: &[Room]) -> carillon_backplane::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Handler<()> for App {
    fn serves(&self, _nsp: &str) -> bool {
        true
    }

    async fn connect(&self, _request: ConnectRequest<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission {
            data: (),
            rooms: vec![Room::new(ROOM)],
            recovery: None,
        })
    }

    async fn missed(&self, _socket: &Arc<Socket<()>>, _offset: Offset) -> Option<Vec<MissedEvent>> {
        None
    }

    async fn connected(&self, _socket: &Arc<Socket<()>>) {}

    async fn event(&self, _socket: &Arc<Socket<()>>, args: Vec<Value>) -> Vec<Value> {
        let name = args.first().and_then(Value::as_text);
        self.events.lock().extend(name.map(|name| name.to_string()));
        args
    }

    async fn disconnected(&self, _socket: &Arc<Socket<()>>, _reason: DisconnectReason) {
        self.ends.lock().push("disconnected");
    }

    fn depart(&self, _socket: &Arc<Socket<()>>) -> Option<Value> {
        Some(Value::Null)
    }

    fn arrive(&self, _arriving: Arriving<'_>) -> Option<()> {
        Some(())
    }

    async fn handed_over(&self, _socket: &Arc<Socket<()>>) {
        self.ends.lock().push("handed over");
    }
}
