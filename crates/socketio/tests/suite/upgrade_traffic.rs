//! An upgrade in the middle of traffic both ways loses, doubles and reorders nothing, however it falls.

use std::{cell::Cell, sync::Arc, time::Duration};

use carillon_protocol::engine::Frame;
use carillon_socketio::{Sent, Session};
use proptest::prelude::*;
use tokio::{
    sync::{Mutex, Notify},
    time::{sleep, timeout},
};

use crate::{
    recorder::{Entry, Server, config, post},
    transport::{Client, Written},
};

/// Pauses in milliseconds of virtual time: between what the client and what the server sends, before the upgrade, on the
/// way of a request, in the application.
#[derive(Debug, Clone)]
struct Schedule {
    client: Vec<u64>,
    server: Vec<u64>,
    upgrade: u64,
    latency: u64,
    application: u64,
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let pauses = || proptest::collection::vec(prop_oneof![Just(0), 0_u64..20], 1..40);
    (pauses(), pauses(), 0_u64..400, 0_u64..15, 0_u64..4).prop_map(
        |(client, server, upgrade, latency, application)| Schedule {
            client,
            server,
            upgrade,
            latency,
            application,
        },
    )
}

/// The frames of the server's packet: every third has attachments.
fn frames(number: usize) -> Vec<Frame> {
    let head = Frame::Text(format!("4{number}").into());
    let bytes = u8::try_from(number).unwrap();
    let attachments = if number.is_multiple_of(3) { 2 } else { 0 };
    std::iter::once(head)
        .chain((0..attachments).map(|part| Frame::Binary(vec![bytes, part].into())))
        .collect()
}

/// A client as the official one: it stops polling and posting on `3probe`, and upgrades when no request is under way.
struct Upgrading {
    session: Arc<Session>,
    latency: Duration,
    paused: Cell<bool>,
    polling_over: Notify,
    /// Held while a POST is under way; `true` once upgraded.
    upgraded: Mutex<bool>,
    received: std::cell::RefCell<Vec<Frame>>,
}

impl Upgrading {
    async fn poll(&self) {
        while !self.paused.get() {
            let payload = self.session.poll().expect("one poll at a time").payload().await;
            let payload = payload.expect("no upgrade while polling");
            sleep(self.latency).await;
            for segment in payload.split('\u{1e}') {
                self.receive_segment(segment).await;
            }
        }
        self.polling_over.notify_one();
    }

    async fn receive_segment(&self, segment: &str) {
        match segment {
            "6" => {}
            "2" => {
                let upgraded = self.upgraded.lock().await;
                assert!(!*upgraded && post(&self.session, "3").await);
            }
            _ => self.received.borrow_mut().push(match segment.strip_prefix('b') {
                Some(base64) => {
                    use base64::prelude::{BASE64_STANDARD, Engine as _};
                    Frame::Binary(BASE64_STANDARD.decode(base64).unwrap().into())
                }
                None => Frame::Text(segment.into()),
            }),
        }
    }

    async fn send(&self, pauses: &[u64], websocket: &tokio::sync::mpsc::Sender<String>) {
        for (number, pause) in pauses.iter().enumerate() {
            sleep(Duration::from_millis(*pause)).await;
            let upgraded = self.upgraded.lock().await;
            if *upgraded || self.paused.get() {
                drop(upgraded);
                websocket.send(format!("4{number}")).await.unwrap();
            } else {
                assert!(post(&self.session, &format!("4{number}")).await);
                sleep(self.latency).await;
            }
        }
    }

    async fn upgrade(
        &self,
        mut client: Client,
        mut outgoing: tokio::sync::mpsc::Receiver<String>,
        expected: usize,
        done: &Notify,
    ) {
        client.send("2probe").await;
        assert_eq!(client.text().await, "3probe");
        self.paused.set(true);
        self.polling_over.notified().await;
        *self.upgraded.lock().await = true;
        client.send("5").await;
        let mut told = false;
        loop {
            if !told && self.received.borrow().len() >= expected {
                told = true;
                done.notify_one();
            }
            tokio::select! {
                Some(text) = outgoing.recv() => client.send(&text).await,
                written = client.next() => match written {
                    Some(Written::Frame(Frame::Text(text))) if text == "2" => client.send("3").await,
                    Some(Written::Frame(frame)) => self.received.borrow_mut().push(frame),
                    Some(Written::Close(_)) | None => return,
                },
            }
        }
    }
}

async fn run(schedule: Schedule) -> (Vec<Entry>, Vec<Frame>) {
    let Schedule {
        client: client_pauses,
        server: server_pauses,
        upgrade,
        latency,
        application,
    } = schedule;
    let server = Server::slow(config(), Duration::from_millis(application));
    let session = server.open_polling();
    let expected: usize = (0..server_pauses.len()).map(|number| frames(number).len()).sum();
    let upgrading = Upgrading {
        session: Arc::clone(&session),
        latency: Duration::from_millis(latency),
        paused: Cell::new(false),
        polling_over: Notify::new(),
        upgraded: Mutex::new(false),
        received: std::cell::RefCell::default(),
    };
    let (outbox, outgoing) = tokio::sync::mpsc::channel(64);
    let done = Notify::new();
    let serving = async {
        for (number, pause) in server_pauses.iter().enumerate() {
            sleep(Duration::from_millis(*pause)).await;
            assert_eq!(
                session.send(frames(number).into_iter().collect(), false),
                Sent::Queued
            );
        }
    };
    let changing = async {
        sleep(Duration::from_millis(upgrade)).await;
        let (client, _task) = server.probe(&session);
        upgrading.upgrade(client, outgoing, expected, &done).await;
    };
    let ending = async {
        done.notified().await;
        server.log.wait(client_pauses.len()).await;
        session.close(carillon_socketio::CloseReason::ServerShutdown);
    };
    let all = async {
        tokio::join!(
            upgrading.poll(),
            upgrading.send(&client_pauses, &outbox),
            serving,
            changing,
            ending
        );
    };
    timeout(Duration::from_secs(300), all)
        .await
        .expect("everything arrives");
    let mut entries = server.log.wait(client_pauses.len() + 1).await;
    entries.pop();
    (entries, upgrading.received.into_inner())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn loses_doubles_and_reorders_nothing(schedule in any_schedule()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (sent, expected): (Vec<_>, Vec<_>) = (
            (0..schedule.client.len()).map(|number| Entry::Text(number.to_string())).collect(),
            (0..schedule.server.len()).flat_map(frames).collect(),
        );
        let (entries, received) = runtime.block_on(run(schedule));
        prop_assert_eq!(entries, sent);
        prop_assert_eq!(received, expected);
    }
}
