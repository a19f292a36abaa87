//! What comes from the other servers of the cluster.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use carillon_backplane::{Asked, Inbound, NodeTag, Place, Selection, SocketSummary};
use carillon_gateway::cluster::own_sockets::{self, selected};
use carillon_protocol::{
    adapter::Broadcast,
    id::{Room, UserId},
    presence::Status,
    value::Value,
};
use carillon_socketio::{Hub, Summary};
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

/// Most events of other servers that are remembered.
const MAX_HEARD: usize = 1_000;

/// Events of other servers for this one, the latest.
#[derive(Debug, Default)]
pub(crate) struct HeardEvents(Mutex<VecDeque<Value>>);

impl HeardEvents {
    fn push(&self, event: &[Value]) {
        let mut heard = self.0.lock();
        if heard.len() == MAX_HEARD {
            heard.pop_front();
        }
        heard.push_back(Value::Array(event.to_vec()));
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> Value {
        Value::Array(self.0.lock().iter().cloned().collect())
    }
}

/// The receiving side of the server.
pub(crate) struct Receiver {
    pub(crate) hub: Arc<Hub<Value>>,
    pub(crate) heard: Arc<HeardEvents>,
    pub(crate) tasks: TaskTracker,
}

#[async_trait]
impl Inbound for Receiver {
    fn deliver(&self, broadcast: &Broadcast, place: Place) {
        let offset = match place {
            Place::At(offset) => Some(offset),
            Place::Unlogged | Place::Unkept => None,
        };
        self.hub.deliver(broadcast, offset);
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
        self.hub.join_all(selected(selection), rooms);
    }

    fn leave(&self, selection: &Selection, rooms: &[Room]) {
        self.hub.leave_all(selected(selection), rooms);
    }

    fn disconnect(&self, selection: &Selection, close: bool) {
        self.hub.disconnect(selected(selection), close);
    }

    /// `question` with a value is answered.
    fn server_event(&self, _nsp: &str, args: &[Value]) -> Value {
        self.heard.push(args);
        match args {
            [Value::String(name), value, ..] if name == "question" => {
                Value::Array(vec![Value::from("Carillon answers"), value.clone()])
            }
            _ => Value::Null,
        }
    }

    fn presence_changed(&self, _changes: Vec<(UserId, Status)>) {}

    fn interrupted(&self, _unsure: Duration) {}

    fn resumed(&self) {}

    fn fence(&self, _id: &str) {}

    async fn request(&self, _from: NodeTag, _body: Bytes) -> Bytes {
        Bytes::new()
    }
}

fn summary(of: Summary<Value>) -> SocketSummary {
    let Summary { socket, rooms } = of;
    SocketSummary {
        id: socket.id().clone(),
        rooms,
        data: socket.data().clone(),
        address: socket.session().handshake().address.as_str().into(),
        issued: 0,
    }
}
