//! From polling to WebSocket.

use std::{sync::Arc, time::Duration};

use carillon_protocol::engine::Frame;
use carillon_socketio::{CloseReason, Incoming, Session, Transport};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    recorder::{Entry, Server, config, get, packet, post, quiet, text},
    transport::{Client, Written},
};

/// Upgrades a session without traffic.
async fn upgraded(server: &Server) -> (Arc<Session>, Client, JoinHandle<()>) {
    let session = server.open_polling();
    let (mut client, task) = server.probe(&session);
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    client.send("5").await;
    while session.transport() == Transport::Polling {
        tokio::task::yield_now().await;
    }
    (session, client, task)
}

#[tokio::test(start_paused = true)]
async fn releases_the_held_get_and_moves_everything() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    let poll = session.poll().unwrap();
    let (mut client, _task) = server.probe(&session);

    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    assert_eq!(poll.payload().await.unwrap(), "6");
    session.send(packet("4waits"), false);
    client.send("5").await;
    client.send("4hello").await;

    assert_eq!(client.text().await, "4waits");
    assert_eq!(server.log.wait(1).await, [text("hello")]);
    assert_eq!(
        (session.transport(), server.engine.counters().upgraded()),
        (Transport::WebSocket, 1)
    );
    assert!(session.poll().is_none() && session.post().is_none() && !session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn only_a_polling_session_that_is_not_being_probed_takes_an_upgrade() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    assert!(session.takes_upgrade());
    let (mut client, _task) = server.probe(&session);
    assert!(!session.takes_upgrade());
    client.send("5").await;
    client.rest().await;
    assert!(session.takes_upgrade());
    session.close(CloseReason::ForcedClose);
    assert!(!session.takes_upgrade());
    let (session, _client, _task) = upgraded(&server).await;
    assert!(!session.takes_upgrade());
}

#[tokio::test(start_paused = true)]
async fn a_get_during_the_upgrade_is_released_within_100_ms() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    let (mut client, _task) = server.probe(&session);
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");

    for _ in 0..4 {
        let start = Instant::now();
        assert_eq!(get(&session).await, "6");
        assert!(start.elapsed() <= Duration::from_millis(100));
    }

    assert!(post(&session, "4still").await);
    let held = session.poll().unwrap();
    client.send("5").await;
    assert_eq!(
        held.payload().await,
        None,
        "a poll is refused that came after the probe"
    );
    assert_eq!(server.log.wait(1).await, [text("still")]);
}

#[tokio::test(start_paused = true)]
async fn a_get_that_was_released_is_answered_though_the_upgrade_comes_first() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    let held = session.poll().unwrap();
    let (mut client, _task) = server.probe(&session);
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    client.send("5").await;
    while session.transport() == Transport::Polling {
        tokio::task::yield_now().await;
    }

    assert_eq!(held.payload().await.unwrap(), "6");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_leaves_the_session_as_it_was() {
    let wrong = [
        Incoming::Text("5".into()),
        Incoming::Text("2".into()),
        Incoming::Text("4a".into()),
        Incoming::Text("abc".into()),
        Incoming::Binary(vec![1].into()),
        Incoming::TooBig,
        Incoming::Invalid,
    ];
    let server = Server::new(quiet());
    let session = server.open_polling();
    for incoming in wrong {
        let (mut client, task) = server.probe(&session);
        client.incoming(incoming).await;
        assert_eq!(client.next().await, Some(Written::Close(None)));
        task.await.unwrap();
    }
    let (mut client, task) = server.probe(&session);
    client.hang_up();
    task.await.unwrap();
    assert_eq!(client.rest().await.0, []);

    assert!(post(&session, "4a").await);
    session.send(packet("4b"), false);
    assert_eq!(get(&session).await, "4b");
    assert_eq!(server.log.wait(1).await, [text("a")]);

    let (mut client, _task) = server.probe(&session);
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_takes_too_long_is_given_up() {
    for answered in [false, true] {
        let server = Server::new(quiet());
        let session = server.open_polling();
        let start = Instant::now();
        let (mut client, task) = server.probe(&session);
        if answered {
            client.send("2probe").await;
            assert_eq!(client.text().await, "3probe");
        }

        assert_eq!(client.next().await, Some(Written::Close(None)));
        task.await.unwrap();

        assert_eq!(start.elapsed(), Duration::from_secs(1));
        assert!(!session.is_closed());
        assert_eq!(session.transport(), Transport::Polling);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_websocket_is_accepted_and_closed() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    let (mut first, _task) = server.probe(&session);

    let (mut second, _second_task) = server.probe(&session);
    assert_eq!(second.next().await, Some(Written::Close(None)));
    first.send("2probe").await;
    assert_eq!(first.text().await, "3probe");
    let (mut third, _third_task) = server.probe(&session);
    assert_eq!(third.next().await, Some(Written::Close(None)));
    first.send("5").await;
    first.send("4a").await;
    assert_eq!(server.log.wait(1).await, [text("a")]);
    let (mut fourth, _fourth_task) = server.probe(&session);
    assert_eq!(fourth.next().await, Some(Written::Close(None)));

    session.send(packet("4b"), false);
    assert_eq!(first.text().await, "4b");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_session_ends_its_probe() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    let (mut client, task) = server.probe(&session);
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");

    assert!(post(&session, "1").await);

    assert_eq!(client.next().await, Some(Written::Close(None)));
    task.await.unwrap();
    assert_eq!(
        server.log.wait(1).await,
        [Entry::Closed(CloseReason::TransportClose)]
    );
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_session_keeps_its_schedule_and_ends_by_websocket() {
    let server = Server::new(config());
    let start = Instant::now();
    let (session, mut client, task) = upgraded(&server).await;

    assert_eq!(
        (client.text().await, start.elapsed().as_millis()),
        ("2".to_owned(), 300)
    );
    client.send("3").await;
    client.hang_up();
    task.await.unwrap();

    assert_eq!(server.log.entries(), [Entry::Closed(CloseReason::TransportClose)]);
    drop(session);
    assert!(server.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_end_between_the_upgrade_and_its_hand_over_is_told_once() {
    let server = Server::slow(quiet(), Duration::from_secs(5));
    let session = server.open_polling();
    assert!(post(&session, "4slow").await);
    sleep(Duration::from_secs(1)).await;
    let (mut client, task) = server.probe(&session);
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    client.send("5").await;
    sleep(Duration::from_secs(1)).await;

    session.send(packet("4last"), false);
    session.close(CloseReason::Expired);

    assert_eq!(
        client.rest().await,
        (vec![Frame::Text("4last".into())], Some(None))
    );
    task.await.unwrap();
    assert_eq!(
        server.log.entries(),
        [text("slow"), Entry::Closed(CloseReason::Expired)]
    );
    drop(session);
    assert!(server.is_empty());
}
