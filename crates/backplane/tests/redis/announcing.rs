//! Changes of who is online: announced once, whatever is lost on the way.

use carillon_backplane::Presence as _;
use carillon_protocol::presence::Status;

use crate::{
    presence::{LEASE, at, changes, distant, online, short_lease},
    server::RedisServer,
    support::{Node, Told, announcement, event, user},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_answer_was_lost_is_announced_all_the_same() {
    let server = RedisServer::start().await;
    let (way, node) = distant(&server).await;
    let (ann, eve) = (user("ann"), user("eve"));
    assert!(node.comes(&eve, at(1)).await);
    assert!(node.backplane.disconnect(&eve).await.unwrap());

    way.lose_answers();
    let (came, went) = tokio::join!(node.backplane.connect(&ann, at(2)), node.backplane.settle(&eve));
    assert!(came.is_err() && went.is_err());
    let listed: Vec<String> = server.run(&["HKEYS", "{carillon}:online"]).await;
    assert_eq!(listed, ["ann"], "both were done");
    way.mend();

    for (user, status) in [(ann, Status::Online), (eve, Status::Offline)] {
        node.recorder
            .was_told(&Told::Presence(user.clone(), status))
            .await;
        assert!(node.announce(&user, status).await);
        assert!(!node.announce(&user, status).await, "once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_of_which_nobody_knows_whether_it_was_made_is_made_once() {
    let server = RedisServer::start().await;
    let (way, node) = distant(&server).await;
    let other = Node::start_with(short_lease(&server)).await;
    for node in [&node, &other] {
        node.occupy(&["a"]).await;
    }
    let (ann, bob) = (user("ann"), user("bob"));
    for user in [&ann, &bob] {
        assert!(node.backplane.connect(user, at(1)).await.unwrap());
    }
    let came = async |user, name| {
        let came = announcement(user, Status::Online, Some(event(name, &["a"])));
        node.backplane.announce(vec![came]).await
    };

    // Made, but its answer is lost; then it cannot be made.
    way.lose_answers();
    assert!(came(&ann, "ann").await.is_err());
    other.recorder.has("ann").await;
    way.cut();
    node.until_up(false).await;
    assert!(came(&bob, "bob").await.is_err());
    way.mend();
    let again = Told::Presence(bob.clone(), Status::Online);
    node.recorder.was_told(&again).await;
    assert_eq!(came(&bob, "bob").await.unwrap(), [true]);
    assert_eq!(came(&ann, "ann").await.unwrap(), [false]);
    other.recorder.has("bob").await;

    assert_eq!(other.recorder.names(), ["ann", "bob"]);
    assert_eq!(changes(&[&node, &other]), [("bob".to_owned(), Status::Online)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_node_did_not_announce_another_one_does() {
    let server = RedisServer::start().await;
    let dead = Node::start_with(short_lease(&server)).await;
    let one = Node::start_with(short_lease(&server)).await;
    let (ann, bob, eve) = (user("ann"), user("bob"), user("eve"));
    for user in [&ann, &bob] {
        assert!(dead.comes(user, at(1)).await);
        assert!(dead.backplane.disconnect(user).await.unwrap());
        assert!(dead.backplane.settle(user).await.unwrap());
    }
    assert!(dead.announce(&bob, Status::Offline).await);
    assert!(dead.backplane.connect(&eve, at(2)).await.unwrap());
    tokio::time::sleep(LEASE).await;

    dead.die().await;
    one.recorder
        .was_told(&Told::Presence(ann.clone(), Status::Offline))
        .await;
    assert!(one.announce(&ann, Status::Offline).await);
    // Nobody had heard of eve, and nobody does.
    assert!(changes(&[&one]).iter().all(|(user, _)| user == "ann"));
    assert!(!one.announce(&eve, Status::Offline).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_unannounced_by_a_node_that_lives_is_found() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    let ann = user("ann");
    assert!(node.backplane.connect(&ann, at(1)).await.unwrap());
    let found = Told::Presence(ann.clone(), Status::Online);
    node.recorder.was_told(&found).await;
    assert!(node.announce(&ann, Status::Online).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_of_one_who_is_back_before_it_was_announced() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    let ann = user("ann");
    assert!(one.comes(&ann, at(1)).await);
    assert!(one.backplane.disconnect(&ann).await.unwrap());
    assert!(one.backplane.settle(&ann).await.unwrap());

    assert!(!two.backplane.connect(&ann, at(2)).await.unwrap());
    assert!(!one.announce(&ann, Status::Offline).await, "too late");
    assert!(!two.announce(&ann, Status::Online).await);
    assert_eq!(online(&one).await, [("ann".to_owned(), 2)]);
}
