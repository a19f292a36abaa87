//! Inputs for a machine out of any bytes.

use std::time::Duration;

use bytestring::ByteString;
use carillon_protocol::engine::{Message, Packet};
use tokio::time::Instant;

use super::{Beat, Clock, Input, Machine, rules::Watched};
use crate::{
    config::Config,
    session::reason::{CloseReason, Transport},
};

/// Feeds a session machine the inputs that `data` stands for: its first byte is how the session began, each three after it an
/// input, with what it is about, and the time before it.
///
/// # Panics
/// Where the machine breaks a rule.
pub fn fuzz_session_machine(data: &[u8]) {
    let Some((start, steps)) = data.split_first() else {
        return;
    };
    let config = Config {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        upgrade_timeout: Duration::from_millis(1_000),
        connect_timeout: (start & 1 == 1).then_some(Duration::from_millis(700)),
        close_grace: Duration::from_secs(30),
        ..Config::default()
    };
    let now = Instant::now();
    let machine = match start >> 1 & 3 {
        0 | 1 => Machine::new(Transport::Polling, &config, now),
        2 => Machine::new(Transport::WebSocket, &config, now),
        _ => Machine::arriving(&config, now),
    };
    let is_arriving = machine.is_moving();
    let mut watched = Watched::new(machine, config);
    let mut is_first = true;
    for step in steps.chunks_exact(3) {
        let &[kind, about, pause] = step else {
            return;
        };
        let pause = Duration::from_millis(pause.into());
        let input = if is_first && is_arriving {
            arrived(kind, about, watched.now())
        } else {
            input(kind, about, watched.now() + pause)
        };
        is_first = false;
        watched.handle(pause, input);
    }
    watched.leave_alone();
}

fn input(kind: u8, about: u8, now: Instant) -> Input {
    match kind % 18 {
        0 => Input::Poll,
        1 => Input::PollAnswered,
        2 => Input::PollAborted,
        3 => Input::ReleasePoll,
        4 => Input::Post,
        5 => Input::PostAnswered,
        6 => Input::PostAborted,
        7 => Input::Packet(packet(about)),
        8 => Input::Malformed,
        9 => Input::WebSocketLost,
        10 => Input::Probe,
        11 => Input::ProbePacket(packet(about)),
        12 => Input::ProbeLost,
        13 => Input::Depart,
        14 => Input::Joined,
        15 => Input::ExpireAt((about > 0).then(|| now + Duration::from_millis(10 * u64::from(about)))),
        16 => reason(about).map_or(Input::Tick, Input::Close),
        _ => Input::Tick,
    }
}

fn packet(about: u8) -> Packet {
    let text = ByteString::from_static(if about & 8 == 0 { "" } else { "probe" });
    match about & 7 {
        0 => Packet::Open,
        1 => Packet::Close,
        2 => Packet::Ping(text),
        3 => Packet::Pong(text),
        4 => Packet::Upgrade,
        5 => Packet::Noop,
        _ => Packet::Message(Message::Text(text)),
    }
}

fn reason(about: u8) -> Option<CloseReason> {
    CloseReason::ALL
        .get(usize::from(about) % CloseReason::ALL.len())
        .copied()
}

/// From another node, where the timers stood in any way that they can.
fn arrived(beat: u8, left: u8, since: Instant) -> Input {
    let millis = |least: u8| Duration::from_millis(u64::from(left.max(least)));
    let beat = if beat & 1 == 0 {
        Beat::Idle(millis(0))
    } else {
        Beat::Awaiting {
            left: millis(0).min(Duration::from_millis(200)),
            extended: beat & 2 == 0,
        }
    };
    let clock = Clock {
        beat,
        join: None,
        expires: (left & 1 == 1).then(|| millis(1)),
    };
    Input::Arrived { clock, since }
}
