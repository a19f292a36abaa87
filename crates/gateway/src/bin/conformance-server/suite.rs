//! What the official protocol test suites ask a server to do.

use std::sync::Arc;

use async_trait::async_trait;
use carillon_protocol::{
    adapter::Offset,
    engine::{Frame, Message},
    id::Room,
    value::{Object, Value},
};
use carillon_socketio::{
    Acceptor, Admission, Application, CloseReason, ConnectRequest, DisconnectReason, Handler, MissedEvent,
    Refusal, Session, Socket,
};

use crate::cluster::{self, Cluster};

/// Sends every message back.
pub(crate) struct Echo;

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

/// The events of the Socket.IO suite. A socket keeps the `auth` it came with, and in a cluster it is in the rooms that are
/// named there.
pub(crate) struct Suite {
    /// What the event `call` asks of all servers; `None` where the server is alone.
    pub(crate) cluster: Option<Arc<Cluster>>,
}

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
        let rooms = match &self.cluster {
            Some(_) => cluster::rooms(data.get("rooms")),
            None => Vec::new(),
        };
        Ok(Admission {
            data,
            rooms,
            recovery: None,
        })
    }

    async fn joining(&self, socket: &Arc<Socket<Value>>) {
        if let Some(cluster) = &self.cluster {
            let own: Vec<Room> = vec![socket.room().clone()];
            cluster
                .attend([cluster::rooms(socket.data().get("rooms")), own].concat())
                .await;
        }
    }

    async fn missed(&self, _socket: &Arc<Socket<Value>>, _offset: Offset) -> Option<Vec<MissedEvent>> {
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
        if let Some(cluster) = &self.cluster
            && name == Value::from("call")
        {
            return vec![cluster.call(args.into_iter().skip(1)).await];
        }
        if name == Value::from("message") {
            socket.emit(&args);
        }
        args.into_iter().skip(1).collect()
    }

    async fn disconnected(&self, _socket: &Arc<Socket<Value>>, _reason: DisconnectReason) {}
}
