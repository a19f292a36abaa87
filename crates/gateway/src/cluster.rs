//! The one place where the hub and the backplane meet: what comes from the backplane goes to this node's sockets, and the
//! backplane learns which rooms have sockets here.

mod catch_up;
pub mod forwarding;
#[cfg(feature = "fuzzing")]
mod fuzzing;
pub mod hand_over;
pub(crate) mod message;
pub mod own_sockets;
pub(crate) mod supersede;
#[cfg(test)]
pub(crate) mod testing;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use carillon_backplane::{Asked, Backplane, Inbound, Measure, NodeTag, Place, Selection, SocketSummary};
use carillon_protocol::{
    adapter::Broadcast,
    id::{Room, UserId},
    presence::Status,
    value::{Object, Value},
};
use carillon_socketio::{Hub, RoomWatch, Socket, Summary};
use tokio_util::task::TaskTracker;

use self::{
    forwarding::Forwarding,
    hand_over::HandOver,
    message::Subject,
    own_sockets::selected,
    supersede::{Old, Question},
};
use crate::{
    services::Services,
    sockets::{Delivery, NAMESPACE, Peer, Sockets},
};

pub use catch_up::CatchUp;
#[cfg(feature = "fuzzing")]
pub use fuzzing::fuzz_node_question;

/// This node's receiving side.
pub struct Receiver {
    /// This node's sockets.
    pub hub: Arc<Hub<Peer>>,
    /// The way to them.
    pub delivery: Arc<Delivery>,
    /// What is kept of them.
    pub sockets: Arc<Sockets>,
    /// Use cases.
    pub services: Arc<Services>,
    /// What the sockets missed while the other nodes were out of reach; `None` on a node that is alone.
    pub catch_up: Option<Arc<CatchUp>>,
    /// Requests of clients for sessions of this node that came to another one.
    pub forwarding: Arc<Forwarding>,
    /// Sessions that go to another node.
    pub hand_over: Arc<HandOver>,
    /// Owns what is not waited for.
    pub tasks: TaskTracker,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Inbound for Receiver {
    fn deliver(&self, broadcast: &Broadcast, place: Place) {
        let offset = match (&self.catch_up, place) {
            (Some(catch_up), place) => return catch_up.deliver(broadcast, place),
            (None, Place::At(offset)) => Some(offset),
            (None, Place::Unlogged | Place::Unkept) => None,
        };
        self.delivery.deliver(broadcast, offset);
    }

    fn ask(&self, broadcast: &Broadcast, timeout: Duration) -> Asked {
        own_sockets::ask(&self.hub, &self.tasks, broadcast, timeout)
    }

    fn sockets(&self, selection: &Selection) -> Vec<SocketSummary> {
        let summaries = self.hub.summaries(selected(selection));
        summaries.into_iter().map(summary).collect()
    }

    fn rooms(&self, nsp: &str) -> Vec<Room> {
        self.hub.rooms(nsp)
    }

    fn join(&self, selection: &Selection, rooms: &[Room]) {
        self.keep(self.hub.join_all(selected(selection), rooms));
    }

    fn leave(&self, selection: &Selection, rooms: &[Room]) {
        self.keep(self.hub.leave_all(selected(selection), rooms));
    }

    fn disconnect(&self, selection: &Selection, close: bool) {
        self.hub.disconnect(selected(selection), close);
    }

    /// No event of another server means anything here.
    fn server_event(&self, _nsp: &str, _args: &[Value]) -> Value {
        Value::Null
    }

    fn presence_changed(&self, changes: Vec<(UserId, Status)>) {
        self.services.presence.changed_elsewhere(&changes);
    }

    fn interrupted(&self, unsure: Duration) {
        if let Some(catch_up) = &self.catch_up {
            catch_up.interrupted(unsure);
        }
    }

    fn resumed(&self) {
        if let Some(catch_up) = &self.catch_up {
            catch_up.resumed();
        }
    }

    fn fence(&self, id: &str) {
        self.hand_over.fence(id);
    }

    fn measured(&self, measure: Measure) {
        let Delivery { metrics, clock, .. } = &*self.delivery;
        match measure {
            Measure::Probe(round_trip) => metrics.cluster.probed(round_trip),
            Measure::Lag(lag) => metrics.cluster.lagged(lag),
            Measure::Clock { millis, ago } => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                let shared = millis.saturating_add(ago);
                metrics
                    .cluster
                    .clock_is_ahead(clock.now().as_millis().saturating_sub(shared));
            }
            Measure::Sweep => metrics.cluster.swept(clock.now().as_millis()),
        }
    }

    async fn request(&self, from: NodeTag, body: Bytes) -> Bytes {
        match message::open(&body) {
            Some((Subject::Forward, payload)) => self.forwarding.answer(from, payload).await,
            Some((Subject::HandOver, payload)) => self.hand_over.answer(from, payload).await,
            Some((Subject::Supersede, payload)) => self.supersede(&payload).await,
            None => Bytes::new(),
        }
    }
}

impl Receiver {
    /// The client of a session that this node has, or had, came back on another node.
    async fn supersede(&self, payload: &[u8]) -> Bytes {
        let Some(question) = Question::read(payload) else {
            return Bytes::new();
        };
        let old = self.sockets.end_old(&question).await;
        if old == Old::Ended {
            self.sockets.backplane.handed_over(&question.pid);
        }
        old.answer()
    }

    /// Keeps the records of sockets whose rooms another server has changed.
    fn keep(&self, sockets: Vec<Arc<Socket<Peer>>>) {
        if sockets.is_empty() {
            return;
        }
        let keeper = Arc::clone(&self.sockets);
        self.tasks.spawn(async move {
            for socket in sockets {
                keeper.keep(&socket).await;
            }
        });
    }
}

/// Tells a cluster's backplane which rooms have sockets here.
pub struct Watch {
    /// It subscribes to them.
    pub backplane: Arc<dyn Backplane>,
    /// It catches up on what is missed in them.
    pub catch_up: Arc<CatchUp>,
}

impl RoomWatch for Watch {
    fn occupied(&self, nsp: &str, room: &Room) {
        if nsp == NAMESPACE {
            self.backplane.occupied(room);
            self.catch_up.occupied(room);
        }
    }

    fn vacated(&self, nsp: &str, room: &Room) {
        if nsp == NAMESPACE {
            self.backplane.vacated(room);
            self.catch_up.vacated(room);
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

fn summary(of: Summary<Peer>) -> SocketSummary {
    let Summary { socket, rooms } = of;
    let peer = socket.data();
    SocketSummary {
        id: socket.id().clone(),
        rooms,
        data: Value::Object(Object::with_capacity(1).with("userId", peer.user())),
        address: socket.session().handshake().address.as_str().into(),
        issued: peer.connected_at().as_millis(),
    }
}
