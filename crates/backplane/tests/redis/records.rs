//! Records of sessions whose writing failed, or came late.

use crate::{
    server::RedisServer,
    support::{Node, eventually, user},
};
use carillon_backplane::{Recovery as _, SessionRecord};
use carillon_protocol::id::Room;

fn record(pid: &str, node: &Node, rooms: &[&'static str]) -> SessionRecord {
    SessionRecord {
        pid: pid.into(),
        socket_id: "s".into(),
        user: user("ann"),
        rooms: rooms.iter().map(|room| Room::new(*room)).collect(),
        node: node.tag().clone(),
    }
}

fn key(pid: &str) -> String {
    format!("{{carillon}}:session:{pid}")
}

/// Redis refuses to store anything, or no more so, and is there all the time.
async fn set_full(server: &RedisServer, is_full: bool) {
    let bytes = if is_full { "1" } else { "0" };
    let _: String = server.run(&["CONFIG", "SET", "maxmemory", bytes]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_written_is_written_before_the_node_hears_again() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    let pids: Vec<String> = (0..500).map(|n| format!("p{n}")).collect();
    for pid in &pids {
        node.backplane.keep(record(pid, &node, &["a"])).await.unwrap();
    }
    server.freeze();
    node.until_up(false).await;
    for pid in &pids {
        let kept = node.backplane.keep(record(pid, &node, &["a", "joined"])).await;
        assert!(kept.is_err());
    }
    server.thaw();
    node.until_up(true).await;

    let keys: Vec<String> = pids.iter().map(|pid| key(pid)).collect();
    let words: Vec<&str> = std::iter::once("MGET")
        .chain(keys.iter().map(|key| &**key))
        .collect();
    let stored: Vec<Vec<u8>> = server.run(&words).await;
    let is_whole = |record: &Vec<u8>| record.windows(6).any(|bytes| bytes == b"joined");
    let stale = stored.iter().filter(|record| !is_whole(record)).count();
    assert_eq!(stale, 0, "of {}", stored.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_failed_by_itself_is_tried_again_soon() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    for pid in ["connected", "lost", "ended"] {
        node.backplane.keep(record(pid, &node, &["a"])).await.unwrap();
    }
    set_full(&server, true).await;
    let changed = |pid| record(pid, &node, &["a", "joined"]);
    for pid in ["connected", "lost", "ended"] {
        assert!(node.backplane.keep(changed(pid)).await.is_err());
    }
    assert!(node.backplane.lost("lost").await.is_err());
    assert!(node.backplane.forget("ended").await.is_err());
    set_full(&server, false).await;

    for pid in ["connected", "lost"] {
        eventually(pid, async || {
            node.backplane.find(pid).await.unwrap() == Some(changed(pid))
        })
        .await;
    }
    eventually("ended", async || {
        node.backplane.find("ended").await.unwrap().is_none()
    })
    .await;
    let left: i64 = server.run(&["PTTL", &key("lost")]).await;
    assert!((100_000..=120_000).contains(&left), "{left}");
    let left: i64 = server.run(&["PTTL", &key("connected")]).await;
    assert!(left > 200_000, "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_comes_late_undoes_nothing() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    let keep = redis::Script::new(concat!(
        include_str!("../../src/redis/scripts/session.lua"),
        include_str!("../../src/redis/scripts/keep.lua")
    ));
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let mut again = async |stored: &[u8], precedence: &str| -> bool {
        let mut call = keep.key(key("p"));
        call.arg(&**node.tag()).arg(stored).arg(60_000).arg(precedence);
        call.invoke_async(&mut connection).await.unwrap()
    };
    let stored = async || -> Vec<u8> { server.run(&["GET", &key("p")]).await };

    node.backplane.keep(record("p", &node, &["a"])).await.unwrap();
    let first = stored().await;
    let newer = record("p", &node, &["a", "joined"]);
    node.backplane.keep(newer.clone()).await.unwrap();
    let second = stored().await;
    for precedence in ["any", "none", "absent"] {
        assert!(again(&first, precedence).await, "it is still the node's");
        assert_eq!(
            node.backplane.find("p").await.unwrap(),
            Some(newer.clone()),
            "{precedence}"
        );
    }

    node.backplane.forget("p").await.unwrap();
    for precedence in ["any", "none", "absent"] {
        again(&second, precedence).await;
        assert_eq!(node.backplane.find("p").await.unwrap(), None, "{precedence}");
    }
    let left: i64 = server.run(&["PTTL", &key("p")]).await;
    assert!(
        (1..=60_000).contains(&left),
        "what tells that it ended goes by itself: {left}"
    );
}
