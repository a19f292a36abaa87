//! Who is online: over nodes, deaths and absences.

use std::time::Duration;

use carillon_backplane::{Presence as _, Routing as _, redis::RedisOptions};
use carillon_protocol::{presence::Status, time::Timestamp};
use tokio::time::Instant;

use crate::{
    server::RedisServer,
    support::{Node, Told, assert_within, eventually, options, user},
    way::Way,
};

pub(crate) const LEASE: Duration = Duration::from_secs(2);

pub(crate) const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn short_lease(server: &RedisServer) -> RedisOptions {
    RedisOptions {
        lease: LEASE,
        ..options(server)
    }
}

pub(crate) async fn online(node: &Node) -> Vec<(String, i64)> {
    let online = node.backplane.online().await.unwrap();
    online
        .into_iter()
        .map(|one| (one.user.to_string(), one.last_seen.as_millis()))
        .collect()
}

/// What Redis takes the time to be, in ms since 1970.
async fn redis_millis(server: &RedisServer) -> i64 {
    let [seconds, micros]: [i64; 2] = server.run(&["TIME"]).await;
    seconds * 1_000 + micros / 1_000
}

/// How often a node was told that somebody came or went.
pub(crate) fn changes(nodes: &[&Node]) -> Vec<(String, Status)> {
    let told = nodes.iter().flat_map(|node| node.recorder.told());
    told.filter_map(|told| match told {
        Told::Presence(user, status) => Some((user.to_string(), status)),
        _ => None,
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_online_while_any_node_has_a_connection() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    let ann = user("ann");

    assert!(one.comes(&ann, at(1)).await);
    assert!(!two.backplane.connect(&ann, at(2)).await.unwrap());
    assert!(!one.backplane.connect(&ann, at(3)).await.unwrap());
    assert_eq!(online(&two).await, [("ann".to_owned(), 3)]);

    assert!(!one.backplane.disconnect(&ann).await.unwrap());
    assert!(
        !one.backplane.disconnect(&ann).await.unwrap(),
        "the other node has one"
    );
    assert!(!one.backplane.settle(&ann).await.unwrap());
    assert!(two.backplane.disconnect(&ann).await.unwrap());
    assert_eq!(online(&one).await.len(), 1, "until it is settled");

    let (first, second) = tokio::join!(one.backplane.settle(&ann), two.backplane.settle(&ann));
    assert!(first.unwrap() != second.unwrap());
    let (first, second) = tokio::join!(
        one.announce(&ann, Status::Offline),
        two.announce(&ann, Status::Offline)
    );
    assert!(first != second, "one of them announces it");
    assert_eq!(online(&two).await, []);
    assert!(changes(&[&one, &two]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_on_another_node_before_it_is_settled_was_never_gone() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    let ann = user("ann");
    one.backplane.connect(&ann, at(1)).await.unwrap();
    assert!(one.backplane.disconnect(&ann).await.unwrap());

    assert!(!two.backplane.connect(&ann, at(2)).await.unwrap());
    assert!(!one.backplane.settle(&ann).await.unwrap());
    assert_eq!(online(&one).await, [("ann".to_owned(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_in_the_order_of_utf16() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    for id in ["\u{ff5e}", "b", "😀", "a"] {
        node.backplane.connect(&user(id), at(1)).await.unwrap();
    }
    let listed: Vec<_> = online(&node).await.into_iter().map(|(user, _)| user).collect();
    assert_eq!(listed, ["a", "b", "😀", "\u{ff5e}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_nodes_users_go_offline_with_its_lease_and_are_announced_once() {
    let server = RedisServer::start().await;
    let (one, two) = (
        Node::start_with(short_lease(&server)).await,
        Node::start_with(short_lease(&server)).await,
    );
    assert!(one.comes(&user("bob"), at(2)).await);
    let mut expected = Vec::new();
    assert_within(LEASE + Duration::from_secs(1), async |number| {
        let dead = Node::start_with(short_lease(&server)).await;
        let (ann, eve) = (user(&format!("ann{number}")), user(&format!("eve{number}")));
        for user in [&ann, &eve] {
            assert!(dead.comes(user, at(1)).await);
            expected.push((user.to_string(), Status::Offline));
        }
        assert!(!dead.comes(&user("bob"), at(1)).await);
        assert!(!one.comes(&user("bob"), at(2)).await);
        // What a node has just started is told of nobody's death for a lease.
        tokio::time::sleep(LEASE).await;

        let tag = dead.tag().clone();
        let died = Instant::now();
        dead.die().await;
        let lapses: i64 = server.run(&["ZSCORE", "{carillon}:nodes", &tag]).await;
        eventually("that its users go offline", async || {
            changes(&[&one, &two]).len() >= expected.len()
        })
        .await;
        let took = died.elapsed();
        assert!(
            redis_millis(&server).await >= lapses,
            "not before its lease is over"
        );
        for user in [&ann, &eve] {
            assert!(one.announce(user, Status::Offline).await);
        }
        took
    })
    .await;

    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut changes = changes(&[&one, &two]);
    changes.sort_by(|left, right| left.0.cmp(&right.0));
    expected.sort_by(|left, right| left.0.cmp(&right.0));
    assert_eq!(changes, expected);
    assert_eq!(online(&two).await, [("bob".to_owned(), 2)]);
    one.until_nodes(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_is_gone_at_once_and_its_users_may_come_back_elsewhere() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    assert_within(Duration::from_secs(1), async |_| {
        let leaving = Node::start(&server).await;
        two.until_nodes(3).await;
        let left = Instant::now();
        leaving.backplane.leave().await.unwrap();
        two.until_nodes(2).await;
        assert!(!two.backplane.is_alive(leaving.tag()));
        left.elapsed()
    })
    .await;
    for id in ["ann", "bob"] {
        assert!(one.comes(&user(id), at(1)).await);
    }
    let left = Instant::now();
    one.backplane.leave().await.unwrap();
    let until: i64 = server.run(&["ZSCORE", "{carillon}:nodes", one.tag()]).await;
    let a_while = -until - redis_millis(&server).await;
    assert!((5_000..=10_000).contains(&a_while), "{a_while}");
    two.until_nodes(1).await;
    assert!(!two.backplane.is_alive(one.tag()));
    assert!(one.backplane.online().await.is_err(), "it is out");
    one.die().await;

    assert!(!two.backplane.connect(&user("bob"), at(2)).await.unwrap());
    let gone = Told::Presence(user("ann"), Status::Offline);
    two.recorder.was_told(&gone).await;
    assert!(
        left.elapsed() >= Duration::from_millis(9_900),
        "{:?}",
        left.elapsed()
    );
    assert!(redis_millis(&server).await >= -until);
    assert_eq!(changes(&[&two]).len(), 1);
    assert_eq!(online(&two).await, [("bob".to_owned(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_offline_because_redis_is_away() {
    let mut server = RedisServer::start().await;
    let (one, two) = (
        Node::start_with(short_lease(&server)).await,
        Node::start_with(short_lease(&server)).await,
    );
    assert!(one.comes(&user("ann"), at(1)).await);
    assert!(two.comes(&user("bob"), at(1)).await);
    server.freeze();
    one.until_up(false).await;
    two.until_up(false).await;
    assert!(
        one.backplane.online().await.is_err(),
        "a failure is not an empty list"
    );
    tokio::time::sleep(LEASE * 2).await;
    server.thaw();
    one.until_up(true).await;
    two.until_up(true).await;
    tokio::time::sleep(LEASE * 2).await;
    assert_eq!(changes(&[&one, &two]), []);

    // With its data gone, too.
    server.kill();
    one.until_up(false).await;
    two.until_up(false).await;
    tokio::time::sleep(LEASE).await;
    server.start_again().await;
    one.until_up(true).await;
    two.until_up(true).await;
    tokio::time::sleep(LEASE * 2).await;
    assert_eq!(changes(&[&one, &two]), []);
    let expected = [("ann".to_owned(), 1), ("bob".to_owned(), 1)];
    assert_eq!(online(&one).await, expected);
    assert_eq!(online(&two).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_and_went_while_redis_was_away_is_announced_after() {
    let mut server = RedisServer::start().await;
    let node = Node::start_with(short_lease(&server)).await;
    let (ann, bob, eve) = (user("ann"), user("bob"), user("eve"));
    for user in [&ann, &eve] {
        assert!(node.comes(user, at(1)).await);
    }
    server.kill();
    node.until_up(false).await;
    assert!(node.backplane.disconnect(&ann).await.is_err());
    assert!(node.backplane.settle(&ann).await.is_err());
    assert!(node.backplane.connect(&bob, at(2)).await.is_err());

    server.start_again().await;
    node.recorder.was_told(&Told::Presence(bob, Status::Online)).await;
    node.recorder
        .was_told(&Told::Presence(ann, Status::Offline))
        .await;
    assert_eq!(changes(&[&node]).len(), 2);
    assert_eq!(
        online(&node).await,
        [("bob".to_owned(), 2), ("eve".to_owned(), 1)]
    );
}

/// A node that reaches `server` by a way of its own. Redis has its scripts: the first call of one takes a second answer.
pub(crate) async fn distant(server: &RedisServer) -> (Way, Node) {
    let way = Way::to(server).await;
    let options = RedisOptions {
        url: way.url(),
        ..short_lease(server)
    };
    let node = Node::start_with(options).await;
    let first = user("first");
    assert!(node.comes(&first, at(1)).await);
    assert!(node.backplane.disconnect(&first).await.unwrap());
    assert!(node.backplane.settle(&first).await.unwrap());
    assert!(node.announce(&first, Status::Offline).await);
    (way, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_taken_for_gone_with_a_node_that_lives_is_announced_online_again_once() {
    let server = RedisServer::start().await;
    let (way, away) = distant(&server).await;
    let one = Node::start_with(short_lease(&server)).await;
    let (ann, bob) = (user("ann"), user("bob"));
    for user in [&ann, &bob] {
        assert!(away.comes(user, at(1)).await);
    }
    assert!(!one.comes(&bob, at(2)).await);
    tokio::time::sleep(LEASE).await;

    way.cut();
    away.until_up(false).await;
    one.recorder
        .was_told(&Told::Presence(ann.clone(), Status::Offline))
        .await;
    assert!(one.announce(&ann, Status::Offline).await);
    way.mend();
    away.until_up(true).await;
    away.recorder.was_told(&Told::Presence(ann, Status::Online)).await;
    assert_eq!(changes(&[&away]).len(), 1);
    assert_eq!(changes(&[&one]).len(), 1);
    let expected = [("ann".to_owned(), 1), ("bob".to_owned(), 2)];
    assert_eq!(online(&away).await, expected);
    assert_eq!(online(&one).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_while_redis_is_out_of_reach_has_the_grace() {
    let server = RedisServer::start().await;
    let (way, node) = distant(&server).await;
    // Judged of one who is back within the grace, as seen from here: on a busy machine that takes some tries.
    assert_within(Duration::from_millis(900), async |number| {
        let id = format!("ann{number}");
        let ann = user(&id);
        assert!(node.comes(&ann, at(1)).await);
        way.cut();
        node.until_up(false).await;
        let gone = Instant::now();
        assert!(node.backplane.disconnect(&ann).await.is_err());
        way.mend();
        node.until_up(true).await;

        let is_news = node.comes(&ann, at(2)).await;
        let back = gone.elapsed();
        if back <= Duration::from_millis(900) {
            assert!(!is_news, "never gone");
            assert!(online(&node).await.contains(&(id.clone(), 2)));
            assert!(changes(&[&node]).iter().all(|(user, _)| *user != id));
        }
        back
    })
    .await;
}
