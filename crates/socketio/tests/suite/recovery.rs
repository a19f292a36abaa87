//! Connection state recovery, as far as sockets know of it.

use std::{sync::Arc, time::Duration};

use carillon_protocol::{
    adapter::{Broadcast, Offset},
    value::Value,
};
use carillon_socketio::{CloseReason, Config, Sent};

use crate::{
    application::{App, TestSocket, broadcast, missed, place},
    recorder::quiet,
    transport::{Client, Written},
};

const RESUME: &str = r#"40{"recoverable":true,"pid":"pid0","offset":"k3Zp09aQ.0000000000000003"}"#;

/// A session `pid0` that is lost; its socket.
async fn lost(app: &App) -> TestSocket {
    let (mut client, socket) = app.join("{\"recoverable\":true,\"rooms\":[\"a\"]}").await;
    assert_eq!(socket.pid().map(|pid| &**pid), Some("pid0"));
    client.hang_up();
    app.handler.wait("disconnected /: transport close").await;
    app.handler.lost.lock().insert("pid0".into(), socket.id().clone());
    socket
}

fn deliver(app: &App, name: &'static str, number: u64) {
    app.hub.deliver(&broadcast(name, &[], &[]), Some(place(number)));
}

/// Asks for the lost session; what it missed is not read before [`read`].
async fn resuming(app: &App) -> Client {
    app.handler.reading.forget_permits(100);
    let (client, _session) = app.open().await;
    client.send(RESUME).await;
    app.handler.wait("missed since k3Zp09aQ.0000000000000003").await;
    client
}

fn read(app: &App, events: Option<Vec<carillon_socketio::MissedEvent>>) {
    *app.handler.missed.lock() = events;
    app.handler.reading.add_permits(100);
}

async fn assert_texts(client: &mut Client, expected: &[&str]) {
    for expected in expected {
        assert_eq!(client.text().await, *expected);
    }
}

#[tokio::test(start_paused = true)]
async fn missed_events_come_before_the_confirmation() {
    let app = App::quiet();
    let old = lost(&app).await;
    *app.handler.missed.lock() = Some(vec![missed("a", 4), missed("b", 5)]);
    let (mut client, _session) = app.open().await;

    client.send(RESUME).await;

    assert_texts(
        &mut client,
        &[
            "42[\"a\",\"k3Zp09aQ.0000000000000004\"]",
            "42[\"b\",\"k3Zp09aQ.0000000000000005\"]",
        ],
    )
    .await;
    assert_eq!(
        client.text().await,
        format!("40{{\"sid\":\"{}\",\"pid\":\"pid0\"}}", old.id())
    );
    let socket = app.hub.find("/", old.id()).unwrap();
    assert!(!Arc::ptr_eq(&old, &socket));
    socket.emit(&[Value::from("c")]);
    assert_texts(&mut client, &["42[\"c\",\"k3Zp09aQ.0000000000000005\"]"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_place_that_was_lost_is_told_until_an_event_has_one() {
    let app = App::quiet();
    let (mut client, socket) = app.join("{\"recoverable\":true}").await;
    deliver(&app, "a", 4);
    let seen = socket.offset();
    socket.lose_place();
    socket.emit(&[Value::from("own")]);
    app.hub.deliver(&broadcast("text", &[], &[]), None);
    socket.advance(seen, place(5));
    socket.emit(&[Value::from("own")]);
    deliver(&app, "b", 6);
    socket.emit(&[Value::from("own")]);

    let expected = [
        "42[\"a\",\"k3Zp09aQ.0000000000000004\"]",
        "42[\"own\",\"nowhere0.0000000000000000\"]",
        "42[\"text\",\"nowhere0.0000000000000000\"]",
        "42[\"own\",\"nowhere0.0000000000000000\"]",
        "42[\"b\",\"k3Zp09aQ.0000000000000006\"]",
        "42[\"own\",\"k3Zp09aQ.0000000000000006\"]",
    ];
    assert_texts(&mut client, &expected).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_node_hears_later_than_the_log_has_it_is_not_given_again() {
    let app = App::quiet();
    lost(&app).await;
    let mut client = resuming(&app).await;
    // The client has had it from the node that it was on.
    deliver(&app, "known", 3);
    read(&app, Some(vec![missed("a", 4), missed("c", 6)]));
    assert_texts(
        &mut client,
        &[
            "42[\"a\",\"k3Zp09aQ.0000000000000004\"]",
            "42[\"c\",\"k3Zp09aQ.0000000000000006\"]",
        ],
    )
    .await;
    assert!(client.text().await.starts_with("40{"));

    for (name, number) in [("known", 3), ("a", 4), ("c", 6), ("d", 7)] {
        deliver(&app, name, number);
    }

    assert_texts(&mut client, &["42[\"d\",\"k3Zp09aQ.0000000000000007\"]"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_the_missed_is_read_is_neither_lost_nor_doubled() {
    let app = App::quiet();
    let old = lost(&app).await;
    let mut client = resuming(&app).await;
    let socket = app.hub.find("/", old.id()).unwrap();

    deliver(&app, "b", 5);
    assert_eq!(socket.emit(&[Value::from("own")]), Sent::Queued);
    app.hub.deliver(
        &Broadcast {
            volatile: true,
            ..broadcast("typing", &[], &[])
        },
        None,
    );
    deliver(&app, "c", 6);
    deliver(&app, "d", 7);
    assert!(client.is_silent_for(Duration::from_secs(1)).await);
    read(&app, Some(vec![missed("a", 4), missed("b", 5), missed("c", 6)]));

    assert_texts(
        &mut client,
        &[
            "42[\"a\",\"k3Zp09aQ.0000000000000004\"]",
            "42[\"b\",\"k3Zp09aQ.0000000000000005\"]",
            "42[\"c\",\"k3Zp09aQ.0000000000000006\"]",
        ],
    )
    .await;
    app.joined(&client.text().await);
    // The offset never goes back: what is sent after the missed events carries theirs.
    assert_texts(
        &mut client,
        &[
            "42[\"own\",\"k3Zp09aQ.0000000000000006\"]",
            "42[\"typing\",\"k3Zp09aQ.0000000000000006\"]",
            "42[\"d\",\"k3Zp09aQ.0000000000000007\"]",
        ],
    )
    .await;
    deliver(&app, "e", 8);
    assert_texts(&mut client, &["42[\"e\",\"k3Zp09aQ.0000000000000008\"]"]).await;
}

#[tokio::test(start_paused = true)]
async fn where_something_may_be_missing_the_session_is_new() {
    let app = App::quiet();
    let old = lost(&app).await;
    let mut client = resuming(&app).await;
    let half_resumed = app.hub.find("/", old.id()).unwrap();

    deliver(&app, "x", 5);
    read(&app, None);

    let socket = app.joined(&client.text().await);
    assert!(socket.id() != old.id() && socket.pid().map(|pid| &**pid) == Some("pid1"));
    assert_eq!(half_resumed.emit(&[Value::from("late")]), Sent::Closed);
    assert!(app.hub.find("/", old.id()).is_none());
    deliver(&app, "y", 6);
    assert_texts(&mut client, &["42[\"y\",\"k3Zp09aQ.0000000000000006\"]"]).await;
    let log = app.handler.log();
    let tail: Vec<_> = log.iter().rev().take(5).rev().collect();
    assert_eq!(
        tail,
        [
            "connect resume=true",
            "missed since k3Zp09aQ.0000000000000003",
            "given up /",
            "connect resume=false",
            "connected /"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn where_something_without_a_place_came_meanwhile_the_session_is_new() {
    let app = App::quiet();
    let old = lost(&app).await;
    let mut client = resuming(&app).await;
    // The same event: this node gave up waiting for its place, and the log has it.
    app.hub.deliver(&broadcast("a", &[], &[]), Some(Offset::NOWHERE));
    read(&app, Some(vec![missed("a", 4)]));

    assert_ne!(app.joined(&client.text().await).id(), old.id());
    deliver(&app, "b", 5);
    assert_texts(&mut client, &["42[\"b\",\"k3Zp09aQ.0000000000000005\"]"]).await;
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_for_a_client_makes_the_session_new() {
    let too_many = || -> Vec<_> { (0..9).map(|number| missed("x", number)).collect() };
    let too_large = Config {
        queue_bytes: 100,
        ..quiet()
    };
    for config in [
        Config {
            queue_packets: 9,
            ..quiet()
        },
        Config {
            queue_packets: 8,
            ..quiet()
        },
        too_large,
    ] {
        let app = App::new(config);
        let old = lost(&app).await;
        *app.handler.missed.lock() = Some(too_many());
        let (mut client, session) = app.open().await;

        client.send(RESUME).await;

        let socket = app.joined(&client.text().await);
        assert!(socket.id() != old.id() && !session.is_closed());
        assert!(app.handler.log().contains(&"given up /".to_owned()));
        deliver(&app, "y", 99);
        assert_texts(&mut client, &["42[\"y\",\"k3Zp09aQ.0000000000000099\"]"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_is_held_back_makes_the_session_new() {
    let app = App::quiet();
    let old = lost(&app).await;
    let mut client = resuming(&app).await;

    for number in 0..1_500 {
        deliver(&app, "x", number);
    }
    read(&app, Some(vec![]));

    assert_ne!(app.joined(&client.text().await).id(), old.id());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_pid_or_half_a_request_makes_the_session_new() {
    let requests = [
        (
            r#"{"recoverable":true,"pid":"other","offset":"k3Zp09aQ.0000000000000003"}"#,
            true,
        ),
        (r#"{"recoverable":true,"pid":"pid0"}"#, false),
        (
            r#"{"recoverable":true,"offset":"k3Zp09aQ.0000000000000003"}"#,
            false,
        ),
        (
            r#"{"recoverable":true,"pid":7,"offset":"k3Zp09aQ.0000000000000003"}"#,
            false,
        ),
    ];
    for (auth, asks) in requests {
        let app = App::quiet();
        let (_client, socket) = app.join(auth).await;

        assert_eq!(socket.pid().map(|pid| &**pid), Some("pid0"));
        assert_eq!(
            app.handler.log(),
            [format!("connect resume={asks}"), "connected /".to_owned()],
            "{auth}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_offset_is_a_place_in_no_log() {
    for offset in ["", "-", "1692345678901-0", "k3Zp09aQ.3"] {
        let app = App::quiet();
        let old = lost(&app).await;
        let (mut client, _session) = app.open().await;
        *app.handler.missed.lock() = None;
        client
            .send(&format!(
                r#"40{{"recoverable":true,"pid":"pid0","offset":"{offset}"}}"#
            ))
            .await;
        assert_ne!(app.joined(&client.text().await).id(), old.id());
        let asked = "missed since nowhere0.0000000000000000".to_owned();
        assert!(app.handler.log().contains(&asked), "{offset}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_superseded_session_ends_at_once_and_its_end_does_not_touch_the_new_one() {
    let app = App::quiet();
    let (mut old_client, old) = app.join("{\"recoverable\":true}").await;
    old.emit(&[Value::from("before")]);

    app.hub.supersede(&old);
    assert_eq!(app.hub.deliver(&broadcast("x", &[], &[]), None), 0);
    assert_eq!(old.emit(&[Value::from("late")]), Sent::Closed);
    app.handler.lost.lock().insert("pid0".into(), old.id().clone());
    let (mut client, _session) = app.open().await;
    client.send(RESUME).await;
    app.joined(&client.text().await);

    assert_texts(&mut old_client, &["42[\"before\",\"k3Zp09aQ.0000000000000000\"]"]).await;
    assert_eq!(old_client.next().await, Some(Written::Close(None)));
    app.handler.wait("disconnected /: superseded").await;
    assert!(app.hub.find("/", old.id()).is_some());
    app.hub.supersede(&old);
    deliver(&app, "y", 4);
    assert_texts(&mut client, &["42[\"y\",\"k3Zp09aQ.0000000000000004\"]"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_still_there_is_not_taken_over() {
    let app = App::quiet();
    let (_old_client, old) = app.join("{\"recoverable\":true}").await;
    app.handler.lost.lock().insert("pid0".into(), old.id().clone());
    let (mut client, _session) = app.open().await;

    client.send(RESUME).await;

    let socket = app.joined(&client.text().await);
    assert_ne!(socket.id(), old.id());
    assert!(Arc::ptr_eq(&old, &app.hub.find("/", old.id()).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_while_it_is_resumed_is_told_as_lost() {
    let app = App::quiet();
    let old = lost(&app).await;
    let mut client = resuming(&app).await;
    let resumed = app.hub.find("/", old.id()).unwrap();

    client.hang_up();
    resumed.session().close(CloseReason::PingTimeout);
    read(&app, Some(vec![missed("a", 4)]));
    app.handler.wait("disconnected /: ping timeout").await;

    let log = app.handler.log();
    let tail: Vec<_> = log.iter().rev().take(2).rev().collect();
    assert_eq!(tail, ["connected /", "disconnected /: ping timeout"]);
    assert!(app.hub.find("/", old.id()).is_none());
}
