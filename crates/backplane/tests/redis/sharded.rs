//! The sharded adapter's wire on a single Redis: what the classic one promises holds there, too.

use carillon_backplane::{
    Backplane as _, Fanout as _, Peers as _, Recovery as _, Routing as _, Selection, SocketSummary,
    redis::{RedisOptions, Wire},
};
use carillon_protocol::{id::Room, value::Value};

use crate::{
    server::RedisServer,
    support::{Node, PATIENCE, Told, event, eventually, options, volatile},
};

fn sharded(server: &RedisServer) -> RedisOptions {
    RedisOptions {
        wire: Wire::Sharded,
        ..options(server)
    }
}

async fn two_nodes(server: &RedisServer) -> (Node, Node) {
    let nodes = (
        Node::start_with(sharded(server)).await,
        Node::start_with(sharded(server)).await,
    );
    nodes.0.until_nodes(2).await;
    nodes.1.until_nodes(2).await;
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_fences_have_one_order() {
    let server = RedisServer::start().await;
    let (one, two) = two_nodes(&server).await;
    for node in [&one, &two] {
        node.occupy(&["a", "b"]).await;
    }
    let start = one.backplane.head().await.unwrap();
    let traffic = async |node: &Node, tag: &str| {
        for n in 0..100 {
            let rooms = [&["a"][..], &["b"], &["a", "b"], &[], &["twenty characters!!!"]][n % 5];
            node.backplane
                .publish(event(&format!("{tag}{n}"), rooms))
                .await
                .unwrap();
        }
    };
    let fences = async {
        for n in 0..20 {
            one.backplane.fence(two.tag(), &n.to_string()).await.unwrap();
        }
    };
    tokio::join!(traffic(&one, "x"), traffic(&two, "y"), fences);
    for node in [&one, &two] {
        node.recorder.until("everything", |told| told.len() == 220).await;
    }
    assert_eq!(one.recorder.told(), two.recorder.told());
    let rooms = ["a", "b"].map(Room::new);
    let missed = two.backplane.missed(start, &rooms).await.unwrap().unwrap();
    assert_eq!(missed.len(), 160, "all but those for the long room");
    assert_eq!(one.backplane.health().malformed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volatile_event_is_delivered_once() {
    let server = RedisServer::start().await;
    let (one, two) = two_nodes(&server).await;
    for node in [&one, &two] {
        node.occupy(&["a"]).await;
    }
    one.backplane.publish(volatile("typing", &["a"])).await.unwrap();
    one.backplane.publish(event("end", &["a"])).await.unwrap();
    two.recorder.has("end").await;
    assert_eq!(one.recorder.names(), ["typing", "end"]);
    assert_eq!(two.recorder.names(), ["typing", "end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_ask_each_other() {
    let server = RedisServer::start().await;
    let (one, two) = two_nodes(&server).await;
    let socket = SocketSummary {
        id: "two".into(),
        rooms: vec![Room::new("r")],
        data: Value::Object(carillon_protocol::value::Object::new()),
        address: "10.0.0.1".into(),
        issued: 5,
    };
    *two.recorder.sockets.lock() = vec![socket.clone()];
    let everybody = Selection {
        nsp: "/".into(),
        ..Selection::default()
    };
    assert_eq!(one.backplane.server_count().await.unwrap(), 2);
    assert_eq!(one.backplane.fetch_sockets(&everybody).await.unwrap(), [socket]);
    let asked = one.backplane.ask(event("q", &[]), PATIENCE).await;
    assert_eq!(asked.unwrap(), [Value::from("two")]);
    let answers = one
        .backplane
        .server_side_ask("/", vec![Value::from("ping")])
        .await
        .unwrap();
    assert_eq!(answers, [Value::from("pong")]);
    one.backplane.join(&everybody, &[Room::new("x")]).await.unwrap();
    two.recorder.was_told(&Told::Joined(vec![Room::new("x")])).await;
    let answer = one.backplane.request(two.tag(), "x".into(), PATIENCE).await;
    assert_eq!(answer, Ok("x".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_redis_is_subscribed_to_again() {
    let mut server = RedisServer::start().await;
    let (one, two) = two_nodes(&server).await;
    one.occupy(&["a"]).await;
    server.kill();
    one.until_up(false).await;
    two.until_up(false).await;
    server.start_again().await;
    one.until_up(true).await;
    two.until_up(true).await;
    two.backplane.publish(event("after", &["a"])).await.unwrap();
    one.recorder.has("after").await;
    one.backplane.vacated(&Room::new("a"));
    eventually("that the room is left", async || {
        one.backplane.health().rooms == 0
    })
    .await;
    assert!(one.backplane.health().is_up);
}
