use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use carillon_protocol::engine::Frame;
use carillon_socketio::{CloseReason, Config, Incoming, WebSocketSink};
use futures_util::{FutureExt, stream};
use tokio::sync::mpsc;

use super::*;
use crate::{
    cluster::testing::{TestNode, Wires},
    http::engineio::{Answer, Refusal, SessionRequest, Wanted},
};

/// A client's WebSocket.
struct WebSocket {
    to: mpsc::Sender<Incoming>,
    from: mpsc::Receiver<Frame>,
    _tasks: TaskTracker,
}

struct Sink(mpsc::Sender<Frame>);

impl WebSocketSink for Sink {
    async fn send(&mut self, frames: impl IntoIterator<Item = Frame>) -> bool {
        for frame in frames {
            if self.0.send(frame).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn close(self, _code: Option<u16>) {}
}

impl WebSocket {
    /// One that came to `node` with the sid of a session on x.
    fn open(node: &Arc<TestNode>, sid: &ByteString) -> Self {
        let ((to, incoming), (outgoing, from)) = (mpsc::channel(100), mpsc::channel(100));
        let reader = stream::unfold(incoming, async |mut incoming: mpsc::Receiver<Incoming>| {
            Some((incoming.recv().await?, incoming))
        });
        let owner = node.hand_over.owner("x".into(), sid.clone());
        let (engine, sid, tasks) = (Arc::clone(&node.engine), sid.clone(), TaskTracker::new());
        tasks.spawn(async move {
            engine
                .run_arrival(sid, None, owner, Box::pin(reader), Sink(outgoing))
                .await;
        });
        Self {
            to,
            from,
            _tasks: tasks,
        }
    }

    async fn send(&self, text: &'static str) {
        self.to.send(Incoming::Text(text.into())).await.unwrap();
    }

    /// The next text, or nothing once it is closed.
    async fn text(&mut self) -> Option<String> {
        match self.from.recv().await? {
            Frame::Text(text) => Some(text.to_string()),
            Frame::Binary(_) => None,
        }
    }

    async fn probe(node: &Arc<TestNode>, sid: &ByteString) -> Self {
        let mut socket = Self::open(node, sid);
        socket.send("2probe").await;
        assert_eq!(socket.text().await.as_deref(), Some("3probe"));
        socket
    }

    /// Probed, upgraded, and heard over it.
    async fn upgrade(node: &Arc<TestNode>, sid: &ByteString) -> Self {
        let mut socket = Self::probe(node, sid).await;
        socket.send("5").await;
        socket.send("420[\"hello\"]").await;
        assert_eq!(socket.text().await.as_deref(), Some("430[\"hello\"]"));
        socket
    }
}

struct Setting {
    wires: Arc<Wires>,
    x: Arc<TestNode>,
    y: Arc<TestNode>,
    /// A session on x.
    sid: ByteString,
}

async fn setting() -> Setting {
    let wires = Arc::new(Wires::default());
    let [x, y] = ["x", "y"].map(|tag| wires.node(tag, Config::default()));
    let sid = x.open().await;
    Setting { wires, x, y, sid }
}

impl Setting {
    async fn poll(&self, node: &TestNode) -> Answer {
        let request = SessionRequest {
            sid: self.sid.clone(),
            wanted: Wanted::Poll,
            is_fitting: true,
        };
        node.forwarding.poll(request).await
    }

    async fn assert_polling_goes_on(&self) {
        self.wires.publish("on");
        for node in [&self.x, &self.y] {
            let answer = self.poll(node).await;
            assert_eq!(answer, Answer::Payload("42[\"on\"]".into()));
            self.wires.publish("on");
        }
    }

    fn assert_nothing_is_kept(&self) {
        for node in [&self.x, &self.y] {
            assert!(node.hand_over.departures.is_empty() && node.hand_over.fences.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_moves_to_the_node_of_its_websocket_for_good() {
    let setting = setting().await;
    let mut socket = WebSocket::probe(&setting.y, &setting.sid).await;
    assert_eq!(setting.poll(&setting.y).await, Answer::Payload("6".into()));
    socket.send("5").await;
    socket.send("420[\"hello\"]").await;
    assert_eq!(socket.text().await.as_deref(), Some("430[\"hello\"]"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*setting.y.app.events.lock(), ["hello"]);
    assert_eq!(*setting.x.app.ends.lock(), ["handed over"]);
    let questions = setting.wires.questions();

    setting.wires.publish("news");
    assert_eq!(socket.text().await.as_deref(), Some("42[\"news\"]"));
    socket.send("421[\"more\"]").await;
    assert_eq!(socket.text().await.as_deref(), Some("431[\"more\"]"));

    assert_eq!(setting.wires.questions(), questions);
    for node in [&setting.x, &setting.y] {
        assert_eq!(setting.poll(node).await, Refusal::BadRequest.into());
    }
    setting.assert_nothing_is_kept();

    setting.wires.kill("x");
    assert_eq!(setting.poll(&setting.y).await, Refusal::BadRequest.into());
    setting.wires.publish("still");
    assert_eq!(socket.text().await.as_deref(), Some("42[\"still\"]"));
}

#[tokio::test(start_paused = true)]
async fn what_is_published_while_a_session_moves_comes_once_and_in_order() {
    for pause in 0..40 {
        let setting = setting().await;
        let (wires, tasks) = (Arc::clone(&setting.wires), TaskTracker::new());
        tasks.spawn(async move {
            for number in 0..200 {
                wires.publish(&number.to_string());
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..pause {
            tokio::task::yield_now().await;
        }
        let mut socket = WebSocket::probe(&setting.y, &setting.sid).await;
        let mut heard = match setting.poll(&setting.y).await {
            Answer::Payload(payload) => payload.split('\u{1e}').map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        heard.retain(|packet| packet != "6");
        socket.send("5").await;
        while heard.len() < 200 {
            heard.push(socket.text().await.unwrap());
        }
        let expected: Vec<_> = (0..200).map(|number| format!("42[\"{number}\"]")).collect();
        assert_eq!(heard, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_posted_before_the_upgrade_comes_before_what_follows() {
    let setting = setting().await;
    let socket = WebSocket::probe(&setting.y, &setting.sid).await;
    let body = std::future::ready(Ok("42[\"first\"]\u{1e}42[\"second\"]".into()));
    let request = SessionRequest {
        sid: setting.sid.clone(),
        wanted: Wanted::Post,
        is_fitting: true,
    };
    assert_eq!(
        setting.y.forwarding.post(request, Some(body)).await,
        Answer::Taken
    );
    socket.send("5").await;
    socket.send("42[\"third\"]").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*setting.x.app.events.lock(), ["first", "second"]);
    assert_eq!(*setting.y.app.events.lock(), ["third"]);
}

#[tokio::test(start_paused = true)]
async fn without_fences_the_client_stays_with_polling() {
    let setting = setting().await;
    setting.wires.have_no_fences.store(true, Ordering::Relaxed);
    let mut socket = WebSocket::open(&setting.y, &setting.sid);
    socket.send("2probe").await;
    assert_eq!(socket.text().await, None);
    setting.assert_polling_goes_on().await;
    assert_eq!(setting.wires.questions(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_a_node_reads_what_its_sockets_missed_nobody_moves_to_it_or_from_it() {
    for is_behind in [
        |setting: &Setting| setting.x.gaps.open(),
        |setting: &Setting| setting.y.gaps.open(),
    ] {
        let setting = setting().await;
        let gap = is_behind(&setting);
        let mut socket = WebSocket::open(&setting.y, &setting.sid);
        socket.send("2probe").await;
        assert_eq!(socket.text().await, None);
        drop(gap);
        WebSocket::upgrade(&setting.y, &setting.sid).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_websocket_is_closed_wherever_it_comes_and_the_first_goes_on() {
    let setting = setting().await;
    let wires = &setting.wires;
    let z = wires.node("z", Config::default());
    let mut first = WebSocket::probe(&setting.y, &setting.sid).await;
    for node in [&setting.y, &z] {
        let mut second = WebSocket::open(node, &setting.sid);
        second.send("2probe").await;
        assert_eq!(second.text().await, None);
    }
    first.send("5").await;
    first.send("420[\"hello\"]").await;
    assert_eq!(first.text().await.as_deref(), Some("430[\"hello\"]"));
    for node in [&setting.y, &z] {
        let mut late = WebSocket::open(node, &setting.sid);
        late.send("2probe").await;
        assert_eq!(late.text().await, None);
    }
    first.send("421[\"still\"]").await;
    assert_eq!(first.text().await.as_deref(), Some("431[\"still\"]"));
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_goes_while_it_probes_leaves_the_session_to_the_next() {
    let setting = setting().await;
    drop(WebSocket::probe(&setting.y, &setting.sid).await);
    tokio::time::sleep(Duration::from_millis(10)).await;
    setting.assert_nothing_is_kept();
    WebSocket::upgrade(&setting.y, &setting.sid).await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_says_nothing_after_its_probe_is_closed_on_both_nodes() {
    let setting = setting().await;
    let mut socket = WebSocket::probe(&setting.y, &setting.sid).await;
    assert_eq!(socket.text().await, None);
    assert!(setting.x.engine.session(&setting.sid).is_some());
    tokio::time::sleep(Duration::from_secs(1)).await;
    setting.assert_nothing_is_kept();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_it_is_probed_takes_the_websocket_with_it() {
    let setting = setting().await;
    let mut socket = WebSocket::probe(&setting.y, &setting.sid).await;
    let session = setting.x.engine.session(&setting.sid).unwrap();
    session.close(CloseReason::TransportError);
    assert_eq!(socket.text().now_or_never(), None);
    assert_eq!(socket.text().await, None);
    setting.assert_nothing_is_kept();
}

#[tokio::test(start_paused = true)]
async fn a_lost_fence_ends_the_session_so_that_its_client_can_recover_it() {
    let setting = setting().await;
    setting.wires.lose_fences.store(true, Ordering::Relaxed);
    let mut socket = WebSocket::probe(&setting.y, &setting.sid).await;
    socket.send("5").await;
    assert_eq!(socket.text().await, None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*setting.x.app.ends.lock(), ["disconnected"]);
    assert!(setting.y.app.ends.lock().is_empty());
    setting.assert_nothing_is_kept();
}

#[tokio::test(start_paused = true)]
async fn nodes_that_lose_each_other_after_the_probe_leave_nothing_behind() {
    let setting = setting().await;
    let mut socket = WebSocket::probe(&setting.y, &setting.sid).await;
    setting.wires.are_cut.store(true, Ordering::Relaxed);
    socket.send("5").await;
    assert_eq!(socket.text().await, None);
    tokio::time::sleep(Duration::from_secs(60)).await;
    setting.assert_nothing_is_kept();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_in_any_step_leaves_nothing_behind_on_the_other() {
    for victim in ["x", "y"] {
        for steps in 0..60 {
            let setting = setting().await;
            let socket = WebSocket::probe(&setting.y, &setting.sid).await;
            socket.send("5").await;
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
            setting.wires.kill(victim);
            // Longer than every time of a session.
            tokio::time::sleep(Duration::from_secs(90)).await;
            setting.assert_nothing_is_kept();
            let survivor = if victim == "x" { &setting.y } else { &setting.x };
            let ends = survivor.app.ends.lock();
            assert!(ends.len() <= 1, "{victim} {steps} {ends:?}");
            drop(socket);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_but_the_node_of_the_websocket_can_go_on_with_its_hand_over() {
    let setting = setting().await;
    let ask = async |from: &'static str, number, step| {
        let question = message::encode(&Question { number, step });
        let reply = setting.x.hand_over.answer(from.into(), question).await;
        rmp_serde::from_slice::<Reply>(&reply).ok()
    };
    let probe = Step::Probe(setting.sid.clone());
    assert_eq!(ask("y", 1, probe).await, Some(Reply::Done));
    for step in [
        Step::Depart,
        Step::Export("fence".into()),
        Step::Arrived,
        Step::Lost,
    ] {
        assert_eq!(ask("z", 1, step.clone()).await, Some(Reply::Refused));
        assert_eq!(ask("y", 2, step).await, Some(Reply::Refused));
    }
    assert_eq!(
        ask("y", 3, Step::Probe("x_forged".into())).await,
        Some(Reply::Refused)
    );
    assert!(matches!(ask("y", 1, Step::Depart).await, Some(Reply::Packed(_))));
    assert_eq!(ask("y", 1, Step::Arrived).await, Some(Reply::Refused));
    tokio::time::sleep(Duration::from_secs(1)).await;
    setting.assert_nothing_is_kept();
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_by_nothing() {
    let setting = setting().await;
    for question in [&b""[..], b"\xc1", b"\x92\x01", &[0xdd, 0xff, 0xff, 0xff, 0xff]] {
        let question = Bytes::copy_from_slice(question);
        assert!(setting.x.hand_over.answer("y".into(), question).await.is_empty());
    }
    setting.x.hand_over.fence("unknown");
}
