//! WebSocket from the start.

use std::time::Duration;

use bytes::Bytes;
use carillon_protocol::engine::Frame;
use carillon_socketio::{CloseReason, Config, Handshake, Incoming, Sent};
use tokio::time::Instant;

use crate::{
    recorder::{Entry, Server, config, packet, quiet, text},
    transport::{self, Written},
};

#[tokio::test(start_paused = true)]
async fn opens_and_carries_packets_both_ways() {
    let server = Server::new(quiet());
    let (mut client, _task) = server.run(server.engine.open_websocket(Handshake::default()), 16);

    let open = client.text().await;
    assert!(
        open.starts_with("0{\"sid\":\"") && open.contains("\"upgrades\":[]"),
        "{open}"
    );
    let session = server.engine.session(open.split('"').nth(3).unwrap()).unwrap();
    client.send("4a").await;
    client
        .incoming(Incoming::Binary(Bytes::from_static(&[1, 2])))
        .await;
    client.send("1").await;
    client.send("4b").await;
    assert_eq!(
        server.log.wait(3).await,
        [text("a"), Entry::Binary(vec![1, 2]), text("b")]
    );

    session.send(
        [Frame::Text("4x".into()), Frame::Binary(vec![3].into())]
            .into_iter()
            .collect(),
        false,
    );
    assert_eq!(client.text().await, "4x");
    assert_eq!(
        client.next().await,
        Some(Written::Frame(Frame::Binary(vec![3].into())))
    );
}

#[tokio::test(start_paused = true)]
async fn pings_on_time_and_ends_without_a_pong() {
    let server = Server::new(config());
    let start = Instant::now();
    let (_session, mut client, _task) = server.open_websocket(16).await;

    assert_eq!(
        (client.text().await, start.elapsed().as_millis()),
        ("2".to_owned(), 300)
    );
    client.send("3").await;
    assert_eq!(
        (client.text().await, start.elapsed().as_millis()),
        ("2".to_owned(), 600)
    );
    assert_eq!(client.rest().await, (vec![], Some(None)));
    assert_eq!(start.elapsed().as_millis(), 800);
    assert_eq!(server.log.entries(), [Entry::Closed(CloseReason::PingTimeout)]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_ends_the_session() {
    let ends = [
        (Incoming::Text("abc".into()), CloseReason::ParseError, None),
        (Incoming::Text("".into()), CloseReason::ParseError, None),
        (Incoming::Text("bAQID".into()), CloseReason::ParseError, None),
        (Incoming::Invalid, CloseReason::ParseError, None),
        (Incoming::TooBig, CloseReason::TooBig, Some(1009)),
        (Incoming::Text("2".into()), CloseReason::TransportError, None),
    ];
    for (incoming, reason, code) in ends {
        let server = Server::new(quiet());
        let (session, mut client, task) = server.open_websocket(16).await;

        client.send("4a").await;
        client.incoming(incoming.clone()).await;
        client.send("4b").await;

        assert_eq!(client.rest().await, (vec![], Some(code)), "{incoming:?}");
        task.await.unwrap();
        assert_eq!(
            server.log.entries(),
            [text("a"), Entry::Closed(reason)],
            "{incoming:?}"
        );
        assert!(server.engine.session(session.sid()).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_goes_out_before_the_close() {
    let server = Server::new(quiet());
    let (session, mut client, task) = server.open_websocket(1).await;
    for number in 0..20 {
        session.send(packet(&format!("4{number}")), false);
    }

    session.close(CloseReason::ServerShutdown);

    assert_eq!(session.send(packet("4late"), false), Sent::Closed);
    let (frames, code) = client.rest().await;
    assert_eq!((frames.len(), code), (20, Some(Some(1_012))));
    task.await.unwrap();
    drop(session);
    assert!(server.is_empty());
}

#[tokio::test(start_paused = true)]
async fn polling_requests_are_refused_and_a_second_websocket_is_closed() {
    let server = Server::new(quiet());
    let (session, client, _task) = server.open_websocket(16).await;

    assert!(session.poll().is_none() && session.post().is_none());
    let (mut second, task) = server.probe(&session);
    assert_eq!(second.next().await, Some(Written::Close(None)));
    task.await.unwrap();

    client.send("4a").await;
    assert_eq!(server.log.wait(1).await, [text("a")]);
}

#[tokio::test(start_paused = true)]
async fn expires_and_times_out_without_a_namespace() {
    let server = Server::new(Config {
        connect_timeout: Some(Duration::from_secs(45)),
        ..quiet()
    });
    let start = Instant::now();
    let (_session, mut idle, _task) = server.open_websocket(16).await;
    let (expiring, mut brief, _task) = server.open_websocket(16).await;
    expiring.expire_at(Some(start + Duration::from_secs(60)));
    expiring.expire_at(Some(start + Duration::from_secs(10)));

    assert_eq!(brief.rest().await, (vec![], Some(None)));
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    assert_eq!(idle.rest().await, (vec![], Some(None)));
    assert_eq!(start.elapsed(), Duration::from_secs(45));
    let reasons = [CloseReason::Expired, CloseReason::ConnectTimeout].map(Entry::Closed);
    assert_eq!(server.log.wait(2).await, reasons);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_small() {
    let server = Server::new(quiet());
    let (_client, reader, sink) = transport::pair(1);

    let running = server
        .engine
        .run(server.engine.open_websocket(Handshake::default()), reader, sink);

    let size = size_of_val(&running);
    assert!(size <= 3_072, "{size} bytes");
}
