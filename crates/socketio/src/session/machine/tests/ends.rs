//! How sessions end, and what is left of them.

use super::*;

const CLIENTS: [CloseReason; 5] = [TransportClose, TransportError, PingTimeout, ParseError, TooBig];

#[test]
fn without_a_namespace_the_connect_timeout_ends_it() {
    let config = Config {
        connect_timeout: Some(Duration::from_millis(100)),
        ..config()
    };
    let run = Run::new(Transport::WebSocket, config.clone());
    assert_eq!(run.deadline(), Some(100));
    run.steps([
        (99, Input::Tick, vec![]),
        (100, Input::Tick, vec![ended(ConnectTimeout)]),
    ]);

    let run = Run::new(Transport::WebSocket, config).steps([(99, Input::Joined, vec![])]);
    assert_eq!(run.deadline(), Some(300));
    run.steps([(100, Input::Tick, vec![])]);
}

#[test]
fn it_expires_when_told_and_not_before() {
    let mut run = websocket();
    let (first, later) = (run.at(50), run.at(250));
    run = run.steps([(0, Input::ExpireAt(Some(first)), vec![])]);
    assert_eq!(run.deadline(), Some(50));
    run = run.steps([
        (10, Input::ExpireAt(Some(later)), vec![]),
        (50, Input::Tick, vec![]),
    ]);
    assert_eq!(run.deadline(), Some(250));
    run = run.steps([(60, Input::ExpireAt(None), vec![]), (250, Input::Tick, vec![])]);
    assert_eq!(run.deadline(), Some(300));
    run.steps([
        (260, Input::ExpireAt(Some(later)), vec![]),
        (260, Input::Tick, vec![ended(Expired)]),
    ]);
}

#[test]
fn a_polling_client_may_fetch_what_is_left_once() {
    let reasons = [
        (ForcedClose, 30_100),
        (ConnectTimeout, 30_100),
        (Expired, 30_100),
        (ServerShutdown, 2_100),
    ];
    for (reason, forgotten_at) in reasons {
        let run = polling().steps([(100, Input::Close(reason), vec![ended(reason)])]);
        assert_eq!(run.deadline(), Some(forgotten_at));
        let run = run.steps([
            (200, Input::Post, vec![Output::Refuse]),
            (200, Input::Probe, vec![Output::Refuse]),
            (200, Input::Poll, vec![]),
            (200, Input::Poll, vec![Output::Refuse]),
            (201, Input::PollAnswered, vec![Output::Forget]),
            (202, Input::Poll, vec![Output::Refuse]),
        ]);
        assert_eq!(run.deadline(), None);
    }
}

#[test]
fn a_held_get_takes_what_is_left() {
    let run = polling().steps([
        (0, Input::Poll, vec![]),
        (1, Input::Close(ForcedClose), vec![ended(ForcedClose)]),
        (1, Input::PollAnswered, vec![Output::Forget]),
    ]);
    assert_eq!(run.deadline(), None);
}

#[test]
fn what_nobody_fetches_is_forgotten() {
    let run = polling().steps([
        (100, Input::Close(ForcedClose), vec![ended(ForcedClose)]),
        (30_099, Input::Tick, vec![]),
        (30_100, Input::Tick, vec![Output::Forget]),
        (30_101, Input::Poll, vec![Output::Refuse]),
    ]);
    assert_eq!(run.deadline(), None);
}

#[test]
fn a_get_that_the_client_gives_up_is_the_last() {
    let run = polling().steps([
        (0, Input::Close(ForcedClose), vec![ended(ForcedClose)]),
        (1, Input::Poll, vec![]),
        (2, Input::PollAborted, vec![Output::Forget]),
    ]);
    assert_eq!(run.deadline(), None);
}

#[test]
fn a_slow_consumer_loses_its_queue_but_is_told() {
    let run = polling().steps([(0, Input::Close(SlowConsumer), vec![lost(SlowConsumer)])]);
    assert_eq!(run.deadline(), Some(30_000));
}

#[test]
fn nothing_waits_for_a_client_that_went_or_came_back_elsewhere() {
    for reason in CLIENTS {
        let run = polling().steps([(0, Input::Close(reason), vec![lost(reason)])]);
        assert_eq!(run.deadline(), None, "{reason:?}");
    }
    let run = polling().steps([(0, Input::Close(Superseded), vec![ended(Superseded)])]);
    assert_eq!(run.deadline(), None);
}

#[test]
fn over_websocket_nothing_waits() {
    for reason in CloseReason::ALL {
        let mut run = websocket();
        assert!(matches!(
            run.handle(0, Input::Close(reason))[..],
            [Output::Closed(_)]
        ));
        // But a session that moved leaves word of it.
        let expected = (reason == Moved).then_some(30_000);
        assert_eq!(run.deadline(), expected, "{reason:?}");
    }
    let run = websocket().steps([(0, Input::WebSocketLost, vec![lost(TransportClose)])]);
    assert_eq!(run.deadline(), None);
}

#[test]
fn after_the_end_everything_is_refused_or_ignored() {
    let far = websocket().at(99_000);
    for run in [websocket(), upgraded(), polling()] {
        run.steps([
            (0, Input::Malformed, vec![lost(ParseError)]),
            (1, Input::Poll, vec![Output::Refuse]),
            (1, Input::Post, vec![Output::Refuse]),
            (1, Input::Probe, vec![Output::Refuse]),
            (1, ping_probe(), vec![]),
            (1, Input::ProbePacket(Packet::Upgrade), vec![]),
            (1, message("a"), vec![]),
            (1, pong(), vec![]),
            (1, Input::Joined, vec![]),
            (1, Input::ExpireAt(Some(far)), vec![]),
            (1, Input::Close(ServerShutdown), vec![]),
            (1, Input::WebSocketLost, vec![]),
            (100_000, Input::Tick, vec![]),
        ]);
    }
}
