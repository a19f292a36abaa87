//! Long-polling.

use std::{sync::Arc, time::Duration};

use carillon_socketio::{CloseReason, Sent};
use tokio::time::{Instant, advance, sleep};

use crate::recorder::{Entry, Server, config, get, packet, post, quiet, text};

#[tokio::test(start_paused = true)]
async fn carries_packets_both_ways_in_order() {
    let server = Server::new(quiet());
    let session = server.open_polling();

    assert!(post(&session, "4a\u{1e}bAQID\u{1e}4b").await);
    assert!(post(&session, "4c").await);
    assert_eq!(
        server.log.wait(4).await,
        [text("a"), Entry::Binary(vec![1, 2, 3]), text("b"), text("c")]
    );

    session.send(packet("4x"), false);
    session.send(packet("4y"), false);
    assert_eq!(get(&session).await, "4x\u{1e}4y");
}

#[tokio::test(start_paused = true)]
async fn a_get_is_held_until_there_is_something() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    let start = Instant::now();

    let sending = async {
        sleep(Duration::from_secs(5)).await;
        session.send(packet("4later"), false);
    };
    let (payload, ()) = tokio::join!(get(&session), sending);

    assert_eq!((&*payload, start.elapsed()), ("4later", Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn pings_on_time_and_ends_without_a_pong() {
    let server = Server::new(config());
    let session = server.open_polling();
    let start = Instant::now();

    assert_eq!(get(&session).await, "2");
    assert_eq!(start.elapsed().as_millis(), 300);
    assert!(post(&session, "3").await);
    assert_eq!(get(&session).await, "2");
    assert_eq!(start.elapsed().as_millis(), 600);
    assert_eq!(get(&session).await, "1");
    assert_eq!(start.elapsed().as_millis(), 800);
    assert!(server.engine.session(session.sid()).is_none());
    assert_eq!(
        server.log.wait(1).await,
        [Entry::Closed(CloseReason::PingTimeout)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_get_gets_nothing_and_the_first_is_told_of_the_end() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    let first = session.poll().unwrap();

    assert!(session.poll().is_none());

    assert_eq!(first.payload().await.unwrap(), "1");
    assert!(session.poll().is_none() && session.post().is_none());
    assert_eq!(
        server.log.wait(1).await,
        [Entry::Closed(CloseReason::TransportError)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_post_at_once_ends_the_session() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    let first = session.post().unwrap();

    assert!(session.post().is_none());

    assert!(first.receive("4late".into()).await.is_ok());
    assert_eq!(
        server.log.wait(1).await,
        [Entry::Closed(CloseReason::TransportError)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_close_packet_is_answered_by_a_noop() {
    let server = Server::new(quiet());
    let session = server.open_polling();

    let (payload, posted) = tokio::join!(get(&session), post(&session, "41\u{1e}1"));

    assert_eq!((&*payload, posted), ("6", true));
    assert_eq!(
        server.log.wait(2).await,
        [text("1"), Entry::Closed(CloseReason::TransportClose)]
    );
}

/// What a POST ends with, whether it is answered `ok`, and why the session ends.
const POST_ENDS: [(&str, bool, CloseReason); 4] = [
    ("1", true, CloseReason::TransportClose),
    ("2", true, CloseReason::TransportError),
    ("x", false, CloseReason::ParseError),
    ("", false, CloseReason::ParseError),
];

#[tokio::test(start_paused = true)]
async fn the_messages_of_a_post_come_before_the_end_that_it_brings() {
    for delay in [Duration::ZERO, Duration::from_secs(3)] {
        for (end, taken, reason) in POST_ENDS {
            let server = Server::slow(quiet(), delay);
            let session = server.open_polling();

            // One message is being worked off, two POSTs wait: the last one waits for its place.
            for number in 0..3 {
                assert!(post(&session, &format!("4{number}")).await);
            }
            assert_eq!(
                post(&session, &format!("4b\u{1e}4c\u{1e}{end}\u{1e}4d")).await,
                taken,
                "{end}"
            );

            let expected = ["0", "1", "2", "b", "c"]
                .map(text)
                .into_iter()
                .chain([Entry::Closed(reason)]);
            assert_eq!(server.log.wait(6).await, expected.collect::<Vec<_>>(), "{end}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_end_of_a_post_never_overtakes_its_messages_on_another_thread() {
    for (end, taken, reason) in POST_ENDS.into_iter().cycle().take(1_000) {
        let server = Server::new(quiet());
        let session = server.open_polling();
        let body = format!("4b\u{1e}{end}");
        // From a task, so that it runs beside the session's own on another thread.
        let posting = server
            .tasks
            .spawn(async move { post(&session, "4a").await && post(&session, &body).await });
        assert_eq!(posting.await.unwrap(), taken);
        assert_eq!(
            server.log.wait_for_end().await,
            [text("a"), text("b"), Entry::Closed(reason)]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_with_too_many_packets_ends_the_session() {
    let server = Server::new(carillon_socketio::Config {
        max_packets_per_payload: 2,
        ..quiet()
    });
    let session = server.open_polling();

    assert!(!post(&session, "4a\u{1e}4b\u{1e}4c").await);

    assert_eq!(
        server.log.wait(3).await,
        [text("a"), text("b"), Entry::Closed(CloseReason::ParseError)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejected_post_ends_nothing() {
    let server = Server::new(quiet());
    let session = server.open_polling();

    session.post().unwrap().reject();

    assert!(post(&session, "4a").await);
    assert_eq!(server.log.wait(1).await, [text("a")]);
}

#[tokio::test(start_paused = true)]
async fn posts_wait_for_a_slow_application_and_lose_nothing() {
    let server = Server::slow(quiet(), Duration::from_secs(1));
    let session = server.open_polling();
    let start = Instant::now();

    for number in 0..8 {
        assert!(post(&session, &format!("4{number}")).await);
    }

    assert!(start.elapsed() >= Duration::from_secs(4), "the inbox is bounded");
    let expected: Vec<_> = (0..8).map(|number| text(&number.to_string())).collect();
    assert_eq!(server.log.wait(8).await, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_waits_for_the_next_get() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    session.send(packet("4last"), false);

    session.close(CloseReason::ForcedClose);

    assert_eq!(session.send(packet("4late"), false), Sent::Closed);
    assert!(session.post().is_none());
    assert_eq!(
        server.log.wait(1).await,
        [Entry::Closed(CloseReason::ForcedClose)]
    );
    advance(Duration::from_secs(29)).await;
    let session = server.engine.session(session.sid()).unwrap();
    assert_eq!(get(&session).await, "4last\u{1e}1");
    assert!(server.engine.session(session.sid()).is_none());
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_get_was_answered_waits_for_the_next() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    session.send(packet("4a"), false);

    assert_eq!(get(&session).await, "4a");
    session.send(packet("41"), false);
    session.close(CloseReason::ForcedClose);

    assert_eq!(get(&session).await, "41\u{1e}1");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_forgotten_after_the_grace() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    let sid = session.sid().clone();
    session.send(packet("4last"), false);
    session.close(CloseReason::ServerShutdown);
    drop(session);

    sleep(Duration::from_secs(31)).await;

    assert!(server.engine.session(&sid).is_none());
    assert!(server.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_get_that_is_given_up_ends_the_session() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    let poll = session.poll().unwrap();
    let waiting = Arc::clone(&session);

    let given_up = tokio::time::timeout(Duration::from_secs(1), poll.payload()).await;

    assert!(given_up.is_err());
    assert!(waiting.is_closed() && server.engine.session(waiting.sid()).is_none());
    assert_eq!(
        server.log.wait(1).await,
        [Entry::Closed(CloseReason::TransportError)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_held_poll_is_released_on_demand_and_none_that_is_not_there() {
    let server = Server::new(quiet());
    let session = server.open_polling();
    session.release_poll();

    let poll = session.poll().unwrap();
    assert!(
        tokio::time::timeout(std::time::Duration::from_secs(1), async {
            tokio::join!(poll.payload(), async { session.release_poll() }).0
        })
        .await
        .is_ok_and(|payload| payload.unwrap() == "6")
    );
    session.send(packet("4a"), false);
    assert_eq!(get(&session).await, "4a");
}
