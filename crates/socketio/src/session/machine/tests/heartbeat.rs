//! Pings, pongs and the lack of them.

use super::*;

#[test]
fn the_period_is_the_interval_and_the_round_trip() {
    let run = websocket();
    assert_eq!(run.deadline(), Some(300));

    let run = run.steps([(299, Input::Tick, vec![]), (300, Input::Tick, vec![Output::Ping])]);
    assert_eq!(run.deadline(), Some(500));

    let run = run.steps([(420, pong(), vec![])]);
    assert_eq!(run.deadline(), Some(720));
    run.steps([(719, Input::Tick, vec![]), (720, Input::Tick, vec![Output::Ping])]);
}

#[test]
fn no_pong_in_time_ends_the_session() {
    for (run, deadline) in [(websocket(), None), (polling(), None)] {
        let run = run.steps([
            (300, Input::Tick, vec![Output::Ping]),
            (499, Input::Tick, vec![]),
            (500, Input::Tick, vec![lost(PingTimeout)]),
        ]);
        assert_eq!(run.deadline(), deadline);
    }
}

#[test]
fn a_late_timer_does_not_move_the_timeout() {
    let run = websocket().steps([(340, Input::Tick, vec![Output::Ping])]);
    assert_eq!(run.deadline(), Some(500));
}

#[test]
fn the_first_other_packet_extends_the_timeout_once() {
    // engine.io 6.6.12 with 200/200 ms, measured: ping at 200, messages at 350 and 501, closed at 550.
    let config = Config {
        ping_interval: Duration::from_millis(200),
        ..config()
    };
    let run = Run::new(Transport::WebSocket, config).steps([
        (200, Input::Tick, vec![Output::Ping]),
        (350, message("a"), deliver("a")),
        (400, Input::Tick, vec![]),
        (501, message("b"), deliver("b")),
        (549, Input::Tick, vec![]),
    ]);
    assert_eq!(run.deadline(), Some(550));
    run.steps([(550, Input::Tick, vec![lost(PingTimeout)])]);
}

#[test]
fn the_next_ping_can_be_extended_again() {
    websocket().steps([
        (300, Input::Tick, vec![Output::Ping]),
        (400, message("a"), deliver("a")),
        (550, pong(), vec![]),
        (850, Input::Tick, vec![Output::Ping]),
        (1_000, message("b"), deliver("b")),
        (1_199, Input::Tick, vec![]),
        (1_200, Input::Tick, vec![lost(PingTimeout)]),
    ]);
}

#[test]
fn packets_between_pings_are_no_pong() {
    websocket().steps([
        (299, message("a"), deliver("a")),
        (300, Input::Tick, vec![Output::Ping]),
        (500, Input::Tick, vec![lost(PingTimeout)]),
    ]);
}

#[test]
fn an_unsolicited_pong_restarts_the_interval() {
    let run = websocket().steps([(100, pong(), vec![])]);
    assert_eq!(run.deadline(), Some(400));
}

#[test]
fn a_ping_of_the_client_ends_the_session() {
    for run in [websocket(), polling(), upgraded()] {
        let probe = Packet::Ping(ByteString::from_static("probe"));
        run.steps([(10, Input::Packet(probe), vec![lost(TransportError)])]);
    }
}

#[test]
fn an_upgrade_keeps_the_schedule() {
    let run = upgraded().steps([(300, Input::Tick, vec![Output::Ping])]);
    assert_eq!(run.deadline(), Some(500));
}
