//! The server has clients leave a namespace.

use std::{sync::Arc, time::Duration};

use carillon_protocol::{
    engine::Frame,
    id::Room,
    socket::{Body, Packet, Parser},
    value::{Object, Value},
};
use carillon_socketio::{CloseReason, Handshake, Incoming, Selection, Sent};

use crate::{
    application::{App, TestSocket, broadcast, place, room},
    recorder::{get, post},
    transport::Written,
};

fn all<'a>(rooms: &'a [Room]) -> Selection<'a> {
    Selection {
        nsp: "/",
        rooms,
        except: &[],
    }
}

fn disconnect(app: &App, socket: &TestSocket, close: bool) -> usize {
    app.hub.disconnect(all(&[socket.room().clone()]), close)
}

#[tokio::test(start_paused = true)]
async fn the_client_is_told_after_what_it_was_given_and_the_handler_once() {
    let app = App::quiet();
    let (mut client, socket) = app.join("{\"rooms\":[\"a\"]}").await;
    let (mut other, _other_socket) = app.join("").await;

    app.hub.deliver(&broadcast("before", &["a"], &[]), None);
    assert_eq!(disconnect(&app, &socket, false), 1);
    assert_eq!(disconnect(&app, &socket, false), 0);
    assert!(app.hub.rooms_of(&socket).is_empty() && app.hub.find("/", socket.id()).is_none());
    assert_eq!(app.hub.deliver(&broadcast("after", &["a"], &[]), None), 0);
    assert_eq!(socket.emit(&[Value::from("after")]), Sent::Closed);

    assert_eq!(client.text().await, "42[\"before\"]");
    assert_eq!(client.text().await, "41");
    app.handler
        .wait("disconnected /: server namespace disconnect")
        .await;
    app.hub.deliver(&broadcast("other", &[], &[]), None);
    assert_eq!(other.text().await, "42[\"other\"]");
    client.hang_up();
    client.rest().await;
    let ends = app.handler.log();
    let ends = ends.iter().filter(|entry| entry.starts_with("disconnected"));
    assert_eq!(ends.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_client_said_before_it_knew_is_passed_over_and_it_may_join_again() {
    let app = App::quiet();
    let (mut client, socket) = app.join("").await;

    disconnect(&app, &socket, false);
    for packet in ["421[\"echo\"]", "31[]", "41", "420[\"echo\"]", "40"] {
        client.send(packet).await;
    }

    assert_eq!(client.text().await, "41");
    app.joined(&client.text().await);
    client.send("427[\"echo\",1]").await;
    assert_eq!(client.text().await, "437[1]");
    assert_eq!(
        app.handler.log(),
        [
            "connect resume=false",
            "connected /",
            "disconnected /: server namespace disconnect",
            "connect resume=false",
            "connected /",
            "event echo",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_told_after_the_event_it_is_busy_with_whose_answer_is_not_sent() {
    let app = App::quiet();
    let (mut client, socket) = app.join("").await;

    client.send("421[\"slow\",\"500\"]").await;
    client.send("422[\"echo\"]").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    disconnect(&app, &socket, false);

    assert_eq!(client.text().await, "41");
    app.handler
        .wait("disconnected /: server namespace disconnect")
        .await;
    client.send("40").await;
    app.joined(&client.text().await);
    assert_eq!(
        app.handler.log()[2..4],
        ["event slow", "disconnected /: server namespace disconnect"]
    );
}

#[tokio::test(start_paused = true)]
async fn with_close_every_namespace_is_left_and_the_session_ends_after_what_is_queued() {
    let app = App::quiet();
    let (mut client, socket) = app.join("").await;
    client.send("40/chat").await;
    client.text().await;

    assert_eq!(disconnect(&app, &socket, true), 1);

    let (frames, code) = client.rest().await;
    assert_eq!(frames, [Frame::Text("41".into()), Frame::Text("41/chat,".into())]);
    assert_eq!(code, Some(None));
    for nsp in ["/", "/chat"] {
        app.handler
            .wait(&format!("disconnected {nsp}: server namespace disconnect"))
            .await;
    }
    let ends = app.engine.counters().closed_by_reason();
    let forced = ends.filter(|(reason, count)| *reason == CloseReason::ForcedClose && *count == 1);
    assert_eq!(forced.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_polling_client_gets_it_with_its_next_poll() {
    let app = App::quiet();
    let open = app.engine.open_polling(Handshake::default());
    let session = app.engine.session(open.split('"').nth(3).unwrap()).unwrap();
    post(&session, "40").await;
    let socket = app.joined(&get(&session).await);
    let poll = session.poll().unwrap();

    disconnect(&app, &socket, false);
    assert_eq!(poll.payload().await.unwrap(), "41");
    app.handler
        .wait("disconnected /: server namespace disconnect")
        .await;
    post(&session, "40").await;
    let socket = app.joined(&get(&session).await);
    socket.emit(&[Value::from("last")]);
    disconnect(&app, &socket, true);
    while !session.is_closed() {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(&session).await, "42[\"last\"]\u{1e}41\u{1e}1");
    assert!(session.poll().is_none());
}

#[tokio::test(start_paused = true)]
async fn msgpack_clients_get_it_in_their_parser() {
    let app = App::quiet();
    let (mut client, _session) = app.open().await;
    let packet = |body| Packet {
        nsp: "/".into(),
        body,
    };
    let frame = |body| match Parser::Msgpack.encode(&packet(body)).remove(0) {
        Frame::Binary(bytes) => bytes,
        Frame::Text(_) => panic!("msgpack is binary"),
    };
    client
        .incoming(Incoming::Binary(frame(Body::Connect(Object::new().into()))))
        .await;
    client.next().await;
    let sockets = app.hub.summaries(all(&[]));

    disconnect(&app, &sockets[0].socket, false);

    assert_eq!(
        client.next().await,
        Some(Written::Frame(Frame::Binary(frame(Body::Disconnect))))
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_being_resumed_is_told_once_it_has_what_it_missed() {
    let app = App::quiet();
    let (mut first, old) = app.join("{\"recoverable\":true}").await;
    first.hang_up();
    app.handler.wait("disconnected /: transport close").await;
    app.handler.lost.lock().insert("pid0".into(), old.id().clone());
    app.handler.reading.forget_permits(100);
    let (mut client, _session) = app.open().await;
    client
        .send(r#"40{"pid":"pid0","offset":"k3Zp09aQ.0000000000000003"}"#)
        .await;
    app.handler.wait("missed since k3Zp09aQ.0000000000000003").await;

    app.hub.deliver(&broadcast("held", &[], &[]), Some(place(4)));
    assert_eq!(disconnect(&app, &app.hub.find("/", old.id()).unwrap(), false), 1);
    assert_eq!(app.hub.deliver(&broadcast("late", &[], &[]), Some(place(5))), 0);
    *app.handler.missed.lock() = Some(vec![crate::application::missed("a", 3)]);
    app.handler.reading.add_permits(100);

    assert_eq!(client.text().await, "42[\"a\",\"k3Zp09aQ.0000000000000003\"]");
    assert!(client.text().await.starts_with("40{"));
    assert_eq!(client.text().await, "42[\"held\",\"k3Zp09aQ.0000000000000004\"]");
    assert_eq!(client.text().await, "41");
    app.handler
        .wait("disconnected /: server namespace disconnect")
        .await;
}

#[tokio::test(start_paused = true)]
async fn acks_that_it_owes_will_not_come() {
    let app = App::quiet();
    let (mut client, socket) = app.join("").await;
    let asking = {
        let socket = Arc::clone(&socket);
        app.tasks.spawn(async move {
            let event = [Value::from("ask")];
            socket.emit_with_ack(&event, Duration::from_secs(60)).await
        })
    };
    client.text().await;

    disconnect(&app, &socket, false);

    assert_eq!(asking.await.unwrap(), Err(carillon_socketio::AckError::Closed));
    assert!(app.hub.rooms("/").is_empty() && !app.hub.rooms("/").contains(&room("a")));
}
