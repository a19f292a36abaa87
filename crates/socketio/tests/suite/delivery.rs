//! Rooms, broadcasts and the offsets that they carry.

use carillon_protocol::{adapter::Broadcast, value::Value};
use carillon_socketio::Sent;

use crate::{
    application::{App, TestSocket, broadcast, place, room},
    recorder::quiet,
    transport::{Client, Written},
};

/// Three clients: `a` in rooms 1 and 2, `b` in 2, `c` in none.
async fn three(app: &App) -> [(Client, TestSocket); 3] {
    [
        app.join("{\"rooms\":[\"1\",\"2\"]}").await,
        app.join("{\"rooms\":[\"2\",\"2\"]}").await,
        app.join("").await,
    ]
}

/// An event, its rooms, those excepted, and which of the three get it.
type Vector<'a> = (&'static str, &'a [&'a str], &'a [&'a str], [bool; 3]);

/// What each client gets up to an event for all, which is sent last.
async fn drain(app: &App, clients: &mut [(Client, TestSocket)]) -> Vec<Vec<String>> {
    app.hub.deliver(&broadcast("end", &[], &[]), None);
    let mut all = Vec::new();
    for (client, _) in clients {
        let mut got = Vec::new();
        loop {
            let text = client.text().await;
            if text == "42[\"end\"]" {
                break;
            }
            got.push(
                text.trim_start_matches("42[\"")
                    .trim_end_matches("\"]")
                    .to_owned(),
            );
        }
        all.push(got);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn goes_once_to_each_in_any_of_the_rooms_and_none_of_the_excepted() {
    let app = App::quiet();
    let mut clients = three(&app).await;
    let own: Vec<String> = clients
        .iter()
        .map(|(_, socket)| socket.id().to_string())
        .collect();
    let [a, b, c] = [&*own[0], &*own[1], &*own[2]];
    let vectors: [Vector<'_>; 12] = [
        ("all", &[], &[], [true, true, true]),
        ("one", &["1"], &[], [true, false, false]),
        ("two", &["2"], &[], [true, true, false]),
        ("union", &["1", "2"], &[], [true, true, false]),
        ("twice", &["2", "2"], &[], [true, true, false]),
        ("own", &[c], &[], [false, false, true]),
        ("own and room", &[a, "1", "2"], &[], [true, true, false]),
        ("except room", &[], &["1"], [false, true, true]),
        ("except own", &["2"], &[b], [true, false, false]),
        ("except union", &["2", c], &["1", c], [false, true, false]),
        ("nobody", &["2"], &["2"], [false, false, false]),
        ("unknown", &["9"], &[], [false, false, false]),
    ];
    let mut expected = vec![Vec::new(); 3];
    for (name, to, except, who) in vectors {
        let count = app.hub.deliver(&broadcast(name, to, except), None);
        assert_eq!(count, who.iter().filter(|gets| **gets).count(), "{name}");
        for (index, gets) in who.iter().enumerate() {
            expected[index].extend(gets.then(|| name.to_owned()));
        }
    }

    assert_eq!(drain(&app, &mut clients).await, expected);
    let total: usize = expected.iter().map(Vec::len).sum();
    assert_eq!(app.engine.counters().delivered(), total as u64 + 3);
}

#[tokio::test(start_paused = true)]
async fn rooms_are_joined_and_left_and_the_own_room_stays() {
    let app = App::quiet();
    let mut clients = [app.join("").await];
    let socket = clients[0].1.clone();
    let own = socket.id().to_string();

    for _ in 0..2 {
        app.hub.join(&socket, room("x"));
    }
    app.hub.join(&socket, socket.room().clone());
    assert_eq!(app.hub.rooms_of(&socket), [room("x")]);
    assert_eq!(app.hub.deliver(&broadcast("in", &["x"], &[]), None), 1);
    app.hub.leave(&socket, &room("x"));
    app.hub.leave(&socket, &room("never"));
    app.hub.leave(&socket, socket.room());
    assert_eq!(app.hub.deliver(&broadcast("out", &["x"], &[]), None), 0);
    assert_eq!(app.hub.deliver(&broadcast("own", &[&own], &[]), None), 1);

    assert_eq!(drain(&app, &mut clients).await, [["in", "own"]]);
}

#[tokio::test(start_paused = true)]
async fn a_room_named_by_anothers_id_reaches_both_once() {
    let app = App::quiet();
    let mut clients = three(&app).await;
    let target = clients[2].1.id().to_string();
    app.hub.join(&clients[0].1, room(&target));

    assert_eq!(app.hub.deliver(&broadcast("x", &[&target], &[]), None), 2);
    assert_eq!(app.hub.deliver(&broadcast("y", &[&target, "2"], &[]), None), 3);

    assert_eq!(
        drain(&app, &mut clients).await,
        [vec!["x", "y"], vec!["y"], vec!["x", "y"]]
    );
}

#[tokio::test(start_paused = true)]
async fn other_namespaces_get_nothing() {
    let app = App::quiet();
    let mut clients = three(&app).await;
    let elsewhere = Broadcast {
        nsp: "/chat".into(),
        ..broadcast("x", &[], &[])
    };

    assert_eq!(app.hub.deliver(&elsewhere, None), 0);

    assert_eq!(
        drain(&app, &mut clients).await,
        [const { Vec::<String>::new() }; 3]
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_socket_joins_nothing_and_gets_nothing() {
    let app = App::quiet();
    let (mut client, socket) = app.join("{\"rooms\":[\"a\"]}").await;
    client.hang_up();
    app.handler.wait("disconnected /: transport close").await;

    app.hub.join(&socket, room("a"));
    app.hub.leave(&socket, &room("a"));
    app.hub.supersede(&socket);
    app.hub.supersede(&socket);

    assert!(app.hub.rooms_of(&socket).is_empty());
    assert_eq!(app.hub.deliver(&broadcast("x", &["a"], &[]), None), 0);
    assert_eq!(socket.emit(&[Value::from("x")]), Sent::Closed);
    assert_eq!(client.rest().await.0, []);
}

#[tokio::test(start_paused = true)]
async fn volatile_events_are_dropped_where_the_queue_is_full_and_others_end_the_session() {
    let app = App::new(carillon_socketio::Config {
        queue_packets: 4,
        ..quiet()
    });
    let (mut client, socket) = app.join("").await;
    let volatile = Broadcast {
        volatile: true,
        ..broadcast("volatile", &[], &[])
    };

    let delivered: usize = (0..10).map(|_| app.hub.deliver(&volatile, None)).sum();
    assert_eq!((delivered, app.engine.counters().dropped()), (4, 6));
    assert!(!socket.session().is_closed());
    assert_eq!(app.hub.deliver(&broadcast("x", &[], &[]), None), 0);

    assert!(socket.session().is_closed());
    assert_eq!(client.rest().await.0, []);
    app.handler.wait("disconnected /: slow consumer").await;
}

#[tokio::test(start_paused = true)]
async fn offsets_are_for_sockets_that_can_be_recovered() {
    let app = App::quiet();
    let (mut recoverable, socket) = app.join("{\"recoverable\":true}").await;
    let (mut plain, other) = app.join("").await;

    socket.emit(&[Value::from("welcome")]);
    app.hub.deliver(&broadcast("a", &[], &[]), Some(place(1)));
    other.emit(&[Value::from("mine")]);
    socket.emit(&[Value::from("b")]);
    app.hub.deliver(
        &Broadcast {
            volatile: true,
            ..broadcast("c", &[], &[])
        },
        None,
    );
    app.hub.deliver(&broadcast("d", &[], &[]), Some(place(2)));
    assert_eq!(socket.offset(), place(2));
    socket.advance(place(1), place(9));
    assert_eq!(socket.offset(), place(2));
    socket.advance(place(2), place(3));
    socket.emit(&[Value::from("e"), Value::from(true)]);

    for expected in [
        "[\"welcome\",\"k3Zp09aQ.0000000000000000\"]",
        "[\"a\",\"k3Zp09aQ.0000000000000001\"]",
        "[\"b\",\"k3Zp09aQ.0000000000000001\"]",
        // The client would take the text at the end for its offset.
        "[\"c\",\"k3Zp09aQ.0000000000000001\"]",
        "[\"d\",\"k3Zp09aQ.0000000000000002\"]",
        "[\"e\",true,\"k3Zp09aQ.0000000000000003\"]",
    ] {
        assert_eq!(recoverable.text().await, format!("42{expected}"));
    }
    for expected in ["[\"a\"]", "[\"mine\"]", "[\"c\"]", "[\"d\"]"] {
        assert_eq!(plain.text().await, format!("42{expected}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_wants_an_ack_carries_no_offset() {
    let app = App::quiet();
    let (mut client, socket) = app.join("{\"recoverable\":true}").await;

    let event = [Value::from("ask")];
    let asking = socket.emit_with_ack(&event, std::time::Duration::from_secs(1));
    let answering = async {
        assert_eq!(client.text().await, "420[\"ask\"]");
        client.send("430[]").await;
    };

    assert_eq!(tokio::join!(asking, answering).0, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn one_event_is_written_for_each_parser() {
    let app = App::quiet();
    let (mut json, _socket) = app.join("{\"recoverable\":true}").await;
    let (mut msgpack, _session) = app.open().await;
    // {type: 0, data: {recoverable: true}, nsp: "/"}
    let join = b"\x83\xa4type\x00\xa4data\x81\xabrecoverable\xc3\xa3nsp\xa1/";
    msgpack
        .incoming(carillon_socketio::Incoming::Binary(join[..].into()))
        .await;
    msgpack.next().await;

    assert_eq!(app.hub.deliver(&broadcast("x", &[], &[]), Some(place(1))), 2);

    assert_eq!(json.text().await, "42[\"x\",\"k3Zp09aQ.0000000000000001\"]");
    let Some(Written::Frame(carillon_protocol::engine::Frame::Binary(event))) = msgpack.next().await else {
        panic!("no msgpack")
    };
    assert!(
        event
            .windows(34)
            .any(|part| part == b"\xa4data\x92\xa1x\xb9k3Zp09aQ.0000000000000001"),
        "{event:?}"
    );
}
