//! What a session is before the move it is after it.

use std::{collections::BTreeSet, time::Duration};

use carillon_protocol::{
    adapter::Offset,
    engine::Frame,
    socket::{Body, Packet, Parser},
    value::{Object, Value},
};
use carillon_socketio::{CloseReason, Incoming, Sent, Transport};
use tokio::time::{Instant, sleep};

use super::{
    upgrade,
    wire::{Nodes, Wire},
};
use crate::{
    application::{App, broadcast, place},
    recorder::{config, get, post, quiet},
    transport::Written,
};

fn closed(node: &App, reason: CloseReason) -> u64 {
    let mut counts = node.engine.counters().closed_by_reason();
    counts.find(|(known, _)| *known == reason).unwrap().1
}

#[tokio::test(start_paused = true)]
async fn everything_goes_along_and_each_handler_hears_of_it_once() {
    let nodes = Nodes::new(&quiet());
    let (session, old) = nodes.join("{\"recoverable\":true,\"rooms\":[\"r\"]}").await;
    nodes.publish(broadcast("before", &["r"], &[]));
    while old.offset() != place(1) {
        tokio::task::yield_now().await;
    }

    let wire = Wire::new(&nodes, &session);
    let mut client = upgrade(&nodes, &session, &wire).await;
    client.send("427[\"echo\",1]").await;

    assert_eq!(
        client.text().await,
        "42[\"before\",\"k3Zp09aQ.0000000000000001\"]"
    );
    assert_eq!(client.text().await, "437[1]");
    nodes.publish(broadcast("after", &["r"], &[]));
    assert_eq!(client.text().await, "42[\"after\",\"k3Zp09aQ.0000000000000002\"]");
    wire.wait("arrived").await;
    nodes.x.handler.wait("handed over /").await;
    let new = nodes.y.hub.find("/", old.id()).unwrap();
    assert_eq!((new.pid(), new.offset()), (old.pid(), place(2)));
    assert_eq!(new.data(), old.data());
    assert_eq!(
        (old.emit(&[]), new.session().handshake().headers.len()),
        (Sent::Closed, 0)
    );
    let attended: BTreeSet<String> = wire
        .attended
        .lock()
        .iter()
        .map(|(nsp, room)| format!("{nsp} {}", room.as_str()))
        .collect();
    assert_eq!(
        attended,
        BTreeSet::from(["/ r".into(), format!("/ {}", old.id())])
    );
    assert_eq!(
        nodes.x.handler.log(),
        ["connect resume=false", "connected /", "handed over /"]
    );
    assert_eq!(
        nodes.y.handler.log(),
        ["arrive / 203.0.113.7", "arrived /", "event echo"]
    );
    assert_eq!(wire.steps(), ["probe", "brief", "attend", "export", "arrived"]);
    let (x, y) = (nodes.x.engine.counters(), nodes.y.engine.counters());
    assert_eq!((x.upgraded(), x.live(), y.arrived(), y.live()), (1, 0, 1, 1));
    assert_eq!(closed(&nodes.x, CloseReason::Moved), 1);

    client.hang_up();
    nodes.y.handler.wait("disconnected /: transport close").await;
    assert!(nodes.are_empty());
    let (_frames, close) = client.rest().await;
    assert_eq!(close, Some(None));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_the_old_node_answers_late_requests_for_a_while() {
    let nodes = Nodes::new(&quiet());
    let (session, _socket) = nodes.join("").await;
    let _client = upgrade(&nodes, &session, &Wire::new(&nodes, &session)).await;
    nodes.x.handler.wait("handed over /").await;

    let engine = &nodes.x.engine;
    let left = engine.session(session.sid()).unwrap();
    assert_eq!(left.transport(), Transport::WebSocket);
    assert!(left.poll().is_none() && left.post().is_none() && left.probe_elsewhere().is_none());
    let (mut second, reader, sink) = crate::transport::pair(8);
    engine.run(engine.upgrade(&left), reader, sink).await;
    assert_eq!(second.next().await, Some(Written::Close(None)));

    sleep(engine.config().close_grace).await;
    assert!(engine.session(session.sid()).is_none());
}

#[tokio::test(start_paused = true)]
async fn held_polls_are_released_and_others_refused_while_the_owner_is_probed() {
    let nodes = Nodes::new(&quiet());
    let (session, _socket) = nodes.join("").await;
    let poll = session.poll().unwrap();
    let mut client = nodes.websocket(&session, &Wire::new(&nodes, &session));
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    assert_eq!(poll.payload().await.unwrap(), "6");
    assert!(!session.takes_upgrade() && session.probe_elsewhere().is_none());

    let begun = Instant::now();
    assert_eq!(get(&session).await, "6");
    assert!(begun.elapsed() <= Duration::from_millis(100));
    // Another WebSocket, here or there, is accepted and closed; this one stays.
    let mut second = nodes.websocket(&session, &Wire::new(&nodes, &session));
    second.send("2probe").await;
    assert_eq!(second.next().await, Some(Written::Close(None)));
    client.send("5").await;
    nodes.y.handler.wait("arrived /").await;
    client.send("421[\"echo\"]").await;
    assert_eq!(client.text().await, "431[]");
}

#[tokio::test(start_paused = true)]
async fn what_was_posted_is_worked_off_at_the_old_node_first() {
    let nodes = Nodes::new(&quiet());
    let (session, _socket) = nodes.join("").await;
    let mut client = nodes.websocket(&session, &Wire::new(&nodes, &session));
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    post(&session, "420[\"slow\",\"400\"]\u{1e}421[\"echo\",\"x\"]").await;
    post(&session, "422[\"slow\",\"100\"]").await;

    client.send("5").await;
    client.send("423[\"echo\",\"y\"]").await;

    assert_eq!(client.text().await, "430[\"400\"]");
    assert_eq!(client.text().await, "431[\"x\"]");
    assert_eq!(client.text().await, "432[\"100\"]");
    assert_eq!(client.text().await, "433[\"y\"]");
    let events = |node: &App| {
        let log = node.handler.log();
        log.iter().filter(|entry| entry.starts_with("event")).count()
    };
    assert_eq!((events(&nodes.x), events(&nodes.y)), (3, 1));
}

/// Nobody takes from the queue meanwhile: the answers must not wait for room in it.
#[tokio::test(start_paused = true)]
async fn a_queue_that_is_half_full_does_not_stop_the_move() {
    let nodes = Nodes::new(&quiet());
    let (session, socket) = nodes.join("").await;
    let mut client = nodes.websocket(&session, &Wire::new(&nodes, &session));
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    for _ in 0..600 {
        assert_eq!(socket.emit(&[Value::from("much")]), Sent::Queued);
    }
    post(&session, "420[\"echo\"]\u{1e}421[\"echo\"]").await;

    client.send("5").await;

    for _ in 0..600 {
        assert_eq!(client.text().await, "42[\"much\"]");
    }
    assert_eq!(client.text().await, "430[]");
    assert_eq!(client.text().await, "431[]");
}

#[tokio::test(start_paused = true)]
async fn each_side_of_the_fence_has_its_broadcasts() {
    // The new node sees each thing a tenth of a second later.
    let nodes = Nodes::lagging(&quiet(), vec![0], vec![100]);
    let (session, _socket) = nodes.join("{\"recoverable\":true,\"rooms\":[\"r\"]}").await;
    let wire = Wire::held(&nodes, &session, "export");
    nodes.publish(broadcast("a", &["r"], &[]));
    let mut client = upgrade(&nodes, &session, &wire).await;
    wire.wait("export").await;
    nodes.publish(broadcast("b", &["r"], &[]));
    wire.release();
    tokio::task::yield_now().await;
    nodes.publish(broadcast("c", &["r"], &[]));
    nodes.publish(broadcast("d", &[], &["r"]));
    nodes.publish(broadcast("e", &["r"], &[]));

    for (name, number) in [("a", 1), ("b", 2), ("c", 3), ("e", 5)] {
        assert_eq!(
            client.text().await,
            format!("42[\"{name}\",\"{}\"]", place(number))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_in_no_log_goes_along_and_keeps_nothing_back() {
    let nodes = Nodes::new(&quiet());
    let (session, old) = nodes.join("{\"recoverable\":true,\"rooms\":[\"r\"]}").await;
    old.lose_place();
    let wire = Wire::new(&nodes, &session);
    let mut client = upgrade(&nodes, &session, &wire).await;
    wire.wait("arrived").await;

    let out_of_the_log = broadcast("read from the store", &["r"], &[]);
    nodes.y.hub.deliver(&out_of_the_log, Some(Offset::NOWHERE));

    assert_eq!(
        client.text().await,
        format!("42[\"read from the store\",\"{}\"]", Offset::NOWHERE)
    );
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_packet_may_come_over_the_other_node() {
    let nodes = Nodes::new(&quiet());
    let (session, _socket) = nodes.join("").await;
    let head = r#"452-3["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    assert!(post(&session, &format!("{head}\u{1e}bAQI=")).await);

    let mut client = upgrade(&nodes, &session, &Wire::new(&nodes, &session)).await;
    client.incoming(Incoming::Binary(vec![3].into())).await;

    assert_eq!(
        client.text().await,
        r#"462-3[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#
    );
    for attachment in [vec![1, 2], vec![3]] {
        let frame = Frame::Binary(attachment.into());
        assert_eq!(client.next().await, Some(Written::Frame(frame)));
    }
    client.send("421[\"echo\"]").await;
    assert_eq!(client.text().await, "431[]");
}

#[tokio::test(start_paused = true)]
async fn the_parser_goes_along() {
    let nodes = Nodes::new(&quiet());
    let session = nodes.open();
    let encode = |body| {
        let packet = Packet {
            nsp: "/".into(),
            body,
        };
        Parser::Msgpack.encode(&packet).remove(0)
    };
    let connect = encode(Body::Connect(Object::new().into()));
    let connect = carillon_protocol::engine::payload::encode(&[connect]);
    assert!(post(&session, &connect).await);
    get(&session).await;

    let mut client = upgrade(&nodes, &session, &Wire::new(&nodes, &session)).await;
    let event = Body::Event {
        args: vec!["echo".into(), Value::Int(5)],
        id: Some(0),
    };
    let Frame::Binary(event) = encode(event) else {
        panic!("msgpack is binary")
    };
    client.incoming(Incoming::Binary(event)).await;
    let answer = encode(Body::Ack {
        args: vec![Value::Int(5)],
        id: 0,
    });
    assert_eq!(client.next().await, Some(Written::Frame(answer)));
    // Text is of the other parser, which this client does not speak.
    client.send("420[\"echo\"]").await;
    assert_eq!(client.next().await, Some(Written::Close(None)));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_joined_nothing_moves_and_keeps_its_time_to_join() {
    let config = carillon_socketio::Config {
        connect_timeout: Some(Duration::from_secs(5)),
        ..quiet()
    };
    let nodes = Nodes::new(&config);
    let begun = Instant::now();
    let session = nodes.open();
    sleep(Duration::from_secs(2)).await;
    let mut client = upgrade(&nodes, &session, &Wire::new(&nodes, &session)).await;

    assert_eq!(client.rest().await, (vec![], Some(None)));
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(closed(&nodes.y, CloseReason::ConnectTimeout), 1);

    let session = nodes.open();
    let mut client = upgrade(&nodes, &session, &Wire::new(&nodes, &session)).await;
    client.send("40").await;
    nodes.y.joined(&client.text().await);
    assert!(client.is_silent_for(Duration::from_secs(10)).await);
}

#[tokio::test(start_paused = true)]
async fn acks_asked_for_before_do_not_answer_those_asked_for_after() {
    let nodes = Nodes::new(&quiet());
    let (session, old) = nodes.join("").await;
    let ask = |node: &App| node.hub.ask(&broadcast("who", &[], &[]), Duration::from_secs(60));
    let mut asked_before = ask(&nodes.x);
    assert_eq!(get(&session).await, "420[\"who\"]");
    let wire = Wire::new(&nodes, &session);
    let mut client = upgrade(&nodes, &session, &wire).await;
    nodes.y.handler.wait("arrived /").await;

    assert_eq!(asked_before.next().await, None);
    assert!(nodes.x.hub.find("/", old.id()).is_none());
    let mut asked_after = ask(&nodes.y);
    assert_eq!(client.text().await, "421[\"who\"]");
    client.send("430[\"late\"]").await;
    client.send("431[\"me\"]").await;
    assert_eq!(asked_after.next().await, Some(Value::from("me")));
}

#[tokio::test(start_paused = true)]
async fn pings_come_no_later_for_the_move() {
    let nodes = Nodes::new(&config());
    let begun = Instant::now();
    let (session, _socket) = nodes.join("").await;
    let wire = Wire::slow(&nodes, &session, Duration::from_millis(20));
    let mut client = upgrade(&nodes, &session, &wire).await;

    for _ in 0..3 {
        let waited = Instant::now();
        assert_eq!(client.text().await, "2");
        assert!(waited.elapsed() <= Duration::from_millis(300));
        client.send("3").await;
    }
    assert!(begun.elapsed() <= Duration::from_millis(900));
    assert_eq!(client.text().await, "2");
    let last = Instant::now();
    client.rest().await;
    assert_eq!(last.elapsed(), Duration::from_millis(200));
    nodes.y.handler.wait("disconnected /: ping timeout").await;
}

#[tokio::test(start_paused = true)]
async fn a_pong_that_waits_in_the_websocket_during_the_move_counts() {
    let nodes = Nodes::new(&config());
    let (session, _socket) = nodes.join("").await;
    assert_eq!(get(&session).await, "2");
    // The ping came after 300 ms, its pong is due at 500; from 490 to 830 the session moves.
    sleep(Duration::from_millis(190)).await;
    let wire = Wire::held(&nodes, &session, "export");
    let mut client = upgrade(&nodes, &session, &wire).await;
    wire.wait("export").await;
    client.send("3").await;
    sleep(Duration::from_millis(340)).await;
    wire.release();

    assert_eq!(client.text().await, "2");
    client.send("3").await;
    assert_eq!(client.text().await, "2");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_token_goes_along() {
    let nodes = Nodes::new(&quiet());
    let (session, _socket) = nodes.join("").await;
    let end = Instant::now() + Duration::from_secs(60);
    session.expire_at(Some(end));
    let mut client = upgrade(&nodes, &session, &Wire::new(&nodes, &session)).await;

    assert_eq!(client.rest().await, (vec![], Some(None)));
    assert!(end - Duration::from_millis(1) <= Instant::now() && Instant::now() <= end);
    assert_eq!(closed(&nodes.y, CloseReason::Expired), 1);
}

/// Whoever has something for the client at that moment has it taken along, or hears that the socket is gone.
#[tokio::test(start_paused = true)]
async fn what_was_taken_before_the_fence_is_exported_whoever_gives_it_at_once() {
    for _ in 0..50 {
        let nodes = Nodes::new(&quiet());
        let (session, socket) = nodes.join("").await;
        let leaving = session.probe_elsewhere().unwrap();
        let departure = leaving.upgrade().await.unwrap();
        let (queued, export) = std::thread::scope(|scope| {
            let (started, wait) = std::sync::mpsc::channel();
            let giving = scope.spawn(move || {
                started.send(()).unwrap();
                let give = |number| socket.emit(&[Value::from("n"), Value::Int(number)]);
                (0..1_000)
                    .take_while(|number| give(*number) == Sent::Queued)
                    .count()
            });
            wait.recv().unwrap();
            let export = departure.export().unwrap();
            (giving.join().unwrap(), export)
        });
        let Ok(Value::Array(parts)) = Value::from_msgpack(&export.to_bytes()) else {
            panic!("a list")
        };
        let numbered = (0..queued).map(|number| Value::from(format!("42[\"n\",{number}]")));
        assert_eq!(parts[1], Value::Array(numbered.collect()));
    }
}
