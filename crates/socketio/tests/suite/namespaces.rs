//! Joining and leaving namespaces, and what breaks the rules.

use std::time::Duration;

use carillon_protocol::{engine::Frame, value::Value};
use carillon_socketio::{CloseReason, Config, Handshake, Incoming, Sent};
use tokio::time::Instant;

use crate::{
    application::{App, broadcast},
    recorder::{get, quiet},
    transport::Written,
};

#[tokio::test(start_paused = true)]
async fn a_join_is_confirmed_before_anything_else() {
    let app = App::quiet();
    let (mut client, session) = app.open().await;

    client.send("40").await;
    client.send("42[\"emit\",\"first\"]").await;

    let socket = app.joined(&client.text().await);
    assert_eq!(client.text().await, "42[\"first\"]");
    assert_ne!(socket.id(), session.sid());
    assert_eq!(
        app.handler.log(),
        ["connect resume=false", "connected /", "event emit"]
    );
}

#[tokio::test(start_paused = true)]
async fn each_namespace_has_its_own_socket() {
    let app = App::quiet();
    let (mut client, first) = app.join("").await;

    client.send("40/chat,{}").await;

    let confirmation = client.text().await;
    assert!(confirmation.starts_with("40/chat,{\"sid\":\"") && !confirmation.contains(&**first.id()));
    client.send("42/chat,7[\"echo\",1]").await;
    assert_eq!(client.text().await, "43/chat,7[1]");
    client.send("429[\"echo\",2]").await;
    assert_eq!(client.text().await, "439[2]");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_namespace_and_a_refusal_end_nothing() {
    let app = App::quiet();
    let (mut client, _session) = app.open().await;

    client.send("40/random").await;
    assert_eq!(
        client.text().await,
        "44/random,{\"message\":\"Invalid namespace\"}"
    );
    client.send("40{\"refuse\":\"no\"}").await;
    assert_eq!(client.text().await, "44{\"message\":\"no\"}");
    client.send("40{\"refuse\":\"no\",\"data\":{\"code\":1}}").await;
    assert_eq!(
        client.text().await,
        "44{\"message\":\"no\",\"data\":{\"code\":1}}"
    );
    client.send("40").await;
    app.joined(&client.text().await);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_the_rules_closes_the_connection() {
    let joined = [
        "40",
        "42[]",
        "42[\"connect\"]",
        "44{\"message\":\"x\"}",
        "42/chat,[\"a\"]",
        "4x",
        "40\"text\"",
    ];
    let unjoined = ["42[\"echo\"]", "430[]", "41", "44{}", "49"];
    for (joins, packets) in [(true, &joined[..]), (false, &unjoined[..])] {
        for packet in packets {
            let app = App::quiet();
            let (mut client, session) = app.open().await;
            if joins {
                client.send("40").await;
                app.joined(&client.text().await);
            }

            client.send(packet).await;

            assert_eq!(client.next().await, Some(Written::Close(None)), "{packet}");
            assert!(session.is_closed());
            assert_eq!(client.next().await, None);
            let ends: Vec<_> = app
                .handler
                .log()
                .into_iter()
                .filter(|entry| entry.starts_with("dis"))
                .collect();
            let expected = if joins {
                vec!["disconnected /: forced close"]
            } else {
                vec![]
            };
            assert_eq!(ends, expected, "{packet}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_disconnect_the_client_may_join_again() {
    let app = App::quiet();
    let (mut client, first) = app.join("").await;

    client.send("41").await;
    app.handler
        .wait("disconnected /: client namespace disconnect")
        .await;

    assert!(app.hub.find("/", first.id()).is_none());
    assert_eq!(app.hub.deliver(&broadcast("nobody", &[], &[]), None), 0);
    assert_eq!(first.emit(&[Value::from("late")]), Sent::Closed);
    client.send("40").await;
    let second = app.joined(&client.text().await);
    assert_ne!(first.id(), second.id());
    assert_eq!(first.emit(&[Value::from("late")]), Sent::Closed);
    second.emit(&[Value::from("hello")]);
    assert_eq!(client.text().await, "42[\"hello\"]");
}

#[tokio::test(start_paused = true)]
async fn an_event_without_payload_is_passed_over() {
    let app = App::quiet();
    let (mut client, _socket) = app.join("").await;

    client.send("42").await;
    client.send("421[\"echo\"]").await;

    assert_eq!(client.text().await, "431[]");
}

#[tokio::test(start_paused = true)]
async fn every_namespace_is_told_of_the_end_once() {
    let app = App::quiet();
    let (mut client, socket) = app.join("{\"rooms\":[\"a\"]}").await;
    client.send("40/chat,").await;
    client.text().await;
    assert_eq!(app.hub.rooms_of(&socket).len(), 1);

    client.hang_up();
    app.handler.wait("disconnected /chat: transport close").await;

    let ends: Vec<_> = app
        .handler
        .log()
        .into_iter()
        .filter(|entry| entry.starts_with("dis"))
        .collect();
    assert_eq!(
        ends,
        [
            "disconnected /: transport close",
            "disconnected /chat: transport close"
        ]
    );
    assert!(app.hub.find("/", socket.id()).is_none());
    assert_eq!(socket.emit(&[Value::from("late")]), Sent::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_join_in_time_lifts_the_connect_timeout_for_good() {
    let app = App::new(Config {
        connect_timeout: Some(Duration::from_secs(45)),
        ..quiet()
    });
    let (mut idle, _session) = app.open().await;
    let (mut refused, _session) = app.open().await;
    let (client, _socket) = app.join("").await;
    let start = Instant::now();
    refused.send("40/random").await;
    refused.text().await;
    client.send("41").await;

    assert_eq!(idle.next().await, Some(Written::Close(None)));
    assert_eq!(refused.next().await, Some(Written::Close(None)));
    assert_eq!(start.elapsed(), Duration::from_secs(45));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(app.engine.counters().live(), 1);
}

#[tokio::test(start_paused = true)]
async fn speaks_msgpack_with_whom_does() {
    let app = App::quiet();
    let (mut client, _session) = app.open().await;
    let packet = |bytes: &'static [u8]| Incoming::Binary(bytes.into());

    // {type: 0, nsp: "/"}
    client.incoming(packet(b"\x82\xa4type\x00\xa3nsp\xa1/")).await;
    let Some(Written::Frame(Frame::Binary(confirmation))) = client.next().await else {
        panic!("no msgpack")
    };
    assert!(String::from_utf8_lossy(&confirmation).contains("sid"));

    // {type: 2, data: ["echo", 5], nsp: "/", id: 7} is answered by {type: 3, data: [5], nsp: "/", id: 7}
    client
        .incoming(packet(
            b"\x84\xa4type\x02\xa4data\x92\xa4echo\x05\xa3nsp\xa1/\xa2id\x07",
        ))
        .await;
    let answer = client.next().await;
    let Some(Written::Frame(Frame::Binary(answer))) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        answer.windows(6).any(|part| part == b"\xa4data\x91")
            && answer.windows(4).any(|part| part == b"\xa2id\x07")
    );

    client.send("42[\"echo\"]").await;
    assert_eq!(client.next().await, Some(Written::Close(None)));
}

#[tokio::test(start_paused = true)]
async fn a_polling_client_gets_its_confirmation_first_too() {
    let app = App::quiet();
    let open = app.engine.open_polling(Handshake::default());
    let session = app.engine.session(open.split('"').nth(3).unwrap()).unwrap();

    let body = "40\u{1e}42[\"emit\",\"a\"]\u{1e}420[\"echo\"]";
    session.post().unwrap().receive(body.into()).await.unwrap();
    app.handler.wait("event echo").await;

    let payload = get(&session).await;
    let packets: Vec<_> = payload.split('\u{1e}').collect();
    assert!(packets[0].starts_with("40{\"sid\":\""), "{payload}");
    assert_eq!(packets[1..], ["42[\"a\"]", "430[]"]);
    session.close(CloseReason::ForcedClose);
    assert_eq!(get(&session).await, "1");
}
