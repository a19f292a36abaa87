//! From node to node.

use std::time::Duration;

use bytes::Bytes;
use carillon_backplane::{
    Backplane as _, Fanout as _, RouteError, Routing as _,
    redis::{MAX_BODY_BYTES, RedisOptions},
};
use futures_util::StreamExt as _;

use crate::{
    server::RedisServer,
    support::{Manner, Node, Told, at_once, event, options},
};

/// Longer than anything takes here.
const TIMEOUT: Duration = Duration::from_secs(60);

async fn two_nodes(server: &RedisServer) -> (Node, Node) {
    let (one, two) = (Node::start(server).await, Node::start(server).await);
    one.until_nodes(2).await;
    two.until_nodes(2).await;
    (one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sid_names_its_node_on_every_node_and_nowhere_else() {
    let server = RedisServer::start().await;
    let (one, two) = two_nodes(&server).await;
    let sid = one.backplane.new_sid();
    assert_eq!(two.backplane.node_of(&sid).as_ref(), Some(one.tag()));
    assert!(two.backplane.is_alive(one.tag()) && !two.backplane.is_alive("nobody00"));

    let foreign = RedisServer::start().await;
    let stranger = Node::start(&foreign).await;
    assert_eq!(stranger.backplane.node_of(&sid), None);
    let named = Node::start_with(RedisOptions {
        secret: Some("of the settings".to_owned()),
        ..options(&server)
    })
    .await;
    assert_eq!(named.backplane.node_of(&sid), None);

    let socket = one.backplane.new_socket_id();
    assert!(socket.len() == 20 && socket.starts_with(&**one.tag()));
    assert!(socket.bytes().all(|byte| byte.is_ascii_alphanumeric()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered() {
    let server = RedisServer::start().await;
    let (one, two) = two_nodes(&server).await;
    for body in [
        Bytes::new(),
        Bytes::from_static(b"\0\xff"),
        Bytes::from(vec![7; MAX_BODY_BYTES]),
    ] {
        let answer = one.backplane.request(two.tag(), body.clone(), TIMEOUT).await;
        assert_eq!(answer, Ok(body));
    }
    let large = Bytes::from(vec![7; MAX_BODY_BYTES + 1]);
    let answer = one.backplane.request(two.tag(), large, TIMEOUT).await;
    assert_eq!(answer, Err(RouteError::Unreachable));
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_waits_for_is_dropped() {
    let server = RedisServer::start().await;
    let (one, two) = two_nodes(&server).await;
    *two.recorder.manner.lock() = Manner::Silent;
    let dropped = async |count| {
        let mut dropped = two.recorder.dropped.subscribe();
        let waited = tokio::time::timeout(TIMEOUT, dropped.wait_for(|dropped| *dropped == count)).await;
        assert!(waited.is_ok(), "dropped: {}", *two.recorder.dropped.borrow());
    };

    // Long enough to arrive.
    let short = Duration::from_secs(2);
    let answer = one.backplane.request(two.tag(), "a".into(), short).await;
    assert_eq!(answer, Err(RouteError::Timeout));
    dropped(1).await;

    let asked = one.backplane.request(two.tag(), "b".into(), TIMEOUT);
    let arrived = Told::Request(one.tag().clone(), "b".into());
    tokio::select! {
        answer = asked => panic!("{answer:?}"),
        () = two.recorder.was_told(&arrived) => (),
    }
    dropped(2).await;

    // Given up in the moment in which they are asked: begun all the same.
    for _ in 0..50 {
        let asked = one.backplane.request(two.tag(), "c".into(), TIMEOUT);
        assert!(tokio::time::timeout(Duration::ZERO, asked).await.is_err());
    }
    dropped(52).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_answers_and_is_worked_for_no_more() {
    let server = RedisServer::start().await;
    let lease = Duration::from_secs(2);
    let short = || RedisOptions {
        lease,
        ..options(&server)
    };
    let (one, two) = (Node::start_with(short()).await, Node::start_with(short()).await);
    one.until_nodes(2).await;
    two.until_nodes(2).await;
    // What has just started spares everybody for a lease.
    tokio::time::sleep(lease).await;
    for node in [&one, &two] {
        *node.recorder.manner.lock() = Manner::Silent;
    }
    let two_tag = two.tag().clone();
    let ask = one.backplane.request(&two_tag, "x".into(), TIMEOUT);
    let die = async {
        two.recorder
            .until("the request", |told| {
                told.iter().any(|told| matches!(told, Told::Request(..)))
            })
            .await;
        let back = two.backplane.request(one.tag(), "y".into(), TIMEOUT);
        let _ = tokio::time::timeout(Duration::from_millis(300), back).await;
        two.die().await;
    };
    let (answer, ()) = tokio::join!(ask, die);
    assert_eq!(answer, Err(RouteError::Gone));
    assert!(!one.backplane.is_alive(&two_tag));
    let answer = one.backplane.request(&two_tag, "x".into(), TIMEOUT).await;
    assert_eq!(answer, Err(RouteError::Gone));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_a_request_fails_at_once() {
    let mut server = RedisServer::start().await;
    let (one, two) = two_nodes(&server).await;
    *two.recorder.manner.lock() = Manner::Silent;
    let outstanding = one.backplane.request(two.tag(), "x".into(), TIMEOUT);
    let kill = async {
        two.recorder.until("the request", |told| !told.is_empty()).await;
        server.kill();
    };
    let (answer, ()) = tokio::join!(outstanding, kill);
    assert_eq!(answer, Err(RouteError::Unreachable));

    one.until_up(false).await;
    let answer = at_once(one.backplane.request(two.tag(), "x".into(), TIMEOUT));
    assert_eq!(answer, Err(RouteError::Unreachable));
    assert!(at_once(one.backplane.fence(two.tag(), "f")).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_has_one_place_among_all_events() {
    let server = RedisServer::start().await;
    let (one, two) = two_nodes(&server).await;
    for node in [&one, &two] {
        node.occupy(&["a"]).await;
    }
    assert!(one.backplane.has_fences());
    let traffic = async |node: &Node, tag: &str| {
        for n in 0..100 {
            let event = event(&format!("{tag}{n}"), &["a"]);
            node.backplane.publish(event).await.unwrap();
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_sent_again_or_elsewhere_does_nothing_and_is_counted() {
    let server = RedisServer::start().await;
    let (one, two) = two_nodes(&server).await;
    let (to_two, to_all) = (format!("{{carillon}}:node:{}", two.tag()), "{carillon}:nodes");
    let mut wire = server.client().get_async_pubsub().await.unwrap();
    wire.subscribe(&*to_two).await.unwrap();
    let answer = one.backplane.request(two.tag(), "once".into(), TIMEOUT).await;
    assert_eq!(answer, Ok("once".into()));
    one.backplane.fence(two.tag(), "f").await.unwrap();
    two.recorder.was_told(&Told::Fence("f".to_owned())).await;
    // The answer comes after the question and before the fence; probes of the node itself come between.
    let mut captured: Vec<Vec<u8>> = Vec::new();
    let mut messages = wire.on_message();
    while captured
        .iter()
        .filter(|frame| frame.starts_with(one.tag().as_bytes()))
        .count()
        < 2
    {
        let message = tokio::time::timeout(TIMEOUT, messages.next())
            .await
            .unwrap()
            .unwrap();
        captured.push(message.get_payload_bytes().to_vec());
    }
    drop(messages);
    let told = two.recorder.told();
    let before = two.backplane.health().malformed;

    let to_one = format!("{{carillon}}:node:{}", one.tag());
    for frame in &captured {
        server.publish(to_two.as_bytes(), frame).await;
        server.publish(to_one.as_bytes(), frame).await;
        server.publish(to_all.as_bytes(), frame).await;
    }
    // What comes after that has come.
    let answer = two.backplane.request(one.tag(), "end".into(), TIMEOUT).await;
    assert_eq!(answer, Ok("end".into()));
    let answer = one.backplane.request(two.tag(), "end".into(), TIMEOUT).await;
    assert_eq!(answer, Ok("end".into()));
    let refused = two.backplane.health().malformed - before;
    assert_eq!(refused, 2 * u64::try_from(captured.len()).unwrap());
    let mut expected = told;
    expected.push(Told::Request(one.tag().clone(), "end".into()));
    assert_eq!(two.recorder.told(), expected);
}
