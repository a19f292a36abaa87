//! Events: who gets them, when, in which order.

use carillon_backplane::{Backplane as _, Fanout as _, Placement};

use crate::{
    server::RedisServer,
    support::{Node, event, volatile},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_every_node_with_the_same_offset() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    for node in [&one, &two] {
        node.occupy(&["a", "b"]).await;
    }
    for rooms in [&["a"][..], &["a", "b"], &[]] {
        let name = format!("to {}", rooms.len());
        one.backplane.publish(event(&name, rooms)).await.unwrap();
        assert!(
            one.recorder.names().contains(&name),
            "its own sockets have it when it returns"
        );
        two.recorder.has(&name).await;
    }

    let events = one.recorder.events();
    assert_eq!(events.len(), 3);
    assert_eq!(events, two.recorder.events());
    assert!(events.iter().all(|(_, offset)| offset.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volatile_event_is_delivered_once_and_in_its_place() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    for node in [&one, &two] {
        node.occupy(&["a"]).await;
    }
    one.backplane.publish(volatile("typing", &["a"])).await.unwrap();

    one.backplane.publish(event("end", &["a"])).await.unwrap();
    two.recorder.has("end").await;
    assert_eq!(one.recorder.names(), ["typing", "end"]);
    assert_eq!(two.recorder.names(), ["typing", "end"]);
    assert_eq!(two.recorder.events()[0].1, None);
    assert_eq!(one.backplane.health().malformed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_see_one_order() {
    const EACH: usize = 200;
    let server = RedisServer::start().await;
    let nodes = [
        Node::start(&server).await,
        Node::start(&server).await,
        Node::start(&server).await,
    ];
    for node in &nodes {
        node.occupy(&["a", "b"]).await;
    }
    let publish = async |node: &Node, tag: &str| {
        for n in 0..EACH {
            let rooms = [&["a"][..], &["b"], &["a", "b"], &[]][n % 4];
            node.backplane
                .publish(event(&format!("{tag}{n}"), rooms))
                .await
                .unwrap();
        }
    };
    let [one, two, three] = &nodes;
    tokio::join!(publish(one, "x"), publish(two, "y"), publish(three, "z"));

    for node in &nodes {
        node.recorder
            .until("everything", |told| told.len() == 3 * EACH)
            .await;
    }
    let events = one.recorder.events();
    assert_eq!(events, two.recorder.events());
    assert_eq!(events, three.recorder.events());
    assert!(events.is_sorted_by_key(|(_, offset)| offset.unwrap().number()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chats_messages_enter_the_log_once_and_in_order() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    for node in [&one, &two] {
        node.occupy(&["a"]).await;
    }
    let place = async |node: &Node, seq: u64| {
        let events = vec![event(&format!("m{seq}"), &["a"]), event(&format!("n{seq}"), &[])];
        node.backplane
            .publish_in_order("chat", seq, events)
            .await
            .unwrap()
    };
    assert_eq!(place(&one, 7).await, Placement::Unsettled);
    one.backplane.settle_order("chat", 6).await.unwrap();
    two.backplane.settle_order("chat", 3).await.unwrap();
    assert_eq!(place(&two, 8).await, Placement::Early { expected: 7 });
    assert_eq!(place(&one, 7).await, Placement::Placed);
    assert_eq!(place(&two, 8).await, Placement::Placed);
    assert_eq!(place(&one, 7).await, Placement::Known);

    for node in [&one, &two] {
        node.recorder.has("n8").await;
        assert_eq!(node.recorder.names(), ["m7", "n7", "m8", "n8"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_wrong_is_forgotten_unless_it_is_another_by_now() {
    let server = RedisServer::start().await;
    let node = Node::start(&server).await;
    let place = async |seq| {
        let events = vec![event("m", &["a"])];
        node.backplane
            .publish_in_order("chat", seq, events)
            .await
            .unwrap()
    };
    assert_eq!(node.backplane.order("chat").await.unwrap(), None);
    node.backplane.settle_order("chat", 10).await.unwrap();
    assert_eq!(place(6).await, Placement::Known);
    assert_eq!(node.backplane.order("chat").await.unwrap(), Some(10));

    node.backplane.forget_order("chat", 9).await.unwrap();
    assert_eq!(node.backplane.order("chat").await.unwrap(), Some(10));
    node.backplane.forget_order("chat", 10).await.unwrap();
    assert_eq!(place(6).await, Placement::Unsettled);
    node.backplane.settle_order("chat", 5).await.unwrap();
    assert_eq!(place(6).await, Placement::Placed);
}
