//! Tables of `(at, input, outputs)`; times in milliseconds since the handshake.

mod ends;
mod heartbeat;
mod moves;
mod random;
mod requests;
mod upgrade;

use bytestring::ByteString;

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
        (0, ping_probe(), vec![Output::AnswerProbe]),
        (0, Input::ProbePacket(Packet::Upgrade), vec![Output::Upgraded]),
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
        flush: reason == ParseError,
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
