//! Any inputs in any order.

use proptest::prelude::*;

use super::*;
use crate::session::machine::rules::Watched;

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
        1 => Just(Input::Depart),
        1 => Just(Input::ReleasePoll),
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
        let config = Config { connect_timeout, ..config() };
        let machine = Machine::new(transport, &config, Instant::now());
        let mut watched = Watched::new(machine, config);
        for (input, pause) in steps {
            watched.handle(Duration::from_millis(pause), input);
        }
        watched.leave_alone();
    }
}
