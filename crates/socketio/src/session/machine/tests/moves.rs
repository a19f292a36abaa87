//! From one node to another.

use super::*;

fn departing() -> Run {
    polling().steps([
        (0, Input::Probe, vec![]),
        (0, ping_probe(), vec![Output::AnswerProbe]),
        (0, Input::Depart, vec![Output::Departing]),
    ])
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn only_what_is_probed_departs_and_only_once() {
    polling().steps([
        (0, Input::Depart, vec![Output::Refuse]),
        (1, Input::Probe, vec![]),
        (2, Input::Depart, vec![Output::Refuse]),
        (3, ping_probe(), vec![Output::AnswerProbe]),
        (4, Input::Depart, vec![Output::Departing]),
        (5, Input::Depart, vec![Output::Refuse]),
    ]);
    websocket().steps([(0, Input::Depart, vec![Output::Refuse])]);
}

#[test]
fn on_its_way_it_refuses_everything_and_its_heartbeat_stands_still() {
    let run = departing().steps([
        (1, Input::Poll, vec![Output::Refuse]),
        (1, Input::Post, vec![Output::Refuse]),
        (1, Input::Probe, vec![Output::Refuse]),
        (1_999, Input::Tick, vec![]),
    ]);
    assert_eq!(run.deadline(), Some(2_000));
    run.steps([(2_000, Input::Tick, vec![lost(TransportError)])]);
}

#[test]
fn its_end_does_not_wait_for_the_move() {
    let mut run = departing();
    run.handle(1, Input::ExpireAt(Some(run.at(50))));
    assert_eq!(run.deadline(), Some(50));
    assert_eq!(run.handle(50, Input::Tick), [ended(Expired)]);
}

#[test]
fn gone_it_refuses_for_a_while_and_is_forgotten() {
    let run = departing().steps([(
        10,
        Input::Close(Moved),
        vec![Output::Closed(Farewell {
            reason: Moved,
            noop: false,
            flush: false,
        })],
    )]);
    assert_eq!(run.deadline(), Some(30_010));
    run.steps([
        (20, Input::Poll, vec![Output::Refuse]),
        (20, Input::Post, vec![Output::Refuse]),
        (20, Input::Probe, vec![Output::Refuse]),
        (21, Input::Close(TransportError), vec![]),
        (30_009, Input::Tick, vec![]),
        (30_010, Input::Tick, vec![Output::Forget]),
    ]);
}

#[test]
fn no_ping_comes_later_for_the_move() {
    let mut old = polling();
    for input in [Input::Probe, ping_probe()] {
        old.handle(40, input);
    }
    old.handle(50, Input::Depart);
    // The fence is 20 ms after the move began on the other node, the end of the move 30 ms after the fence.
    let clock = old.machine.clock(old.at(70));
    assert_eq!(clock.beat, Beat::Idle(millis(230)));

    let mut new = Run {
        machine: Machine::arriving(&old.config, old.at(50)),
        config: config(),
        start: old.start,
    };
    assert_eq!(new.deadline(), Some(2_050));
    new.handle(
        100,
        Input::Arrived {
            clock,
            since: new.at(50),
        },
    );
    assert_eq!(new.deadline(), Some(280));
    new.steps([
        (280, Input::Tick, vec![Output::Ping]),
        (480, Input::Tick, vec![lost(PingTimeout)]),
    ]);
}

#[test]
fn a_ping_that_is_overdue_comes_at_once_and_leaves_the_client_its_time() {
    let start = Instant::now();
    let mut new = Run {
        machine: Machine::arriving(&config(), start),
        config: config(),
        start,
    };
    let clock = Clock {
        beat: Beat::Idle(millis(10)),
        join: None,
        expires: None,
    };
    new.handle(100, Input::Arrived { clock, since: start });
    new.steps([
        (100, Input::Tick, vec![Output::Ping]),
        (299, Input::Tick, vec![]),
        (300, Input::Tick, vec![lost(PingTimeout)]),
    ]);
}

#[test]
fn the_time_of_the_move_does_not_count_against_an_awaited_pong() {
    let mut old = polling().steps([
        (300, Input::Tick, vec![Output::Ping]),
        (310, Input::Probe, vec![]),
        (310, ping_probe(), vec![Output::AnswerProbe]),
    ]);
    old.handle(450, Input::Depart);
    assert_eq!(old.handle(520, Input::Tick), []);
    let clock = old.machine.clock(old.at(520));
    assert_eq!(
        clock.beat,
        Beat::Awaiting {
            left: millis(50),
            extended: false
        }
    );

    let mut new = Run {
        machine: Machine::arriving(&old.config, old.at(450)),
        config: config(),
        start: old.start,
    };
    let since = new.at(450);
    new.handle(530, Input::Arrived { clock, since });
    assert_eq!(new.deadline(), Some(580));
    assert_eq!(new.handle(570, pong()), []);
    assert_eq!(new.deadline(), Some(870));
}

#[test]
fn the_times_to_join_and_to_live_go_along() {
    let config = Config {
        connect_timeout: Some(millis(700)),
        ..config()
    };
    let mut old = Run::new(Transport::Polling, config.clone());
    for input in [Input::Probe, ping_probe()] {
        old.handle(0, input);
    }
    let expires = old.at(5_000);
    old.handle(0, Input::ExpireAt(Some(expires)));
    old.handle(10, Input::Depart);
    let clock = old.machine.clock(old.at(20));
    assert_eq!(
        (clock.join, clock.expires),
        (Some(millis(680)), Some(millis(4_980)))
    );

    let mut new = Run {
        machine: Machine::arriving(&config, old.at(10)),
        config,
        start: old.start,
    };
    let since = new.at(10);
    let beat = Beat::Idle(millis(9_000));
    new.handle(
        30,
        Input::Arrived {
            clock: Clock { beat, ..clock },
            since,
        },
    );
    assert_eq!(new.deadline(), Some(690));
    new.handle(100, Input::Joined);
    assert_eq!(new.deadline(), Some(4_990));
}
