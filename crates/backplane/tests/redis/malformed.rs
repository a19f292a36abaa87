//! Whatever comes on any channel: it is counted, and hurts nobody.

use carillon_backplane::{Backplane as _, Fanout as _};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};

use crate::{
    server::RedisServer,
    support::{Node, event, eventually},
};

/// Bytes that may look like a message at their beginning.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        Just(&b""[..]),
        Just(&b"\x93\xa7emitter"[..]),
        Just(&b"\x93\xa7emitter\x83\xa4type\x02\xa4data"[..]),
        Just(&b"{\"type\":"[..]),
        Just(&b"{\"uid\":\"x\",\"requestId\":\"y\",\"type\":5,\"opts\":"[..]),
        Just(&b"\x85\xa3uid\xa1x\xa9requestId\xa1y\xa4type"[..]),
        Just(&b"aaaaaaaa\0\0\0\0\0\0\0\0\0\0\0\0"[..]),
    ];
    (start, any::<Vec<u8>>()).prop_map(|(start, end)| [start, &end].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_on_any_channel_hurt_nobody() {
    const EACH: usize = 300;
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    for node in [&one, &two] {
        node.occupy(&["a"]).await;
    }
    let tag = one.tag();
    let channels = [
        "socket.io#/#".to_owned(),
        "socket.io#/#a#".to_owned(),
        format!("socket.io#/#{tag}x#"),
        "socket.io-request#/#".to_owned(),
        "socket.io-response#/#".to_owned(),
        format!("{{carillon}}:node:{tag}"),
        "{carillon}:nodes".to_owned(),
    ];
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let mut runner = TestRunner::new(Config::default());
    let valid = carillon_protocol::adapter::classic::encode("emitter", &event("cut", &["a"]));
    for channel in &channels {
        let mut flood = redis::pipe();
        for n in 0..EACH {
            let any = payload().new_tree(&mut runner).unwrap().current();
            // And what is right up to where it was cut.
            let bytes = if n % 3 == 0 {
                &valid[..n % valid.len()]
            } else {
                &any
            };
            flood.cmd("PUBLISH").arg(channel).arg(bytes).ignore();
        }
        let () = flood.query_async(&mut connection).await.unwrap();
    }
    server.publish(b"socket.io#/#\xff\xfe#", b"x").await;
    server
        .publish(format!("socket.io#/#{tag}").as_bytes(), b"x")
        .await;

    one.backplane.publish(event("still here", &["a"])).await.unwrap();
    two.recorder.has("still here").await;
    let health = one.backplane.health();
    assert!(health.is_up);
    assert!(health.malformed > 1_000, "{health:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_a_room_without_members_here_costs_this_node_nothing() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    two.occupy(&["there"]).await;
    one.occupy(&["here"]).await;
    let before = one.backplane.health().received;
    for n in 0..1_000 {
        two.backplane
            .publish(event(&n.to_string(), &["there"]))
            .await
            .unwrap();
    }
    let received = one.backplane.health().received - before;
    // Frames and probes, about four a second, and none of the thousand.
    assert!(received < 500, "{received}");
    assert_eq!(two.recorder.events().len(), 1_000);
    assert!(one.recorder.events().is_empty());
    assert_eq!(one.backplane.health().rooms, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_was_left_is_not_heard_any_more() {
    let server = RedisServer::start().await;
    let (one, two) = (Node::start(&server).await, Node::start(&server).await);
    for name in ["a", "b*", "c#d", "ü?[x]"] {
        one.backplane.occupied(&carillon_protocol::id::Room::new(name));
    }
    one.occupy(&["end"]).await;
    for name in ["a", "b*", "c#d", "ü?[x]"] {
        two.backplane.publish(event(name, &[name])).await.unwrap();
        one.recorder.has(name).await;
        one.backplane.vacated(&carillon_protocol::id::Room::new(name));
    }
    eventually("that they are left", async || one.backplane.health().rooms == 1).await;
    two.backplane.publish(event("too late", &["a"])).await.unwrap();
    two.backplane.publish(event("end", &["end"])).await.unwrap();
    one.recorder.has("end").await;
    assert_eq!(one.recorder.names(), ["a", "b*", "c#d", "ü?[x]", "end"]);
}
