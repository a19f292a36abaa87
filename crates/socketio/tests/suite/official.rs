//! A client as the official one, over HTTP and WebSocket in memory.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};

use carillon_protocol::engine::Frame;
use carillon_socketio::Session;
use tokio::{
    sync::{Mutex, Notify, mpsc},
    time::sleep,
};

use crate::{
    recorder::post,
    transport::{Client, Written},
};

/// It stops polling and posting on `3probe`, and upgrades when no request is under way.
pub(crate) struct Official {
    session: Arc<Session>,
    latency: Duration,
    paused: Cell<bool>,
    polling_over: Notify,
    /// Held while a POST is under way; `true` once upgraded.
    upgraded: Mutex<bool>,
    pub(crate) received: RefCell<Vec<Frame>>,
}

impl Official {
    pub(crate) fn new(session: &Arc<Session>, latency: Duration) -> Self {
        Self {
            session: Arc::clone(session),
            latency,
            paused: Cell::new(false),
            polling_over: Notify::new(),
            upgraded: Mutex::new(false),
            received: RefCell::default(),
        }
    }

    /// Polls until the upgrade.
    pub(crate) async fn poll(&self) {
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

    /// Sends packets, each after a pause in milliseconds; from the upgrade on they go to `websocket`.
    pub(crate) async fn send(&self, packets: &[(u64, String)], websocket: &mpsc::Sender<String>) {
        for (pause, packet) in packets {
            sleep(Duration::from_millis(*pause)).await;
            let upgraded = self.upgraded.lock().await;
            if *upgraded || self.paused.get() {
                drop(upgraded);
                websocket.send(packet.clone()).await.unwrap();
            } else {
                assert!(post(&self.session, packet).await);
                sleep(self.latency).await;
            }
        }
    }

    /// Upgrades to `client`, and goes on with it until it is closed. `done` hears of it once `expected` frames came.
    pub(crate) async fn upgrade(
        &self,
        mut client: Client,
        mut outgoing: mpsc::Receiver<String>,
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
