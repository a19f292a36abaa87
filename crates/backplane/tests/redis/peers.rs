//! Requests from and to Node servers: here a bare connection that speaks their wire.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use carillon_backplane::{Backplane as _, Peers, Routing as _, Selection, SocketSummary};
use carillon_protocol::{
    adapter::{
        channel::Channels,
        classic,
        cluster::{Answer, ClusterRequest, ClusterResponse, Operation, Target},
    },
    id::Room,
    value::{Object, Value},
};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::{
    server::RedisServer,
    support::{Node, PATIENCE, Told, event},
};

/// A Node server without sockets.
struct Peer<'a> {
    server: &'a RedisServer,
    channels: Channels,
    stream: redis::aio::PubSub,
}

const UID: &str = "lKQJvu";

impl<'a> Peer<'a> {
    async fn start(server: &'a RedisServer) -> Self {
        let channels = Channels::new("socket.io", "/");
        let mut stream = server.client().get_async_pubsub().await.unwrap();
        for channel in [
            channels.request().clone(),
            channels.response().clone(),
            channels.response_to(UID),
        ] {
            stream.subscribe(&*channel).await.unwrap();
        }
        Self {
            server,
            channels,
            stream,
        }
    }

    async fn request(&self, uid: Option<&'static str>, id: Option<&'static str>, operation: Operation) {
        let request = ClusterRequest {
            uid: uid.map(Into::into),
            id: id.map(Into::into),
            operation,
        };
        let bytes = classic::encode_request(&request);
        self.server
            .publish(self.channels.request().as_bytes(), &bytes)
            .await;
    }

    async fn respond(&self, to: &ClusterRequest, answer: Answer) {
        let response = ClusterResponse {
            request_id: to.id.clone().unwrap(),
            answer,
        };
        let bytes = classic::encode_response(&response);
        self.server
            .publish(self.channels.response().as_bytes(), &bytes)
            .await;
    }

    /// The next message: its channel and bytes.
    async fn next(&mut self) -> (ByteString, Bytes) {
        let mut stream = self.stream.on_message();
        let message = timeout(PATIENCE, stream.next()).await.unwrap().unwrap();
        (
            message.get_channel_name().into(),
            Bytes::copy_from_slice(message.get_payload_bytes()),
        )
    }

    async fn next_request(&mut self) -> ClusterRequest {
        let (channel, bytes) = self.next().await;
        assert_eq!(channel, *self.channels.request());
        classic::decode_request(&bytes, "/").unwrap()
    }

    /// The next answer, and whether it came for this server alone.
    async fn next_answer(&mut self) -> (Answer, bool) {
        loop {
            let (channel, bytes) = self.next().await;
            if channel != *self.channels.request() {
                let response = classic::decode_response(&bytes).unwrap();
                return (response.answer, channel != *self.channels.response());
            }
        }
    }
}

fn socket(id: &'static str, rooms: &[&'static str]) -> SocketSummary {
    SocketSummary {
        id: id.into(),
        rooms: rooms.iter().map(|room| Room::new(*room)).collect(),
        data: Value::Object(Object::new().with("user", "ann")),
        address: "10.0.0.1".into(),
        issued: 5,
    }
}

fn everybody() -> Target {
    Target::default()
}

fn of(room: &'static str) -> Selection {
    Selection {
        nsp: "/".into(),
        rooms: vec![Room::new(room)],
        except: Vec::new(),
    }
}

fn question() -> carillon_protocol::adapter::Broadcast {
    event("question", &["r"])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_answered_once() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    let mut peer = Peer::start(&server).await;
    *node.recorder.sockets.lock() = vec![socket("one", &["r"]), socket("two", &[])];

    peer.request(
        Some(UID),
        Some("q"),
        Operation::Sockets {
            rooms: vec![Room::new("r")],
        },
    )
    .await;
    assert_eq!(
        peer.next_answer().await,
        (Answer::SocketIds(vec!["one".into()]), true)
    );
    peer.request(Some(UID), Some("q"), Operation::AllRooms).await;
    assert_eq!(
        peer.next_answer().await,
        (Answer::Rooms(vec![Room::new("r")]), true)
    );
    peer.request(Some(UID), Some("q"), Operation::Fetch(everybody()))
        .await;
    let (Answer::Sockets(sockets), true) = peer.next_answer().await else {
        panic!("sockets");
    };
    let ids: Vec<_> = sockets.iter().map(|socket| &*socket.id).collect();
    assert_eq!(ids, ["one", "two"]);

    let broadcast = |rooms: &[&'static str]| Operation::Broadcast {
        broadcast: event("question", rooms),
        timeout_ms: Some(1_000),
    };
    peer.request(Some(UID), Some("q"), broadcast(&[])).await;
    assert_eq!(peer.next_answer().await, (Answer::ClientCount(2), true));
    for id in ["one", "two"] {
        assert_eq!(peer.next_answer().await, (Answer::Ack(Value::from(id)), true));
    }
    node.recorder.sockets.lock().clear();
    peer.request(Some(UID), Some("q"), broadcast(&["nobody"])).await;
    assert_eq!(
        peer.next_answer().await,
        (Answer::ClientCount(0), true),
        "also where nobody is there"
    );

    let ping = Operation::ServerSideEmit(vec![Value::from("ping"), Value::from(5_i64)]);
    peer.request(Some(UID), Some("q"), ping.clone()).await;
    let pong = Answer::ServerSideEmit(Value::from("pong"));
    assert_eq!(
        peer.next_answer().await,
        (pong, false),
        "where all old versions listen"
    );
    peer.request(Some("emitter"), None, ping).await;
    node.recorder
        .until("both", |told| {
            told.iter()
                .filter(|told| matches!(told, Told::ServerEvent(_)))
                .count()
                == 2
        })
        .await;
    while let Ok((channel, _)) = timeout(Duration::from_millis(300), peer.next()).await {
        assert_eq!(channel, *peer.channels.request(), "no second answer");
    }
    assert_eq!(node.backplane.health().malformed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_emitters_want_is_done_without_an_answer() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    let peer = Peer::start(&server).await;
    let rooms = vec![Room::new("x")];
    let target = everybody();
    peer.request(
        None,
        None,
        Operation::Join {
            target: target.clone(),
            rooms: rooms.clone(),
        },
    )
    .await;
    peer.request(
        None,
        None,
        Operation::Leave {
            target: target.clone(),
            rooms: rooms.clone(),
        },
    )
    .await;
    peer.request(None, None, Operation::Disconnect { target, close: true })
        .await;
    node.recorder.was_told(&Told::Disconnected(true)).await;
    assert_eq!(
        node.recorder.told(),
        [
            Told::Joined(rooms.clone()),
            Told::Left(rooms),
            Told::Disconnected(true)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_act_on_each_others_sockets_and_once_on_their_own() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    let mut peer = Peer::start(&server).await;
    assert_eq!(one.backplane.server_count().await.unwrap(), 3);

    let rooms = [Room::new("x")];
    one.backplane.join(&of("r"), &rooms).await.unwrap();
    Peers::leave(&*one.backplane, &of("r"), &rooms).await.unwrap();
    one.backplane.disconnect(&of("r"), false).await.unwrap();
    one.backplane
        .server_side_emit("/", vec![Value::from("ping")])
        .await
        .unwrap();
    two.recorder.until("all four", |told| told.len() == 4).await;
    for _ in 0..4 {
        assert!(peer.next_request().await.id.is_none());
    }
    // What comes after that has come.
    let answer = two.backplane.request(one.tag(), "end".into(), PATIENCE).await;
    assert_eq!(answer, Ok("end".into()));
    let mut expected = two.recorder.told();
    expected[3] = Told::Request(two.tag().clone(), "end".into());
    assert_eq!(one.recorder.told(), expected, "but no server event of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_servers_answers_are_collected() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    let mut peer = Peer::start(&server).await;
    *one.recorder.sockets.lock() = vec![socket("one", &["r"])];
    *two.recorder.sockets.lock() = vec![socket("two", &["r"]), socket("not in r", &[])];

    let selection = of("r");
    let fetched = one.backplane.fetch_sockets(&selection);
    let answer = async {
        let request = peer.next_request().await;
        assert!(matches!(request.operation, Operation::Fetch(_)));
        peer.respond(&request, Answer::Sockets(Vec::new())).await;
    };
    let (fetched, ()) = tokio::join!(fetched, answer);
    let mut fetched = fetched.unwrap();
    fetched.sort_by(|left, right| left.id.cmp(&right.id));
    assert_eq!(fetched, [socket("one", &["r"]), socket("two", &["r"])]);

    let asked = one.backplane.ask(question(), PATIENCE);
    let answer = async {
        let request = loop {
            let (channel, bytes) = peer.next().await;
            if channel == *peer.channels.request() {
                break classic::decode_request(&bytes, "/").unwrap();
            }
        };
        peer.respond(&request, Answer::ClientCount(1)).await;
        peer.respond(&request, Answer::Ack(Value::from("node"))).await;
    };
    let (acks, ()) = tokio::join!(asked, answer);
    let mut acks: Vec<_> = acks
        .unwrap()
        .iter()
        .map(|ack| ack.as_text().unwrap().to_string())
        .collect();
    acks.sort();
    assert_eq!(acks, ["node", "not in r", "one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_an_error_or_missing() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    let _silent = Peer::start(&server).await;
    // Long enough for those who answer.
    let (selection, short) = (of("r"), Duration::from_secs(4));
    *two.recorder.sockets.lock() = vec![socket("two", &["r"])];
    let (fetched, asked, acked) = tokio::join!(
        one.backplane.fetch_sockets(&selection),
        one.backplane.server_side_ask("/", vec![Value::from("ping")]),
        one.backplane.ask(question(), short),
    );
    assert!(fetched.is_err());
    assert_eq!(asked.unwrap(), [Value::from("pong")]);
    assert_eq!(acked.unwrap(), [Value::from("two")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_node_of_the_cluster_gives_out_offsets() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    node.occupy(&["a"]).await;
    let broadcast = event("forged", &["a"]);
    let head = carillon_protocol::adapter::Offset::parse("aaaaaaaa.0000000000000001").unwrap();
    for uid in ["emitter", "lKQJvu", "aaaaaaaaAAAAAAAAAAAA"] {
        let forged = classic::encode_kept(uid, &broadcast, "id").fill(head);
        server.publish(b"socket.io#/#a#", &forged).await;
    }
    node.recorder.until("all of them", |told| told.len() == 3).await;
    assert!(node.recorder.events().iter().all(|(_, offset)| offset.is_none()));
    assert_eq!(*node.recorder.unkept.lock(), node.recorder.names());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emitters_broadcast_reaches_a_nodes_private_rooms() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    let broadcast = event("hello", &[]);
    let private = format!("socket.io#/#{}abcdefghijkl#", node.tag());
    let heard = server
        .publish(private.as_bytes(), &classic::encode("emitter", &broadcast))
        .await;
    assert_eq!(heard, 1);
    node.recorder.has("hello").await;
}
