//! Every way a session can end: told once, and nothing of it stays.

use std::{sync::Arc, time::Duration};

use carillon_socketio::{CloseReason, Config, Session};
use tokio::time::sleep;

use crate::recorder::{Entry, Server, config, fill, get, post};

/// What is done to a polling session.
const POLLING: [(&str, CloseReason); 9] = [
    ("nothing", CloseReason::PingTimeout),
    ("close packet", CloseReason::TransportClose),
    ("bad packet", CloseReason::ParseError),
    ("two gets", CloseReason::TransportError),
    ("lost get", CloseReason::TransportError),
    ("lost post", CloseReason::TransportError),
    ("full queue", CloseReason::SlowConsumer),
    ("shutdown", CloseReason::ServerShutdown),
    ("superseded", CloseReason::Superseded),
];

async fn end_polling(how: &str, server: &Server, session: &Arc<Session>) {
    match how {
        "close packet" => assert!(post(session, "1").await),
        "bad packet" => assert!(!post(session, "x").await),
        "two gets" => {
            let first = session.poll().unwrap();
            assert!(session.poll().is_none());
            assert_eq!(first.payload().await.unwrap(), "1");
        }
        "lost get" => drop(session.poll().unwrap()),
        "lost post" => drop(session.post().unwrap()),
        "full queue" => drop(fill(session, false)),
        "shutdown" => {
            server.engine.close_all(CloseReason::ServerShutdown);
            assert_eq!(get(session).await, "1");
        }
        "superseded" => session.close(CloseReason::Superseded),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn polling() {
    for (how, reason) in POLLING {
        let server = Server::new(Config {
            queue_packets: 4,
            ..config()
        });
        let session = server.open_polling();

        end_polling(how, &server, &session).await;
        let sid = session.sid().clone();
        drop(session);
        sleep(Duration::from_secs(60)).await;

        assert_eq!(server.log.entries(), [Entry::Closed(reason)], "{how}");
        assert!(
            server.engine.session(&sid).is_none() && server.is_empty(),
            "{how}"
        );
    }
}

/// What is done to a WebSocket session, or to one that became it.
const WEBSOCKET: [(&str, CloseReason); 8] = [
    ("nothing", CloseReason::PingTimeout),
    ("client gone", CloseReason::TransportClose),
    ("writing fails", CloseReason::TransportClose),
    ("bad packet", CloseReason::ParseError),
    ("full queue", CloseReason::SlowConsumer),
    ("shutdown", CloseReason::ServerShutdown),
    ("superseded", CloseReason::Superseded),
    ("two ends at once", CloseReason::Expired),
];

#[tokio::test(start_paused = true)]
async fn websocket() {
    for upgraded in [false, true] {
        for (how, reason) in WEBSOCKET {
            let server = Server::new(Config {
                queue_packets: 4,
                ..config()
            });
            let (session, mut client) = if upgraded {
                let session = server.open_polling();
                let (mut client, _task) = server.probe(&session);
                client.send("2probe").await;
                assert_eq!(client.text().await, "3probe");
                client.send("5").await;
                (session, client)
            } else {
                let (session, client, _task) = server.open_websocket(64).await;
                (session, client)
            };
            sleep(Duration::from_millis(1)).await;

            let mut kept = None;
            match how {
                "client gone" => client.hang_up(),
                "writing fails" => drop(client),
                "bad packet" => client.send("x").await,
                "full queue" => drop(fill(&session, false)),
                "shutdown" => server.engine.close_all(CloseReason::ServerShutdown),
                "superseded" => session.close(CloseReason::Superseded),
                "two ends at once" => {
                    session.close(CloseReason::Expired);
                    client.hang_up();
                    session.close(CloseReason::ServerShutdown);
                }
                _ => kept = Some(client),
            }
            let sid = session.sid().clone();
            drop(session);
            sleep(Duration::from_secs(60)).await;

            assert_eq!(
                server.log.entries(),
                [Entry::Closed(reason)],
                "{how}, upgraded {upgraded}"
            );
            assert!(
                server.engine.session(&sid).is_none() && server.is_empty(),
                "{how}, upgraded {upgraded}"
            );
            drop(kept);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_application_is_told_of_the_end_after_its_messages() {
    let server = Server::slow(config(), Duration::from_secs(5));
    let (session, mut client, task) = server.open_websocket(64).await;
    client.send("4a").await;
    sleep(Duration::from_millis(1)).await;

    client.hang_up();
    drop(session);
    task.await.unwrap();

    let entries = server.log.entries();
    assert_eq!(
        entries,
        [
            Entry::Text("a".to_owned()),
            Entry::Closed(CloseReason::PingTimeout)
        ]
    );
    assert!(server.is_empty() && server.log.ends() == 1);
}
