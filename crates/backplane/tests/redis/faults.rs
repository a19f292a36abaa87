//! Redis frozen, killed, replaced, emptied: found out soon, survived, made good.

use std::time::Duration;

use carillon_backplane::{
    Backplane as _, Fanout as _, Peers as _, Placement, Presence as _, Recovery as _, Routing as _,
    redis::{RedisBackplane, RedisOptions, Wire},
};
use carillon_protocol::{id::Room, time::Timestamp};
use tokio::time::{Instant, sleep};

use crate::{
    server::RedisServer,
    support::{Node, PATIENCE, Told, assert_within, at_once, event, eventually, options, user, volatile},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_is_found_out_and_its_late_echoes_are_dropped() {
    let server = RedisServer::start().await;
    let begun = Instant::now();
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    for node in [&one, &two] {
        node.occupy(&["a"]).await;
    }
    server.freeze();
    // Handed to a Redis that stands still: it gets it when it goes on.
    let placement = one.backplane.publish(event("in its socket", &["a"])).await;
    assert_eq!(placement.unwrap(), Placement::Local);
    assert_eq!(one.recorder.events(), [("in its socket".to_owned(), None)]);
    one.until_up(false).await;
    two.until_up(false).await;
    assert_eq!(one.backplane.health().probe_failures, 1);

    // Known to be away: nobody waits.
    let placement = at_once(one.backplane.publish(event("alone", &["a"])));
    assert_eq!(placement.unwrap(), Placement::Local);
    let events = vec![event("in order", &["a"])];
    let placement = at_once(one.backplane.publish_in_order("chat", 1, events));
    assert_eq!(placement.unwrap(), Placement::Local);
    at_once(one.backplane.publish(volatile("typing", &["a"]))).unwrap();
    assert!(at_once(one.backplane.head()).is_err());
    assert!(at_once(one.backplane.find("p")).is_err());
    assert!(at_once(one.backplane.online()).is_err());
    assert!(at_once(one.backplane.attend(&[Room::new("a")])).is_err());
    assert_eq!(one.backplane.health().dropped, 1);

    server.thaw();
    one.until_up(true).await;
    two.until_up(true).await;
    two.backplane.publish(event("after", &["a"])).await.unwrap();
    one.recorder.has("after").await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(
        one.recorder.names(),
        ["in its socket", "alone", "in order", "typing", "after"]
    );
    assert_eq!(*one.recorder.unkept.lock(), ["typing"]);
    let told = one.recorder.told();
    let interrupted = told.iter().position(|told| match told {
        // It stood still for longer than it takes to be noticed.
        Told::Interrupted(unsure) => (Duration::from_secs(2)..=begun.elapsed()).contains(unsure),
        _ => false,
    });
    let resumed = told.iter().position(|told| *told == Told::Resumed);
    assert!(interrupted.is_some() && interrupted < resumed, "{told:?}");
    assert!(matches!(told.last(), Some(Told::Event { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_keeps_nobody_for_long_and_is_found_out_soon() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    node.occupy(&["a"]).await;
    let mut frozen = Instant::now();
    assert_within(Duration::from_millis(1_500), async |_| {
        server.thaw();
        node.until_up(true).await;
        frozen = Instant::now();
        server.freeze();
        let placement = node.backplane.publish(event("e", &["a"])).await;
        assert_eq!(placement.unwrap(), Placement::Local);
        frozen.elapsed()
    })
    .await;
    assert_within(Duration::from_secs(3), async |number| {
        if number > 0 {
            server.thaw();
            node.until_up(true).await;
            frozen = Instant::now();
            server.freeze();
        }
        node.until_up(false).await;
        frozen.elapsed()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_that_comes_after_its_timeout_is_not_delivered_again() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    for node in [&one, &two] {
        node.occupy(&["a"]).await;
    }
    // Longer than a publish waits, shorter than a link takes to be given up.
    server.freeze();
    let placement = one.backplane.publish(event("slow", &["a"])).await;
    server.thaw();
    assert_eq!(placement.unwrap(), Placement::Local);
    two.recorder.has("slow").await;
    one.backplane.publish(event("next", &["a"])).await.unwrap();
    two.recorder.has("next").await;

    assert_eq!(one.recorder.names(), ["slow", "next"]);
    assert_eq!(two.recorder.names(), ["slow", "next"]);
    assert!(one.backplane.health().is_up, "it was never down");
    let offsets: Vec<_> = two
        .recorder
        .events()
        .into_iter()
        .map(|(_, offset)| offset)
        .collect();
    assert!(offsets.iter().all(Option::is_some));
    // One node's sockets have an event that they cannot continue from.
    let before = offsets[0].unwrap();
    eventually("the end of the epoch", async || {
        let missed = two.backplane.missed(before, &[Room::new("a")]).await;
        missed.unwrap().is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_killed_is_found_again_on_the_same_address() {
    let mut server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    for node in [&one, &two] {
        node.occupy(&["a"]).await;
    }
    server.kill();
    one.until_up(false).await;
    // Rooms change meanwhile.
    one.backplane.occupied(&Room::new("b"));
    one.backplane.vacated(&Room::new("a"));
    assert_within(Duration::from_secs(2), async |_| {
        server.kill();
        for node in [&one, &two] {
            node.until_up(false).await;
        }
        // The pauses between two attempts grow.
        sleep(Duration::from_secs(2)).await;
        server.start_again().await;
        let started = Instant::now();
        one.until_up(true).await;
        two.until_up(true).await;
        started.elapsed()
    })
    .await;
    one.backplane.attend(&[Room::new("b")]).await.unwrap();
    assert_eq!(one.backplane.health().rooms, 1);
    two.backplane.publish(event("b", &["b"])).await.unwrap();
    one.recorder.has("b").await;
    let heard: Vec<(String, usize)> = server
        .run(&["PUBSUB", "NUMSUB", "socket.io#/#a#", "socket.io-request#/#"])
        .await;
    assert_eq!(heard[0].1, 1, "the other node alone is in that room");
    assert_eq!(heard[1].1, 2, "each node is counted once");
    assert_eq!(one.backplane.server_count().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sid_is_still_known_after_redis_lost_the_secret() {
    let mut server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    let sid = one.backplane.new_sid();
    server.kill();
    one.until_up(false).await;
    two.until_up(false).await;
    server.start_again().await;
    let new = Node::start(&server).await;
    one.until_up(true).await;
    two.until_up(true).await;
    for node in [&one, &two] {
        assert_eq!(node.backplane.node_of(&sid).as_ref(), Some(one.tag()));
    }
    // Whoever was first: they have one secret again, and believe each other.
    for node in [&one, &two, &new] {
        node.occupy(&["a"]).await;
        node.until_nodes(3).await;
    }
    let answer = one.backplane.request(new.tag(), "x".into(), PATIENCE).await;
    assert_eq!(answer, Ok("x".into()));
    one.backplane.publish(event("e", &["a"])).await.unwrap();
    new.recorder.has("e").await;
    assert_eq!(new.recorder.events(), one.recorder.events());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_becomes_a_replica_is_no_use() {
    let (server, other) = (RedisServer::start().await, RedisServer::start().await);
    let node = Node::start(&server).await;
    node.occupy(&["a"]).await;
    node.backplane.publish(event("before", &["a"])).await.unwrap();
    let before = node.recorder.events()[0].1.unwrap();

    let _: String = server
        .run(&["REPLICAOF", "127.0.0.1", &other.port().to_string()])
        .await;
    node.until_up(false).await;
    let _: String = server.run(&["REPLICAOF", "NO", "ONE"]).await;
    node.until_up(true).await;
    node.backplane.publish(event("after", &["a"])).await.unwrap();
    assert!(node.recorder.events()[1].1.is_some());
    assert_eq!(
        node.backplane
            .missed(before, &[Room::new("a")])
            .await
            .unwrap()
            .map(|missed| missed.len()),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_emptied_is_filled_again() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    node.occupy(&["a"]).await;
    node.backplane
        .connect(&user("ann"), Timestamp::from_millis(1))
        .await
        .unwrap();
    let _: String = server.run(&["FLUSHALL"]).await;
    let _: String = server.run(&["SCRIPT", "FLUSH"]).await;
    eventually("that its users are registered again", async || {
        let online = node.backplane.online().await;
        online.is_ok_and(|online| online.len() == 1)
    })
    .await;
    node.until_up(true).await;
    node.backplane.publish(event("after", &["a"])).await.unwrap();
    assert!(node.recorder.events()[0].1.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_redis_forgot_are_loaded_again() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    node.occupy(&["a"]).await;
    let publish = async |name: &'static str| node.backplane.publish(event(name, &["a"])).await.unwrap();
    publish("before").await;
    let _: String = server.run(&["SCRIPT", "FLUSH"]).await;
    tokio::join!(publish("x"), publish("y"), publish("z"));
    assert!(node.recorder.events().iter().all(|(_, offset)| offset.is_some()));
    assert_eq!(node.recorder.events().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_an_error_without_its_password() {
    let server = RedisServer::start_with(&["--requirepass", "right"]).await;
    for (url, works) in [
        (format!("redis://:right@127.0.0.1:{}/3", server.port()), true),
        (format!("redis://:wr0ng@127.0.0.1:{}", server.port()), false),
        ("redis://:wr0ng@127.0.0.1:1".to_owned(), false),
        ("http://:wr0ng@example.org".to_owned(), false),
    ] {
        let connected = RedisBackplane::connect(RedisOptions {
            url,
            ..options(&server)
        })
        .await;
        assert_eq!(connected.is_ok(), works);
        if let Err(error) = connected {
            assert!(!error.to_string().contains("wr0ng"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_refused_with_the_reason_where_it_cannot_be_used() {
    let server = RedisServer::start_with(&["--cluster-enabled", "yes"]).await;
    let refused = RedisBackplane::connect(RedisOptions {
        wire: Wire::Classic,
        ..options(&server)
    })
    .await;
    assert!(refused.unwrap_err().reason.contains("Cluster"));
}
