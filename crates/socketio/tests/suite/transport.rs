//! A WebSocket in memory: what the test sends is read, what is written waits until the test takes it.

use std::time::Duration;

use carillon_protocol::engine::Frame;
use carillon_socketio::{Incoming, WebSocketSink};
use futures_util::Stream;
use tokio::{sync::mpsc, time::timeout};

/// Longer than anything that is waited for; it costs nothing under paused time.
const LONG: Duration = Duration::from_secs(600);

/// What was written over a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    Frame(Frame),
    Close(Option<u16>),
}

/// The client's end.
#[derive(Debug)]
pub(crate) struct Client {
    sender: Option<mpsc::Sender<Incoming>>,
    written: mpsc::Receiver<Written>,
}

/// The server's writing half. It blocks once `capacity` frames wait.
#[derive(Debug)]
pub(crate) struct Sink(mpsc::Sender<Written>);

impl WebSocketSink for Sink {
    async fn send(&mut self, frames: impl IntoIterator<Item = Frame>) -> bool {
        for frame in frames {
            if self.0.send(Written::Frame(frame)).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn close(self, code: Option<u16>) {
        let _gone = self.0.send(Written::Close(code)).await;
    }
}

/// A WebSocket whose client has room for `capacity` frames that it has not read.
pub(crate) fn pair(capacity: usize) -> (Client, impl Stream<Item = Incoming> + Unpin + Send, Sink) {
    let (sender, mut incoming) = mpsc::channel(64);
    let (sink, written) = mpsc::channel(capacity);
    let reader = futures_util::stream::poll_fn(move |cx| incoming.poll_recv(cx));
    (
        Client {
            sender: Some(sender),
            written,
        },
        reader,
        Sink(sink),
    )
}

impl Client {
    pub(crate) async fn send(&self, text: &str) {
        self.incoming(Incoming::Text(text.into())).await;
    }

    pub(crate) async fn incoming(&self, incoming: Incoming) {
        self.sender.as_ref().unwrap().send(incoming).await.unwrap();
    }

    /// The client goes without a word.
    pub(crate) fn hang_up(&mut self) {
        self.sender = None;
    }

    /// The next that was written; `None` once the server has let go.
    pub(crate) async fn next(&mut self) -> Option<Written> {
        timeout(LONG, self.written.recv())
            .await
            .expect("something is written")
    }

    /// The next frame, which must be text.
    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Some(Written::Frame(Frame::Text(text))) => text.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next text that is no ping.
    pub(crate) async fn packet(&mut self) -> String {
        loop {
            let text = self.text().await;
            if text != "2" {
                return text;
            }
            self.send("3").await;
        }
    }

    /// Nothing is written for now.
    pub(crate) async fn is_silent_for(&mut self, time: Duration) -> bool {
        timeout(time, self.written.recv()).await.is_err()
    }

    /// The frames up to the close, and its code. `None` where the server let go without one.
    pub(crate) async fn rest(&mut self) -> (Vec<Frame>, Option<Option<u16>>) {
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Some(Written::Frame(frame)) => frames.push(frame),
                Some(Written::Close(code)) => return (frames, Some(code)),
                None => return (frames, None),
            }
        }
    }
}
