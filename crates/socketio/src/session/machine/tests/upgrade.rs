//! The probing WebSocket.

use super::*;

#[test]
fn releases_a_held_get_at_once_and_every_100_ms() {
    polling().steps([
        (0, Input::Poll, vec![]),
        (10, Input::Probe, vec![]),
        (20, ping_probe(), vec![Output::AnswerProbe, Output::ReleasePoll]),
        (119, Input::Tick, vec![]),
        (120, Input::Tick, vec![Output::ReleasePoll]),
        (220, Input::Tick, vec![Output::ReleasePoll]),
        (230, Input::Post, vec![]),
        (230, message("a"), deliver("a")),
        (230, Input::PostAnswered, vec![]),
        (250, Input::ProbePacket(Packet::Upgrade), vec![Output::Upgraded]),
        (300, Input::Tick, vec![Output::Ping]),
        (400, Input::Tick, vec![]),
    ]);
}

#[test]
fn releases_no_get_that_is_not_there() {
    polling().steps([
        (10, Input::Probe, vec![]),
        (20, ping_probe(), vec![Output::AnswerProbe]),
        (120, Input::Tick, vec![]),
        (130, Input::Poll, vec![]),
        (220, Input::Tick, vec![Output::ReleasePoll]),
    ]);
}

#[test]
fn a_wrong_first_packet_ends_the_probe_alone() {
    let wrong = [
        Packet::Upgrade,
        Packet::Ping(ByteString::new()),
        Packet::Pong(ByteString::from_static("probe")),
        Packet::Message(text("a")),
        Packet::Close,
    ];
    for packet in wrong {
        polling().steps([
            (0, Input::Probe, vec![]),
            (1, Input::ProbePacket(packet), vec![Output::CloseProbe]),
            (2, Input::Poll, vec![]),
            (3, message("a"), deliver("a")),
        ]);
    }
}

#[test]
fn anything_but_an_upgrade_after_the_probe_ends_the_probe_alone() {
    polling().steps([
        (0, Input::Probe, vec![]),
        (1, ping_probe(), vec![Output::AnswerProbe]),
        (
            2,
            Input::ProbePacket(Packet::Message(text("a"))),
            vec![Output::CloseProbe],
        ),
        (3, Input::ProbePacket(Packet::Upgrade), vec![Output::CloseProbe]),
        (200, Input::Tick, vec![]),
    ]);
}

#[test]
fn its_timeout_ends_the_probe_alone_whether_answered_or_not() {
    let config = Config {
        ping_interval: Duration::from_secs(25),
        ..config()
    };
    let silent = Run::new(Transport::Polling, config.clone()).steps([(10, Input::Probe, vec![])]);
    assert_eq!(silent.deadline(), Some(1_010));
    silent.steps([
        (1_009, Input::Tick, vec![]),
        (1_010, Input::Tick, vec![Output::CloseProbe]),
        (1_011, Input::Poll, vec![]),
    ]);

    let mut run = Run::new(Transport::Polling, config);
    run.handle(5, Input::Poll);
    run.handle(10, Input::Probe);
    run.handle(20, ping_probe());
    for at in (120..1_010).step_by(100) {
        assert_eq!(run.handle(at, Input::Tick), [Output::ReleasePoll]);
    }
    assert_eq!(run.handle(1_010, Input::Tick), [Output::CloseProbe]);
    assert_eq!(run.deadline(), Some(25_000));
}

#[test]
fn a_second_websocket_is_refused() {
    polling().steps([
        (0, Input::Probe, vec![]),
        (1, Input::Probe, vec![Output::Refuse]),
        (2, ping_probe(), vec![Output::AnswerProbe]),
        (3, Input::Probe, vec![Output::Refuse]),
        (4, Input::ProbePacket(Packet::Upgrade), vec![Output::Upgraded]),
        (5, Input::Probe, vec![Output::Refuse]),
    ]);
    websocket().steps([(0, Input::Probe, vec![Output::Refuse])]);
}

#[test]
fn after_a_probe_that_went_there_may_be_another() {
    polling().steps([
        (0, Input::Probe, vec![]),
        (1, Input::ProbeLost, vec![]),
        (2, Input::Probe, vec![]),
        (3, ping_probe(), vec![Output::AnswerProbe]),
        (4, Input::ProbePacket(Packet::Upgrade), vec![Output::Upgraded]),
    ]);
}
