//! Sessions that may come back, and what they missed.

use std::time::Duration;

use carillon_backplane::{Fanout as _, Recovery as _, SessionRecord, redis::RedisOptions};
use carillon_protocol::{
    adapter::{Epoch, Offset},
    id::Room,
};

use crate::{
    server::RedisServer,
    support::{Node, event, eventually, options, user, volatile},
};

fn record(pid: &'static str, node: &Node) -> SessionRecord {
    SessionRecord {
        pid: pid.into(),
        socket_id: "s".into(),
        user: user("ann"),
        rooms: vec![Room::new("user_ann")],
        node: node.tag().clone(),
    }
}

fn rooms(names: &[&'static str]) -> Vec<Room> {
    names.iter().map(|name| Room::new(*name)).collect()
}

async fn missed(node: &Node, offset: Offset, names: &[&'static str]) -> Option<Vec<String>> {
    // A busy machine may need longer for a long log than the node waits.
    let mut told = None;
    eventually("what was missed", async || {
        told = node.backplane.missed(offset, &rooms(names)).await.ok();
        told.is_some()
    })
    .await;
    let missed = told??;
    let name =
        |broadcast: &carillon_protocol::adapter::Broadcast| broadcast.event[0].as_text().unwrap().to_string();
    assert!(missed.is_sorted_by(|left, right| left.offset.number() < right.offset.number()));
    Some(missed.iter().map(|missed| name(&missed.broadcast)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_take_a_record_one_gets_it() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    one.backplane.keep(record("p", &one)).await.unwrap();
    assert_eq!(two.backplane.find("p").await.unwrap(), Some(record("p", &one)));

    let takers = (0..8).map(|n| {
        let node = if n % 2 == 0 { &one } else { &two };
        node.backplane.take("p")
    });
    let taken = futures_util::future::join_all(takers).await;
    let got: Vec<_> = taken.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(got, [record("p", &one)]);
    assert_eq!(two.backplane.find("p").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_outlives_its_connection_by_the_window_and_its_node_by_more() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    for pid in ["lost", "kept", "ended"] {
        node.backplane.keep(record(pid, &node)).await.unwrap();
    }
    node.backplane.lost("lost").await.unwrap();
    node.backplane.forget("ended").await.unwrap();

    let left = async |pid: &str| -> i64 {
        server
            .run(&["PTTL", &format!("{{carillon}}:session:{pid}")])
            .await
    };
    assert!((110_000..=120_000).contains(&left("lost").await));
    assert!(left("kept").await > 200_000, "should its node die now");
    assert_eq!(node.backplane.find("ended").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_leaves_another_ones_record_alone() {
    let server = RedisServer::start().await;
    let (old, new) = (Node::start(&server).await, Node::start(&server).await);
    old.backplane.keep(record("p", &old)).await.unwrap();
    new.backplane.keep(record("p", &new)).await.unwrap();
    let is_new = async || new.backplane.find("p").await.unwrap() == Some(record("p", &new));
    assert!(is_new().await, "the node that a session came to has it");

    old.backplane.keep(record("p", &old)).await.unwrap();
    assert!(is_new().await);
    old.backplane.lost("p").await.unwrap();
    old.backplane.forget("p").await.unwrap();
    assert!(is_new().await);
    let left: i64 = server.run(&["PTTL", "{carillon}:session:p"]).await;
    assert!(left > 200_000, "{left}");

    let mut moved = record("p", &new);
    moved.rooms.push(Room::new("more"));
    new.backplane.keep(moved.clone()).await.unwrap();
    assert_eq!(old.backplane.find("p").await.unwrap(), Some(moved));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_the_head_was_delivered() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    two.occupy(&["a"]).await;
    let publish = async {
        for n in 0..100 {
            one.backplane
                .publish(event(&n.to_string(), &["a"]))
                .await
                .unwrap();
        }
    };
    let look = async {
        for _ in 0..50 {
            let head = two.backplane.head().await.unwrap();
            let last = two.recorder.events().last().and_then(|(_, offset)| *offset);
            assert!(head.number() == 0 || head.is_up_to(last.unwrap()));
        }
    };
    tokio::join!(publish, look);
    let head = two.backplane.head().await.unwrap();
    assert_eq!(two.recorder.events().last().unwrap().1, Some(head));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_written_again_where_redis_lost_them() {
    let mut server = RedisServer::start().await;
    let node = Node::start(&server).await;
    for pid in ["before", "moved", "ended"] {
        node.backplane.keep(record(pid, &node)).await.unwrap();
    }
    node.backplane.handed_over("moved");
    server.kill();
    node.until_up(false).await;
    assert!(node.backplane.keep(record("during", &node)).await.is_err());
    assert!(node.backplane.forget("ended").await.is_err());

    server.start_again().await;
    node.until_up(true).await;
    let is_there = async |pid| node.backplane.find(pid).await.unwrap().is_some();
    let written = async || is_there("before").await && is_there("during").await;
    eventually("that both are written", written).await;
    assert!(!is_there("moved").await && !is_there("ended").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_told_in_the_order_of_the_log() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    let start = one.backplane.head().await.unwrap();
    for (name, to) in [
        ("a1", &["a"][..]),
        ("b1", &["b"]),
        ("all", &[]),
        ("ab", &["a", "b"]),
        ("c1", &["c"]),
        ("a2", &["a"]),
    ] {
        one.backplane.publish(event(name, to)).await.unwrap();
    }
    one.backplane.publish(volatile("typing", &["a"])).await.unwrap();
    let mut private = event("not for s", &[]);
    private.except = rooms(&["s"]);
    two.backplane.publish(private).await.unwrap();

    let of_session = ["a", "b", "s"];
    assert_eq!(
        missed(&two, start, &of_session).await.unwrap(),
        ["a1", "b1", "all", "ab", "a2"]
    );
    let later = two
        .backplane
        .missed(start, &rooms(&of_session))
        .await
        .unwrap()
        .unwrap()[2]
        .offset;
    assert_eq!(missed(&two, later, &of_session).await.unwrap(), ["ab", "a2"]);
    assert_eq!(missed(&two, start, &["x"]).await.unwrap(), ["all", "not for s"]);
    let head = two.backplane.head().await.unwrap();
    assert_eq!(
        missed(&one, head, &of_session).await.unwrap(),
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_is_none_of_the_logs_is_refused() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    let head = node.backplane.head().await.unwrap();
    let place = |epoch, number| Offset::new(epoch, number).unwrap();
    for offset in [
        Offset::NOWHERE,
        place(Epoch::parse("aaaaaaaa").unwrap(), 0),
        place(head.epoch(), head.number() + 1),
        place(head.epoch(), 1 << 53),
    ] {
        assert_eq!(missed(&node, offset, &["a"]).await, None, "{offset}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_trimmed_does_not_pretend_to_be_whole() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    let start = node.backplane.head().await.unwrap();
    for n in 0..24 {
        let events = (0..50).map(|k| event(&format!("e{n}.{k}"), &["busy"])).collect();
        node.backplane.settle_order("chat", 0).await.unwrap();
        node.backplane
            .publish_in_order("chat", n + 1, events)
            .await
            .unwrap();
    }
    node.backplane.publish(event("quiet", &["quiet"])).await.unwrap();

    assert_eq!(missed(&node, start, &["busy"]).await, None);
    assert_eq!(missed(&node, start, &["quiet"]).await.unwrap(), ["quiet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_from_before_a_restart_are_refused() {
    let mut server = RedisServer::start().await;
    let node = Node::start(&server).await;
    node.occupy(&["a"]).await;
    node.backplane.publish(event("before", &["a"])).await.unwrap();
    let before = node.recorder.events()[0].1.unwrap();
    assert_eq!(missed(&node, before, &["a"]).await, Some(Vec::new()));

    server.kill();
    node.until_up(false).await;
    server.start_again().await;
    node.until_up(true).await;
    node.backplane.publish(event("after", &["a"])).await.unwrap();
    assert_eq!(missed(&node, before, &["a"]).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_ends_the_epoch() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    node.occupy(&["a"]).await;
    node.backplane.publish(event("before", &["a"])).await.unwrap();
    let before = node.recorder.events()[0].1.unwrap();

    server.freeze();
    node.until_up(false).await;
    node.backplane.publish(event("during", &["a"])).await.unwrap();
    server.thaw();
    node.until_up(true).await;
    assert_eq!(missed(&node, before, &["a"]).await, None);
    assert_eq!(node.recorder.events()[1], ("during".to_owned(), None));

    // Also where this node published nothing: it may have heard nothing, either.
    node.backplane.publish(event("between", &["a"])).await.unwrap();
    let between = node.recorder.events()[2].1.unwrap();
    server.freeze();
    node.until_up(false).await;
    server.thaw();
    node.until_up(true).await;
    assert_eq!(missed(&node, between, &["a"]).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_expire_when_no_session_can_need_them() {
    let server = RedisServer::start().await;
    let node = Node::start_with(RedisOptions {
        recovery_window: Duration::from_secs(10),
        longest_silence: Duration::from_secs(10),
        ..options(&server)
    })
    .await;
    node.backplane.publish(event("e", &["a"])).await.unwrap();
    let left: i64 = server.run(&["PTTL", "{carillon}:stream:a"]).await;
    // The record's 80 s, and what may have gone unnoticed before.
    assert!((120_000..=125_000).contains(&left), "{left}");
}
