//! Clients that do not read, applications that take their time.

use std::time::Duration;

use carillon_protocol::engine::Frame;
use carillon_socketio::{CloseReason, Config, Sent};
use tokio::time::{Instant, sleep};

use crate::recorder::{Entry, Server, config, fill, get, packet, post, quiet, text};

fn small_queue() -> Config {
    Config {
        queue_packets: 8,
        ..quiet()
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_ends_that_session_alone() {
    let server = Server::new(small_queue());
    let (slow, _unread, task) = server.open_websocket(1).await;
    let (other, mut client, _task) = server.open_websocket(16).await;

    let (taken, sent) = fill(&slow, false);

    assert_eq!((taken, sent), (8, Sent::Closed));
    assert_eq!(slow.send(packet("4more"), false), Sent::Closed);
    assert_eq!(other.send(packet("4a"), false), Sent::Queued);
    assert_eq!(client.text().await, "4a");
    task.await.unwrap();
    assert_eq!(server.log.entries(), [Entry::Closed(CloseReason::SlowConsumer)]);
    assert!(server.engine.session(slow.sid()).is_none() && !other.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_volatile_packets_and_ends_nothing() {
    let server = Server::new(small_queue());
    let session = server.open_polling();

    assert_eq!(fill(&session, true), (8, Sent::Dropped));

    assert_eq!(server.engine.counters().dropped(), 1);
    assert_eq!(get(&session).await.split('\u{1e}').count(), 8);
    assert_eq!(session.send(packet("4a"), true), Sent::Queued);
}

#[tokio::test(start_paused = true)]
async fn a_polling_client_that_does_not_fetch_is_told_once_it_comes() {
    let server = Server::new(small_queue());
    let session = server.open_polling();

    assert_eq!(fill(&session, false), (8, Sent::Closed));

    assert_eq!(get(&session).await, "1");
    assert!(server.engine.session(session.sid()).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_let_go_after_the_grace() {
    for reason in [
        CloseReason::ServerShutdown,
        CloseReason::SlowConsumer,
        CloseReason::TransportClose,
    ] {
        let server = Server::new(quiet());
        let (session, _unread, task) = server.open_websocket(1).await;
        for number in 0..50 {
            session.send(packet(&format!("4{number}")), false);
        }
        sleep(Duration::from_secs(1)).await;
        let start = Instant::now();

        session.close(reason);
        drop(session);
        task.await.unwrap();

        assert!(
            start.elapsed() <= Duration::from_secs(30),
            "{reason:?}: {:?}",
            start.elapsed()
        );
        assert!(server.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hardly_reads_is_let_go_after_the_grace_too() {
    let server = Server::new(quiet());
    let (session, mut client, task) = server.open_websocket(1).await;
    for number in 0..50 {
        session.send(packet(&format!("4{number}")), false);
    }
    let start = Instant::now();

    session.close(CloseReason::ServerShutdown);
    let hardly = async {
        while client.next().await.is_some() {
            sleep(Duration::from_secs(20)).await;
        }
    };
    let (ended, ()) = tokio::join!(
        async {
            task.await.unwrap();
            start.elapsed()
        },
        hardly
    );

    assert_eq!(ended, Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_slow_application_delays_neither_pings_nor_frames() {
    let server = Server::slow(config(), Duration::from_millis(450));
    let start = Instant::now();
    let (session, mut client, _task) = server.open_websocket(16).await;

    client.send("4a").await;
    sleep(Duration::from_millis(50)).await;
    session.send(packet("4now"), false);

    assert_eq!(
        (client.text().await, start.elapsed().as_millis()),
        ("4now".to_owned(), 50)
    );
    assert_eq!(
        (client.text().await, start.elapsed().as_millis()),
        ("2".to_owned(), 300)
    );
    client.send("3").await;
    assert_eq!(server.log.wait(1).await, [text("a")]);
    assert_eq!(client.text().await, "2");
}

#[tokio::test(start_paused = true)]
async fn a_slow_application_does_not_delay_an_upgrade() {
    let patient = Config {
        ping_timeout: Duration::from_secs(2),
        ..config()
    };
    let server = Server::slow(patient, Duration::from_millis(450));
    let start = Instant::now();
    let session = server.open_polling();
    assert!(post(&session, "4before").await);
    let (mut client, _task) = server.probe(&session);
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");

    client.send("5").await;
    client.send("4after").await;
    sleep(Duration::from_millis(10)).await;
    session.send(packet("4now"), false);

    assert_eq!(
        (client.text().await, start.elapsed().as_millis()),
        ("4now".to_owned(), 10)
    );
    assert_eq!(
        (client.text().await, start.elapsed().as_millis()),
        ("2".to_owned(), 300)
    );
    client.send("3").await;
    assert_eq!(server.log.wait(2).await, [text("before"), text("after")]);
}

#[tokio::test(start_paused = true)]
async fn frames_of_one_packet_stay_together() {
    let server = Server::new(config());
    let (session, mut client, _task) = server.open_websocket(1).await;
    let sending = |tag: u8, pause: u64| {
        let session = &session;
        async move {
            for number in 0..40_u8 {
                let attachments = (0..3).map(|part| Frame::Binary(vec![tag, number, part].into()));
                let head = Frame::Text(format!("453-[{tag},{number}]").into());
                let sent = session.send(std::iter::once(head).chain(attachments).collect(), false);
                assert_eq!(sent, Sent::Queued);
                sleep(Duration::from_millis(pause)).await;
            }
        }
    };
    let reading = async {
        for _ in 0..80 {
            let head = client.packet().await;
            let (tag, number) = head
                .strip_prefix("453-[")
                .unwrap()
                .trim_end_matches(']')
                .split_once(',')
                .unwrap();
            for part in 0..3 {
                let bytes = vec![tag.parse().unwrap(), number.parse().unwrap(), part];
                let expected = crate::transport::Written::Frame(Frame::Binary(bytes.into()));
                assert_eq!(client.next().await, Some(expected));
            }
        }
    };

    tokio::join!(sending(1, 7), sending(2, 31), reading);
}
