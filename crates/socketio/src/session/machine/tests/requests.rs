//! GETs and POSTs, and what they bring.

use super::*;

#[test]
fn a_second_get_at_once_is_refused_and_ends_the_session() {
    let run = polling().steps([
        (0, Input::Poll, vec![]),
        (1, Input::Poll, vec![Output::Refuse, lost(TransportError)]),
        (2, Input::Poll, vec![Output::Refuse]),
    ]);
    assert_eq!(run.deadline(), None);
}

#[test]
fn a_second_post_at_once_is_refused_and_ends_the_session() {
    polling().steps([
        (0, Input::Post, vec![]),
        (1, Input::Post, vec![Output::Refuse, lost(TransportError)]),
        (2, Input::PostAnswered, vec![]),
        (2, Input::Post, vec![Output::Refuse]),
    ]);
}

#[test]
fn a_get_and_a_post_at_once_and_one_after_the_other_are_fine() {
    polling().steps([
        (0, Input::Poll, vec![]),
        (0, Input::Post, vec![]),
        (1, Input::PostAnswered, vec![]),
        (1, Input::Post, vec![]),
        (1, Input::PollAnswered, vec![]),
        (2, Input::Poll, vec![]),
    ]);
}

#[test]
fn a_request_that_the_client_gives_up_ends_the_session() {
    polling().steps([
        (0, Input::Poll, vec![]),
        (1, Input::PollAborted, vec![lost(TransportError)]),
    ]);
    polling().steps([
        (0, Input::Post, vec![]),
        (1, Input::PostAborted, vec![lost(TransportError)]),
    ]);
}

#[test]
fn a_request_left_over_from_before_an_upgrade_ends_nothing() {
    upgraded().steps([
        (1, Input::PollAborted, vec![]),
        (1, Input::PostAborted, vec![]),
        (1, Input::PollAnswered, vec![]),
    ]);
}

#[test]
fn requests_over_websocket_are_refused_and_end_nothing() {
    for run in [websocket(), upgraded()] {
        run.steps([
            (0, Input::Poll, vec![Output::Refuse]),
            (0, Input::Post, vec![Output::Refuse]),
            (0, message("a"), deliver("a")),
        ]);
    }
}

#[test]
fn a_close_packet_over_polling_ends_the_session_with_a_noop() {
    let end = Farewell {
        reason: TransportClose,
        noop: true,
        flush: false,
    };
    let run = polling().steps([
        (0, Input::Poll, vec![]),
        (0, Input::Post, vec![]),
        (0, Input::Packet(Packet::Close), vec![Output::Closed(end)]),
    ]);
    assert_eq!(run.deadline(), None);
}

#[test]
fn a_close_packet_over_websocket_is_passed_over() {
    for run in [websocket(), upgraded()] {
        run.steps([
            (0, Input::Packet(Packet::Close), vec![]),
            (0, message("a"), deliver("a")),
        ]);
    }
}

#[test]
fn packets_without_a_meaning_here_are_passed_over() {
    for packet in [Packet::Open, Packet::Upgrade, Packet::Noop] {
        websocket().steps([(0, Input::Packet(packet.clone()), vec![])]);
        polling().steps([(0, Input::Packet(packet), vec![])]);
    }
}

#[test]
fn what_is_no_packet_ends_the_session() {
    for run in [websocket(), polling()] {
        let run = run.steps([(0, Input::Malformed, vec![lost(ParseError)])]);
        assert_eq!(run.deadline(), None);
    }
}
