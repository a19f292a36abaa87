use std::sync::{Arc, atomic::Ordering};

use carillon_socketio::{CloseReason, Config};
use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::*;
use crate::cluster::testing::{QUOTA, TestNode, Wires};

fn request(sid: &str, wanted: Wanted) -> SessionRequest {
    SessionRequest {
        sid: sid.into(),
        wanted,
        is_fitting: true,
    }
}

fn nodes() -> (Arc<Wires>, Arc<TestNode>, Arc<TestNode>) {
    let wires = Arc::new(Wires::default());
    let nodes = ["x", "y"].map(|tag| wires.node(tag, Config::default()));
    let [x, y] = nodes;
    (wires, x, y)
}

async fn poll(node: &TestNode, sid: &str) -> Answer {
    node.forwarding.poll(request(sid, Wanted::Poll)).await
}

async fn post(node: &TestNode, sid: &str, body: &'static str) -> Answer {
    let body = ready(Ok(body.into()));
    node.forwarding.post(request(sid, Wanted::Post), Some(body)).await
}

/// Runs everything that can run without time going on.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn unknown() -> Answer {
    Refusal::SessionUnknown.into()
}

#[tokio::test(start_paused = true)]
async fn a_poll_on_another_node_is_held_and_answered_by_the_sessions_own() {
    let (wires, x, y) = nodes();
    let sid = x.open().await;
    let mut held = Box::pin(poll(&y, &sid));
    assert_eq!((&mut held).now_or_never(), None);

    wires.publish("news");

    assert_eq!(held.await, Answer::Payload("42[\"news\"]".into()));
}

#[tokio::test(start_paused = true)]
async fn an_idle_poll_on_another_node_gets_the_ping() {
    let (_wires, x, y) = nodes();
    let sid = x.open().await;
    assert_eq!(poll(&y, &sid).await, Answer::Payload("2".into()));
}

#[tokio::test(start_paused = true)]
async fn a_post_on_another_node_is_answered_once_the_session_has_its_packets_in_order() {
    let (_wires, x, y) = nodes();
    let sid = x.open().await;
    for (number, node) in [&y, &x, &y, &y, &x].into_iter().enumerate() {
        let body: &'static str = [
            "420[\"0\"]",
            "421[\"1\"]",
            "422[\"2\"]",
            "423[\"3\"]",
            "424[\"4\"]",
        ][number];
        assert_eq!(post(node, &sid, body).await, Answer::Taken);
    }
    settle().await;
    assert_eq!(*x.app.events.lock(), ["0", "1", "2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_whose_client_goes_ends_the_session_on_its_node() {
    let (_wires, x, y) = nodes();
    let sid = x.open().await;
    let mut held = Box::pin(poll(&y, &sid));
    assert_eq!((&mut held).now_or_never(), None);

    drop(held);

    settle().await;
    assert_eq!(*x.app.ends.lock(), ["disconnected"]);
    assert_eq!(poll(&x, &sid).await, unknown());
}

#[tokio::test(start_paused = true)]
async fn a_second_poll_at_once_is_refused_on_whichever_nodes_they_are() {
    for first_here in [true, false] {
        let (_wires, x, y) = nodes();
        let sid = x.open().await;
        let (one, other) = if first_here { (&x, &y) } else { (&y, &x) };
        let mut held = Box::pin(poll(one, &sid));
        assert_eq!((&mut held).now_or_never(), None);

        assert_eq!(poll(other, &sid).await, Answer::Broken);
        assert_eq!(held.await, Answer::Payload("1".into()));
        assert_eq!(poll(other, &sid).await, unknown());
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_post_while_the_first_is_read_is_refused_on_whichever_nodes_they_are() {
    for first_here in [true, false] {
        let (_wires, x, y) = nodes();
        let sid = x.open().await;
        let (one, other) = if first_here { (&x, &y) } else { (&y, &x) };
        let (_never, slow) = oneshot::channel::<()>();
        let body = async {
            let _unsent = slow.await;
            Err(BodyError::Broken)
        };
        let mut first = Box::pin(one.forwarding.post(request(&sid, Wanted::Post), Some(body)));
        assert_eq!((&mut first).now_or_never(), None);
        tokio::time::advance(EARLY_BODY * 2).await;
        assert_eq!((&mut first).now_or_never(), None);

        assert_eq!(post(other, &sid, "42[\"a\"]").await, Answer::Broken);
        assert_eq!(first.await, Answer::Broken);
        assert_eq!(poll(&x, &sid).await, unknown());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_follows_its_post() {
    let (_wires, x, y) = nodes();
    let sid = x.open().await;
    let body = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok("42[\"slow\"]".into())
    };
    let answer = y.forwarding.post(request(&sid, Wanted::Post), Some(body)).await;
    settle().await;
    assert_eq!(answer, Answer::Taken);
    assert_eq!(*x.app.events.lock(), ["slow"]);
}

#[tokio::test(start_paused = true)]
async fn a_post_whose_client_goes_ends_the_session_on_its_node() {
    let (_wires, x, y) = nodes();
    let sid = x.open().await;
    let body = std::future::pending::<Result<ByteString, BodyError>>();
    let mut opened = Box::pin(y.forwarding.post(request(&sid, Wanted::Post), Some(body)));
    assert_eq!((&mut opened).now_or_never(), None);
    tokio::time::advance(EARLY_BODY * 2).await;
    assert_eq!((&mut opened).now_or_never(), None);

    drop(opened);

    assert_eq!(poll(&x, &sid).await, unknown());
}

#[tokio::test(start_paused = true)]
async fn a_body_too_large_leaves_the_session_and_a_broken_or_binary_one_does_not() {
    let (_wires, x, y) = nodes();
    let sid = x.open().await;
    let post = async |read: Option<_>| {
        let body = read.map(ready);
        y.forwarding.post(request(&sid, Wanted::Post), body).await
    };
    assert_eq!(post(Some(Err(BodyError::TooLarge))).await, Answer::TooLarge);
    assert_eq!(post(Some(Ok("3".into()))).await, Answer::Taken);
    assert_eq!(post(None).await, Answer::Broken);
    assert_eq!(post(Some(Ok("3".into()))).await, unknown());

    let sid = x.open().await;
    let body = ready(Err(BodyError::Broken));
    assert_eq!(
        y.forwarding.post(request(&sid, Wanted::Post), Some(body)).await,
        Answer::Broken
    );
    assert_eq!(poll(&x, &sid).await, unknown());
}

#[tokio::test(start_paused = true)]
async fn forged_sids_and_those_of_dead_nodes_are_refused_without_a_question() {
    let (wires, x, y) = nodes();
    let sid = x.open().await;
    wires.kill("x");
    for sid in [&*sid, "z_0123456789", "", "x", "_", &"x_".repeat(4_000)] {
        assert_eq!(poll(&y, sid).await, unknown());
        assert_eq!(post(&y, sid, "42[\"a\"]").await, unknown());
        assert!(y.forwarding.upgrade(request(sid, Wanted::Upgrade)).await.is_err());
    }
    assert_eq!(wires.questions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_stale_sid_asks_its_node_once() {
    let (wires, x, y) = nodes();
    let sid = x.open().await;
    x.engine.session(&sid).unwrap().close(CloseReason::TransportError);
    settle().await;
    for _ in 0..100 {
        assert_eq!(poll(&y, &sid).await, unknown());
        assert_eq!(post(&y, &sid, "42[\"a\"]").await, unknown());
    }
    assert_eq!(wires.questions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_while_it_holds_a_poll_leaves_its_client_to_come_back() {
    let (wires, x, y) = nodes();
    let sid = x.open().await;
    let mut held = Box::pin(poll(&y, &sid));
    assert_eq!((&mut held).now_or_never(), None);

    wires.kill("x");

    assert_eq!(held.await, unknown());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_with_a_forwarded_poll_ends_the_session_of_it() {
    let (wires, x, y) = nodes();
    let sid = x.open().await;
    let mut held = Box::pin(poll(&y, &sid));
    assert_eq!((&mut held).now_or_never(), None);

    wires.kill("y");

    assert_eq!(held.await, unknown());
    assert_eq!(poll(&x, &sid).await, unknown());
}

#[tokio::test(start_paused = true)]
async fn nodes_out_of_reach_are_worth_another_try() {
    let (wires, x, y) = nodes();
    let sid = x.open().await;
    wires.are_cut.store(true, Ordering::Relaxed);
    assert_eq!(poll(&y, &sid).await, Refusal::OutOfReach.into());
    assert_eq!(post(&y, &sid, "42[\"a\"]").await, Refusal::OutOfReach.into());
    wires.are_cut.store(false, Ordering::Relaxed);
    assert_eq!(post(&y, &sid, "42[\"a\"]").await, Answer::Taken);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_killed_is_not_waited_for_until_its_lease_lapses() {
    let (wires, x, y) = nodes();
    let sid = x.open().await;
    wires.are_silent.store(true, Ordering::Relaxed);
    let begun = tokio::time::Instant::now();
    assert_eq!(poll(&y, &sid).await, Refusal::OutOfReach.into());
    assert_eq!(post(&y, &sid, "42[\"a\"]").await, Refusal::OutOfReach.into());
    assert!(begun.elapsed() <= 2 * (UNHEARD_AFTER + HERE_TIMEOUT));
}

#[tokio::test(start_paused = true)]
async fn the_sessions_node_judges_and_counts() {
    let (_wires, x, y) = nodes();
    let sid = x.open().await;
    let unfitting = SessionRequest {
        is_fitting: false,
        ..request(&sid, Wanted::Poll)
    };
    assert_eq!(y.forwarding.poll(unfitting).await, Refusal::BadRequest.into());
    let other = y.forwarding.poll(request(&sid, Wanted::Other)).await;
    assert_eq!(other, Refusal::SessionMethod.into());
    for _ in 0..QUOTA {
        assert_eq!(post(&y, &sid, "3").await, Answer::Taken);
    }
    let too_many = Refusal::TooMany { retry_after_ms: 7 };
    assert_eq!(post(&y, &sid, "3").await, too_many.into());
    assert_eq!((x.counted.requests(), y.counted.requests()), (QUOTA + 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_its_poll_is_on_another_node_says_so_there() {
    let (_wires, x, y) = nodes();
    let sid = x.open().await;
    let mut held = Box::pin(poll(&y, &sid));
    assert_eq!((&mut held).now_or_never(), None);

    x.engine.close_all(CloseReason::ServerShutdown);

    assert_eq!(held.await, Answer::Payload("1".into()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_lets_the_sessions_of_others_live_on() {
    let (wires, x, y) = nodes();
    let z = wires.node("z", Config::default());
    let sid = x.open().await;
    let mut held = Box::pin(poll(&y, &sid));
    assert_eq!((&mut held).now_or_never(), None);

    let ((), released) = tokio::join!(y.forwarding.let_go(), held);

    assert_eq!(released, Answer::Payload("6".into()));
    wires.publish("news");
    assert_eq!(poll(&z, &sid).await, Answer::Payload("42[\"news\"]".into()));
}

#[tokio::test(start_paused = true)]
async fn a_websocket_may_come_for_a_session_that_has_none_and_is_getting_none() {
    let (_wires, x, y) = nodes();
    let sid = x.open().await;
    let upgrade = || y.forwarding.upgrade(request(&sid, Wanted::Upgrade));
    assert!(matches!(upgrade().await, Ok(UpgradePlace::At(node, _)) if node == "x"));
    let session = x.engine.session(&sid).unwrap();
    let probing = session.probe_elsewhere().unwrap();
    assert!(matches!(upgrade().await, Ok(UpgradePlace::Surplus)));
    drop(probing);
    assert!(matches!(upgrade().await, Ok(UpgradePlace::At(..))));
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_by_nothing() {
    let (_wires, x, _y) = nodes();
    for question in [&b""[..], b"\xc1", b"\x92\x01", &[0xdd, 0xff, 0xff, 0xff, 0xff]] {
        let answer = x
            .forwarding
            .answer("y".into(), Bytes::copy_from_slice(question))
            .await;
        assert!(answer.is_empty());
    }
}
