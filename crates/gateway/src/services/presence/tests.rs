use carillon_protocol::adapter::Broadcast;

use super::*;
use crate::services::testing::{Node, text_of, user};

/// Lets those who wait do what they wait for, `millis` from now.
async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// What was told since the last call: user and status.
fn told(node: &Node) -> Vec<(String, String)> {
    let line = |broadcast: &Broadcast| {
        (
            text_of(&broadcast.event, "userId"),
            text_of(&broadcast.event, "status"),
        )
    };
    node.announced.take().iter().map(line).collect()
}

/// Waits until all that is to be told is told.
async fn settled(node: &Node) {
    node.tasks.close();
    node.tasks.wait().await;
}

fn change(user: &str, status: &str) -> Vec<(String, String)> {
    vec![(user.to_owned(), status.to_owned())]
}

#[tokio::test(start_paused = true)]
async fn the_first_and_the_last_connection_are_told_once() {
    let node = Node::new(Scope::All);
    let (presence, ann) = (&node.services.presence, user("ann"));

    presence.connected(&ann).await;
    presence.connected(&ann).await;
    settled(&node).await;
    assert_eq!(
        node.announced.take_lines(),
        ["userStatusChange →  except user_ann"]
    );

    presence.disconnected(&ann).await;
    pass(1_000).await;
    assert_eq!(told(&node), []);

    presence.disconnected(&ann).await;
    pass(399).await;
    assert_eq!(told(&node), []);
    assert_eq!(presence.online(&ann).await.unwrap().len(), 1);
    pass(2).await;
    assert!(presence.online(&ann).await.unwrap().is_empty());
    pass(48).await;
    assert_eq!(told(&node), change("ann", "offline"));
    pass(1_000).await;
    assert_eq!(told(&node), []);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_within_the_grace_was_never_gone() {
    let node = Node::new(Scope::All);
    let (presence, ann) = (&node.services.presence, user("ann"));
    presence.connected(&ann).await;
    settled(&node).await;
    node.announced.take();

    // Each grace ends while the user has just gone again: only the latest counts.
    for _ in 0..10 {
        presence.disconnected(&ann).await;
        pass(300).await;
        presence.connected(&ann).await;
        pass(10).await;
    }
    assert_eq!(told(&node), []);
    assert_eq!(presence.online(&ann).await.unwrap().len(), 1);

    presence.disconnected(&ann).await;
    pass(390).await;
    assert_eq!(told(&node), []);
    pass(60).await;
    assert_eq!(told(&node), change("ann", "offline"));
    assert!(presence.graces.lock().latest.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_after_the_grace_is_told_again() {
    let node = Node::new(Scope::All);
    let (presence, ann) = (&node.services.presence, user("ann"));
    presence.connected(&ann).await;
    presence.disconnected(&ann).await;
    settled(&node).await;
    assert_eq!(told(&node).len(), 2);

    presence.connected(&ann).await;
    settled(&node).await;

    assert_eq!(told(&node), change("ann", "online"));
}

#[tokio::test(start_paused = true)]
async fn the_tracker_waits_for_a_grace_and_for_what_is_told_after_it() {
    let node = Node::new(Scope::All);
    node.services.presence.connected(&user("ann")).await;
    node.services.presence.disconnected(&user("ann")).await;

    settled(&node).await;

    assert_eq!(told(&node).len(), 2);
}

#[tokio::test]
async fn all_see_all_with_the_time_of_the_latest_connection() {
    let node = Node::new(Scope::All);
    for (id, at) in [("bob", 1), ("Zoe", 2), ("10", 3), ("9", 4), ("bob", 5)] {
        node.clock.set(at);
        node.services.presence.connected(&user(id)).await;
    }

    let online = node.services.presence.online(&user("bob")).await.unwrap();

    let lines: Vec<_> = online
        .iter()
        .map(|line| (line.user.as_str(), line.last_seen.as_millis()))
        .collect();
    assert_eq!(lines, [("10", 3), ("9", 4), ("Zoe", 2), ("bob", 5)]);
}

#[tokio::test]
async fn contacts_are_those_who_have_written_to_each_other() {
    let node = Node::new(Scope::Contacts);
    let presence = &node.services.presence;
    for (from, to) in [("ann", "bob"), ("bob", "ann"), ("ann", "cid"), ("ann", "ann")] {
        node.say(from, to, "x").await;
    }
    node.announced.take();

    for id in ["ann", "bob", "cid"] {
        presence.connected(&user(id)).await;
    }
    settled(&node).await;

    // Nobody at all is told of cid: no room would mean everybody.
    let told = node.announced.take_lines();
    assert_eq!(
        told,
        [
            "userStatusChange → user_bob except user_ann",
            "userStatusChange → user_ann except user_bob"
        ]
    );
    let seen = async |by: &str| {
        let online = presence.online(&user(by)).await.unwrap();
        online
            .iter()
            .map(|line| line.user.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(seen("ann").await, ["ann", "bob"]);
    assert_eq!(seen("cid").await, ["cid"]);
}

#[tokio::test]
async fn who_comes_back_on_another_node_while_contacts_are_looked_up_is_not_told_offline() {
    let node = Node::new(Scope::Contacts);
    let (presence, ann) = (&node.services.presence, user("ann"));
    node.say("ann", "bob", "x").await;
    node.say("bob", "ann", "x").await;
    presence.connected(&ann).await;
    settled(&node).await;
    node.announced.take();

    let contacts = node.store.hold_contacts().await;
    Shared::disconnect(&*node.backplane, &ann).await.unwrap();
    assert!(node.backplane.settle(&ann).await.unwrap());
    presence.changed_elsewhere(&[(ann.clone(), Status::Offline)]);
    let telling = presence.announce_gathered();
    tokio::pin!(telling);
    assert!(
        futures_util::poll!(&mut telling).is_pending(),
        "it looks contacts up"
    );
    // As another node would, outside of this node's lane.
    node.backplane.connect(&ann, node.clock.now()).await.unwrap();
    drop(contacts);
    telling.await;

    assert_eq!(told(&node), []);
}

#[tokio::test]
async fn where_contacts_cannot_be_looked_up_nobody_is_told_and_the_rest_is_left() {
    let node = Node::new(Scope::Contacts);
    let presence = &node.services.presence;
    for (from, to) in [("ann", "bob"), ("bob", "ann")] {
        node.say(from, to, "x").await;
        node.backplane
            .connect(&user(from), node.clock.now())
            .await
            .unwrap();
    }
    node.announced.take();
    let changes = [(user("ann"), Status::Online), (user("bob"), Status::Online)];

    node.store.set_down(true);
    presence.changed_elsewhere(&changes);
    settled(&node).await;
    node.store.set_down(false);
    assert_eq!(told(&node), []);

    presence.changed_elsewhere(&changes);
    settled(&node).await;
    assert_eq!(told(&node).len(), 2);
}

#[tokio::test]
async fn a_backplane_that_is_down_is_an_error_never_nobody() {
    let node = Node::new(Scope::All);
    node.backplane.set_down(true);
    let presence = &node.services.presence;

    assert!(presence.online(&user("ann")).await.is_err());
    node.backplane.set_down(false);

    assert!(presence.online(&user("ann")).await.unwrap().is_empty());
}
