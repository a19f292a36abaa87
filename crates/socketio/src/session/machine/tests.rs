//! Tables of `(at, input, outputs)`; times in milliseconds since the handshake.

use bytestring::ByteString;
use proptest::prelude::*;

use super::{CloseReason::*, *};

fn config() -> Config {
    Config {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        upgrade_timeout: Duration::from_millis(1_000),
        connect_timeout: None,
        close_grace: Duration::from_secs(30),
        ..Config::default()
    }
}

struct Run {
    machine: Machine,
    config: Config,
    start: Instant,
}

impl Run {
    fn new(transport: Transport, config: Config) -> Self {
        let start = Instant::now();
        Self {
            machine: Machine::new(transport, &config, start),
            config,
            start,
        }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn handle(&mut self, at: u64, input: Input) -> Vec<Output> {
        let now = self.at(at);
        self.machine.handle(input, &self.config, now).into_vec()
    }

    /// Each input must answer exactly these outputs.
    fn steps<const N: usize>(mut self, steps: [(u64, Input, Vec<Output>); N]) -> Self {
        for (at, input, outputs) in steps {
            let shown = format!("{input:?} at {at}");
            assert_eq!(self.handle(at, input), outputs, "{shown}");
        }
        self
    }

    fn deadline(&self) -> Option<u64> {
        let deadline = self.machine.deadline()?;
        Some(u64::try_from((deadline - self.start).as_millis()).unwrap())
    }
}

fn polling() -> Run {
    Run::new(Transport::Polling, config())
}

fn websocket() -> Run {
    Run::new(Transport::WebSocket, config())
}

fn upgraded() -> Run {
    polling().steps([
        (0, Input::Probe, vec![]),
        (0, ping_probe(), vec![Output::AnswerProbe, Output::ReleasePoll]),
        (
            0,
            Input::ProbePacket(Packet::Upgrade),
            vec![Output::Upgraded, Output::ReleasePoll],
        ),
    ])
}

fn text(text: &'static str) -> Message {
    Message::Text(ByteString::from_static(text))
}

fn message(content: &'static str) -> Input {
    Input::Packet(Packet::Message(text(content)))
}

fn deliver(content: &'static str) -> Vec<Output> {
    vec![Output::Deliver(text(content))]
}

fn pong() -> Input {
    Input::Packet(Packet::Pong(ByteString::new()))
}

fn ping_probe() -> Input {
    Input::ProbePacket(Packet::Ping(ByteString::from_static("probe")))
}

/// Ended by the client's side: nothing is left to tell.
fn lost(reason: CloseReason) -> Output {
    Output::Closed(Farewell {
        reason,
        noop: false,
        flush: false,
    })
}

/// Ended by the server: what is queued still goes out.
fn ended(reason: CloseReason) -> Output {
    Output::Closed(Farewell {
        reason,
        noop: false,
        flush: true,
    })
}

mod heartbeat {
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
}

mod requests {
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
}

mod upgrade {
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
            (
                250,
                Input::ProbePacket(Packet::Upgrade),
                vec![Output::Upgraded, Output::ReleasePoll],
            ),
            (300, Input::Tick, vec![Output::Ping]),
            (400, Input::Tick, vec![]),
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
            (1, ping_probe(), vec![Output::AnswerProbe, Output::ReleasePoll]),
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
            (2, ping_probe(), vec![Output::AnswerProbe, Output::ReleasePoll]),
            (3, Input::Probe, vec![Output::Refuse]),
            (
                4,
                Input::ProbePacket(Packet::Upgrade),
                vec![Output::Upgraded, Output::ReleasePoll],
            ),
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
            (3, ping_probe(), vec![Output::AnswerProbe, Output::ReleasePoll]),
            (
                4,
                Input::ProbePacket(Packet::Upgrade),
                vec![Output::Upgraded, Output::ReleasePoll],
            ),
        ]);
    }
}

mod ends {
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
        for reason in [ForcedClose, ConnectTimeout, Expired, ServerShutdown] {
            let run = polling().steps([(100, Input::Close(reason), vec![ended(reason)])]);
            assert_eq!(run.deadline(), Some(30_100));
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
            (100, Input::Close(ServerShutdown), vec![ended(ServerShutdown)]),
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
            assert_eq!(run.deadline(), None, "{reason:?}");
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
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let data = prop_oneof![Just(""), Just("probe")].prop_map(ByteString::from_static);
    prop_oneof![
        1 => Just(Packet::Open),
        1 => Just(Packet::Close),
        1 => data.clone().prop_map(Packet::Ping),
        4 => data.clone().prop_map(Packet::Pong),
        4 => data.prop_map(|data| Packet::Message(Message::Text(data))),
        2 => Just(Packet::Upgrade),
        1 => Just(Packet::Noop),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => Just(Input::Poll),
        4 => Just(Input::PollAnswered),
        1 => Just(Input::PollAborted),
        4 => Just(Input::Post),
        4 => Just(Input::PostAnswered),
        1 => Just(Input::PostAborted),
        8 => any_packet().prop_map(Input::Packet),
        1 => Just(Input::Malformed),
        1 => Just(Input::WebSocketLost),
        4 => Just(Input::Probe),
        2 => Just(ping_probe()),
        4 => any_packet().prop_map(Input::ProbePacket),
        1 => Just(Input::ProbeLost),
        1 => Just(Input::Joined),
        1 => Just(Input::ExpireAt(None)),
        1 => proptest::sample::select(&CloseReason::ALL[..]).prop_map(Input::Close),
        8 => Just(Input::Tick),
    ]
}

proptest! {
    #[test]
    fn any_inputs_keep_the_rules(
        over_websocket in any::<bool>(),
        joins_late in any::<bool>(),
        steps in proptest::collection::vec((any_input(), 0_u64..150), 1..120),
    ) {
        let transport = if over_websocket { Transport::WebSocket } else { Transport::Polling };
        let connect_timeout = joins_late.then_some(Duration::from_millis(700));
        let mut run = Run::new(transport, Config { connect_timeout, ..config() });
        let (mut now, mut closed, mut upgraded, mut forgotten) = (0, 0, 0, 0);
        for (input, pause) in steps {
            now += pause;
            for output in run.handle(now, input) {
                match output {
                    Output::Closed(_) => closed += 1,
                    Output::Upgraded => upgraded += 1,
                    Output::Forget => forgotten += 1,
                    Output::Refuse => {}
                    output => prop_assert_eq!(closed, 0, "{:?} after the end", output),
                }
            }
            prop_assert!(closed <= 1 && upgraded <= 1);
            prop_assert_eq!(run.machine.is_closed(), closed == 1);
            prop_assert!(forgotten == 0 || closed == 1);
            prop_assert!(run.machine.deadline().is_some() || run.machine.is_closed());
        }
        // The timers cannot spin: a few ticks, and nothing is due any more.
        for _ in 0..3 {
            run.handle(now, Input::Tick);
        }
        prop_assert!(run.machine.deadline().is_none_or(|deadline| deadline > run.at(now)));
    }
}
