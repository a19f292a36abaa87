//! The server among others on one Redis, Node servers with their Redis adapter for one: what a Node server's API offers
//! over all of them, by the event `call`.

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use carillon_backplane::{
    Fanout, Peers, Routing, Selection, SocketSummary,
    redis::{RedisBackplane, RedisOptions, Wire},
};
use carillon_protocol::{
    adapter::Broadcast,
    id::Room,
    value::{Object, Value},
};
use carillon_socketio::{Hub, Ids, RoomWatch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::inbound::{HeardEvents, Receiver};

/// The namespace that is shared with the others.
pub(crate) const NAMESPACE: &str = "/";

/// The server's part of a cluster.
pub(crate) struct Cluster {
    backplane: Arc<RedisBackplane>,
    heard: Arc<HeardEvents>,
}

/// Why a call was not answered with a value.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("there is no operation like that")]
    Unknown,
    #[error(transparent)]
    Backplane(#[from] carillon_backplane::Unavailable),
}

impl Cluster {
    /// Looks whether Redis is there.
    pub(crate) async fn connect(url: String, is_sharded: bool) -> anyhow::Result<Self> {
        let options = RedisOptions {
            url,
            wire: if is_sharded { Wire::Sharded } else { Wire::Classic },
            ..RedisOptions::default()
        };
        Ok(Self {
            backplane: RedisBackplane::connect(options).await?,
            heard: Arc::default(),
        })
    }

    /// Joins the sockets of `hub` with those of the others.
    pub(crate) async fn join(&self, hub: &Arc<Hub<Value>>) -> anyhow::Result<()> {
        hub.watch_rooms(Arc::new(Watch(Arc::clone(&self.backplane))));
        let tasks = TaskTracker::new();
        let receiver = Receiver {
            hub: Arc::clone(hub),
            heard: Arc::clone(&self.heard),
            tasks: tasks.clone(),
        };
        let never = CancellationToken::new();
        self.backplane.start(Arc::new(receiver), &tasks, never).await?;
        Ok(())
    }

    /// Ids by which the others know whose a socket is.
    pub(crate) fn ids(&self) -> Arc<dyn Ids> {
        Arc::new(ClusterIds(Arc::clone(&self.backplane)))
    }

    /// Waits until what the others send to `rooms` comes.
    pub(crate) async fn attend(&self, rooms: Vec<Room>) {
        if let Err(error) = self.backplane.attend(&rooms).await {
            tracing::warn!(%error, "rooms not attended");
        }
    }

    /// Does what a client asks: `name, selection?, ...`, the selection being `{rooms?, except?, isVolatile?, timeout?}`.
    /// Answers `{value}` or `{error}`.
    pub(crate) async fn call(&self, mut args: impl Iterator<Item = Value>) -> Value {
        let name = args.next().unwrap_or_default();
        let name = name.as_text().cloned().unwrap_or_default();
        let answer = match self.perform(&name, args.collect()).await {
            Ok(value) => Object::new().with("value", value),
            Err(error) => Object::new().with("error", error.to_string()),
        };
        Value::Object(answer)
    }

    async fn perform(&self, name: &str, args: Vec<Value>) -> Result<Value, CallError> {
        let peers = &*self.backplane;
        match name {
            "servers" => {
                let servers = u64::try_from(peers.server_count().await?).unwrap_or(u64::MAX);
                return Ok(Value::UInt(servers));
            }
            "emitServers" => {
                peers.server_side_emit(NAMESPACE, args).await?;
                return Ok(Value::Null);
            }
            "askServers" => return Ok(Value::Array(peers.server_side_ask(NAMESPACE, args).await?)),
            "heard" => return Ok(self.heard.all()),
            _ => {}
        }
        let mut args = args.into_iter();
        let options = args.next().unwrap_or_default();
        let selection = Selection {
            nsp: NAMESPACE.into(),
            rooms: rooms(options.get("rooms")),
            except: rooms(options.get("except")),
        };
        match name {
            "emit" => {
                peers.publish(broadcast(selection, &options, args)).await?;
            }
            "ask" => {
                let timeout = options.get("timeout").and_then(Value::as_u64).unwrap_or_default();
                let question = broadcast(selection, &options, args);
                return Ok(Value::Array(
                    peers.ask(question, Duration::from_millis(timeout)).await?,
                ));
            }
            "join" => Peers::join(peers, &selection, &rooms(args.next().as_ref())).await?,
            "leave" => Peers::leave(peers, &selection, &rooms(args.next().as_ref())).await?,
            "disconnect" => {
                let close = args.next() == Some(Value::Bool(true));
                Peers::disconnect(peers, &selection, close).await?;
            }
            "fetch" => {
                let sockets = peers.fetch_sockets(&selection).await?;
                return Ok(Value::Array(sockets.into_iter().map(told).collect()));
            }
            _ => return Err(CallError::Unknown),
        }
        Ok(Value::Null)
    }
}

/// The rooms that a list names.
pub(crate) fn rooms(list: Option<&Value>) -> Vec<Room> {
    let Some(Value::Array(rooms)) = list else {
        return Vec::new();
    };
    let texts = rooms.iter().filter_map(Value::as_text);
    texts.map(|room| Room::new(room.clone())).collect()
}

fn broadcast(selection: Selection, options: &Value, event: impl Iterator<Item = Value>) -> Broadcast {
    let Selection { nsp, rooms, except } = selection;
    Broadcast {
        nsp,
        event: event.collect(),
        rooms,
        except,
        volatile: options.get("isVolatile") == Some(&Value::Bool(true)),
    }
}

fn told(socket: SocketSummary) -> Value {
    let rooms = socket
        .rooms
        .iter()
        .map(|room| Value::from(room.as_str().to_owned()));
    let told = Object::new()
        .with("id", socket.id)
        .with("rooms", Value::Array(rooms.collect()))
        .with("data", socket.data)
        .with("address", socket.address)
        .with("issued", Value::Int(socket.issued));
    Value::Object(told)
}

/// Has the backplane subscribe to the rooms with sockets here.
struct Watch(Arc<RedisBackplane>);

impl RoomWatch for Watch {
    fn occupied(&self, nsp: &str, room: &Room) {
        if nsp == NAMESPACE {
            self.0.occupied(room);
        }
    }

    fn vacated(&self, nsp: &str, room: &Room) {
        if nsp == NAMESPACE {
            self.0.vacated(room);
        }
    }
}

struct ClusterIds(Arc<RedisBackplane>);

impl Ids for ClusterIds {
    fn new_sid(&self) -> ByteString {
        self.0.new_sid()
    }

    fn new_socket_id(&self) -> ByteString {
        self.0.new_socket_id()
    }
}
