//! The Engine.IO session machine: `(state, input, now) → outputs`, without I/O.
//!
//! It knows the heartbeat, the polling rules, the upgrade and every way a session ends (Engine.IO v4, "Transports",
//! "Upgrade" and "Heartbeat"). The session applies its outputs; transports and timers feed it.

#[cfg(feature = "fuzzing")]
mod fuzzing;
mod moving;
#[cfg(any(test, feature = "fuzzing"))]
mod rules;

use std::time::Duration;

use carillon_protocol::engine::{Message, Packet};
use smallvec::{SmallVec, smallvec};
use tokio::time::Instant;

use super::reason::{CloseReason, Transport};
use crate::config::Config;
use moving::Move;

#[cfg(feature = "fuzzing")]
pub use fuzzing::fuzz_session_machine;
pub(crate) use moving::{Beat, Clock};

/// How often a held poll is released while an upgrade is under way (engine.io 6, `socket.ts`).
const UPGRADE_NOOP_INTERVAL: Duration = Duration::from_millis(100);

/// How long a server that goes waits for a polling client to fetch what is left.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// What happened to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// A GET came.
    Poll,
    /// The held GET is answered.
    PollAnswered,
    /// The held GET's connection went.
    PollAborted,
    /// The held GET is to be answered, though there may be nothing for it.
    ReleasePoll,
    /// A POST came.
    Post,
    /// The POST is answered.
    PostAnswered,
    /// The POST's connection went.
    PostAborted,
    /// A packet came over a polling POST or over the session's WebSocket.
    Packet(Packet),
    /// What came over the session's transport is no packet.
    Malformed,
    /// The session's WebSocket went.
    WebSocketLost,
    /// A WebSocket opened with the sid of this session.
    Probe,
    /// A packet came over the probing WebSocket.
    ProbePacket(Packet),
    /// The probing WebSocket went, or sent what is no packet.
    ProbeLost,
    /// The upgrade packet came over the probing WebSocket, which is at another node.
    Depart,
    /// The session has come from another node, where its timers stood like this. What is still to come counts from `since`.
    Arrived { clock: Clock, since: Instant },
    /// The session has joined a namespace.
    Joined,
    /// The session ends at this time, whatever else happens; `None` lifts it.
    ExpireAt(Option<Instant>),
    /// The server ends it.
    Close(CloseReason),
    /// A deadline has come.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// The request breaks the rules: refuse it (400, or close the WebSocket).
    Refuse,
    /// Queue a ping.
    Ping,
    /// Give a message to the layer above.
    Deliver(Message),
    /// Answer the held GET with a noop if there is nothing else for it.
    ReleasePoll,
    /// Answer `3probe` on the probing WebSocket.
    AnswerProbe,
    /// The probing WebSocket is the transport now.
    Upgraded,
    /// The session moves to the node of its probing WebSocket.
    Departing,
    /// Close the probing WebSocket; the session stays.
    CloseProbe,
    /// The session has ended.
    Closed(Farewell),
    /// Nobody came for what was left: forget the session.
    Forget,
}

/// How a session's end is told to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) reason: CloseReason,
    /// A held GET is answered by a noop rather than by a close packet: the client itself asked for the end.
    pub(crate) noop: bool,
    /// What is queued is still for the client.
    pub(crate) flush: bool,
}

pub(crate) type Outputs = SmallVec<[Output; 2]>;

/// A WebSocket on its way to become the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// Open, but no `2probe` yet.
    Opened { until: Instant },
    /// `3probe` sent: waits for the upgrade packet.
    Ready { until: Instant, noop_at: Instant },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heartbeat {
    /// The next ping is due.
    Idle { ping_at: Instant },
    /// A pong is awaited. Any other packet re-arms the timeout once (engine.io 6.6.12).
    Awaiting { until: Instant, extended: bool },
}

#[derive(Debug)]
pub(crate) struct Machine {
    transport: Transport,
    heartbeat: Heartbeat,
    probe: Option<Probe>,
    /// On its way from one node to another: its client is not heard meanwhile.
    moving: Option<Move>,
    poll_held: bool,
    post_open: bool,
    join_until: Option<Instant>,
    expire_at: Option<Instant>,
    /// When the ping was sent whose pong is awaited.
    pinged_at: Option<Instant>,
    /// Closed: the time until which a polling client may fetch what is left.
    closed: Option<Option<Instant>>,
}

impl Machine {
    pub(crate) fn new(transport: Transport, config: &Config, now: Instant) -> Self {
        Self {
            transport,
            heartbeat: Heartbeat::Idle {
                ping_at: now + config.ping_interval,
            },
            probe: None,
            moving: None,
            poll_held: false,
            post_open: false,
            join_until: config.connect_timeout.map(|timeout| now + timeout),
            expire_at: None,
            pinged_at: None,
            closed: None,
        }
    }

    /// With another time by which it is to have joined a namespace.
    pub(crate) const fn joining_until(mut self, until: Instant) -> Self {
        self.join_until = Some(until);
        self
    }

    pub(crate) const fn transport(&self) -> Transport {
        self.transport
    }

    pub(crate) const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// When the ping was sent that a pong answers now.
    pub(crate) const fn take_ping(&mut self) -> Option<Instant> {
        self.pinged_at.take()
    }

    /// Whether a WebSocket is on its way to become the transport.
    pub(crate) const fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// Whether a WebSocket may begin an upgrade.
    pub(crate) const fn takes_probe(&self) -> bool {
        matches!(self.transport, Transport::Polling) && self.probe.is_none() && !self.is_closed()
    }

    /// The time of the next `Tick`; `None` once there is nothing left to wait for.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if let Some(linger) = self.closed {
            return linger;
        }
        if let Some(Move { until, .. }) = self.moving {
            return [Some(until), self.expire_at].into_iter().flatten().min();
        }
        let heartbeat = match self.heartbeat {
            Heartbeat::Idle { ping_at } => ping_at,
            Heartbeat::Awaiting { until, .. } => until,
        };
        let probe = self.probe.map(|probe| match probe {
            Probe::Opened { until } => until,
            Probe::Ready { until, noop_at } => until.min(noop_at),
        });
        [Some(heartbeat), probe, self.join_until, self.expire_at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn handle(&mut self, input: Input, config: &Config, now: Instant) -> Outputs {
        if self.is_closed() {
            return self.handle_closed(&input, now);
        }
        match input {
            Input::Poll => self.poll(),
            Input::PollAnswered => {
                self.poll_held = false;
                smallvec![]
            }
            Input::ReleasePoll => self.release().into_iter().collect(),
            Input::Post if self.transport == Transport::WebSocket => smallvec![Output::Refuse],
            Input::Post if self.post_open => self.refuse_and_close(),
            Input::Post => {
                self.post_open = true;
                smallvec![]
            }
            Input::PostAnswered => {
                self.post_open = false;
                smallvec![]
            }
            Input::PollAborted | Input::PostAborted if self.transport == Transport::Polling => {
                self.poll_held = false;
                self.close(CloseReason::TransportError, config, now)
            }
            Input::PollAborted | Input::PostAborted => smallvec![],
            Input::Packet(packet) => self.packet(packet, config, now),
            Input::Malformed => self.close(CloseReason::ParseError, config, now),
            Input::WebSocketLost => self.close(CloseReason::TransportClose, config, now),
            Input::Probe => self.open_probe(config, now),
            Input::ProbePacket(packet) => self.probe_packet(&packet, now),
            Input::ProbeLost => {
                self.probe = None;
                smallvec![]
            }
            Input::Depart => self.depart(config, now),
            Input::Arrived { clock, since } => {
                self.arrive(clock, since, now);
                smallvec![]
            }
            Input::Joined => {
                self.join_until = None;
                smallvec![]
            }
            Input::ExpireAt(at) => {
                self.expire_at = at;
                smallvec![]
            }
            Input::Close(reason) => self.close(reason, config, now),
            Input::Tick => self.tick(config, now),
        }
    }

    /// After its end a session refuses everything, but for the one poll that fetches what is left.
    fn handle_closed(&mut self, input: &Input, now: Instant) -> Outputs {
        match input {
            // Nothing is left at the node that a session has gone from.
            Input::Poll if self.transport == Transport::WebSocket => smallvec![Output::Refuse],
            Input::Poll if self.closed.flatten().is_some() && !self.poll_held => {
                self.poll_held = true;
                smallvec![]
            }
            Input::Poll | Input::Post | Input::Probe => smallvec![Output::Refuse],
            Input::PollAnswered | Input::PollAborted => {
                self.closed = Some(None);
                smallvec![Output::Forget]
            }
            Input::Tick if self.closed.flatten().is_some_and(|until| until <= now) => {
                self.closed = Some(None);
                smallvec![Output::Forget]
            }
            _ => smallvec![],
        }
    }

    fn poll(&mut self) -> Outputs {
        if self.transport == Transport::WebSocket {
            return smallvec![Output::Refuse];
        }
        if self.poll_held {
            return self.refuse_and_close();
        }
        self.poll_held = true;
        smallvec![]
    }

    /// Two requests of one kind at once: the client is broken (engine.io 6, `polling.ts`).
    fn refuse_and_close(&mut self) -> Outputs {
        self.closed = Some(None);
        let reason = CloseReason::TransportError;
        smallvec![
            Output::Refuse,
            Output::Closed(Farewell {
                reason,
                noop: false,
                flush: false
            })
        ]
    }

    fn packet(&mut self, packet: Packet, config: &Config, now: Instant) -> Outputs {
        let is_pong = matches!(packet, Packet::Pong(_));
        self.note_life(is_pong, config, now);
        match packet {
            Packet::Message(message) => smallvec![Output::Deliver(message)],
            // A version 4 client never sends a ping outside a probe.
            Packet::Ping(_) => self.close(CloseReason::TransportError, config, now),
            // Over WebSocket the official server passes a close packet over: the frame that follows closes.
            Packet::Close if self.transport == Transport::Polling => {
                self.closed = Some(None);
                let reason = CloseReason::TransportClose;
                smallvec![Output::Closed(Farewell {
                    reason,
                    noop: true,
                    flush: false
                })]
            }
            Packet::Pong(_) | Packet::Open | Packet::Close | Packet::Upgrade | Packet::Noop => smallvec![],
        }
    }

    fn note_life(&mut self, is_pong: bool, config: &Config, now: Instant) {
        if is_pong {
            self.heartbeat = Heartbeat::Idle {
                ping_at: now + config.ping_interval,
            };
        } else if let Heartbeat::Awaiting { extended: false, .. } = self.heartbeat {
            self.heartbeat = Heartbeat::Awaiting {
                until: now + config.ping_timeout,
                extended: true,
            };
        }
    }

    fn open_probe(&mut self, config: &Config, now: Instant) -> Outputs {
        if !self.takes_probe() {
            return smallvec![Output::Refuse];
        }
        self.probe = Some(Probe::Opened {
            until: now + config.upgrade_timeout,
        });
        smallvec![]
    }

    fn probe_packet(&mut self, packet: &Packet, now: Instant) -> Outputs {
        match (self.probe, packet) {
            (Some(Probe::Opened { until }), Packet::Ping(data)) if *data == "probe" => {
                self.probe = Some(Probe::Ready {
                    until,
                    noop_at: now + UPGRADE_NOOP_INTERVAL,
                });
                let mut outputs = smallvec![Output::AnswerProbe];
                outputs.extend(self.release());
                outputs
            }
            (Some(Probe::Ready { .. }), Packet::Upgrade) => {
                self.probe = None;
                self.transport = Transport::WebSocket;
                smallvec![Output::Upgraded]
            }
            _ => {
                self.probe = None;
                smallvec![Output::CloseProbe]
            }
        }
    }

    /// A GET that is held, if there is one, is answered, so that the client can go on with its upgrade.
    fn release(&self) -> Option<Output> {
        self.poll_held.then_some(Output::ReleasePoll)
    }

    fn close(&mut self, reason: CloseReason, config: &Config, now: Instant) -> Outputs {
        let flush = match reason {
            // What came before it was answered.
            CloseReason::ParseError => true,
            CloseReason::SlowConsumer | CloseReason::Moved => false,
            reason => !reason.is_clients(),
        };
        let lingers = match reason {
            // A late request of its client finds here that it has been upgraded.
            CloseReason::Moved => true,
            CloseReason::Superseded => false,
            // What is left for a polling client waits for its next GET, if none is held.
            reason => self.transport == Transport::Polling && !reason.is_clients(),
        };
        let grace = match reason {
            // A client that polls at all does so within that.
            CloseReason::ServerShutdown => config.close_grace.min(SHUTDOWN_GRACE),
            _ => config.close_grace,
        };
        self.closed = Some(lingers.then(|| now + grace));
        smallvec![Output::Closed(Farewell {
            reason,
            noop: false,
            flush
        })]
    }

    fn tick(&mut self, config: &Config, now: Instant) -> Outputs {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.expire_at) {
            return self.close(CloseReason::Expired, config, now);
        }
        if let Some(Move { until, .. }) = self.moving {
            return if until <= now {
                self.close(CloseReason::TransportError, config, now)
            } else {
                smallvec![]
            };
        }
        if due(self.join_until) {
            return self.close(CloseReason::ConnectTimeout, config, now);
        }
        let mut outputs = Outputs::new();
        match self.heartbeat {
            Heartbeat::Awaiting { until, .. } if until <= now => {
                return self.close(CloseReason::PingTimeout, config, now);
            }
            Heartbeat::Idle { ping_at } if ping_at <= now => {
                // Counted from when it was due, so that a late timer does not shift the client's clock.
                self.heartbeat = Heartbeat::Awaiting {
                    until: ping_at + config.ping_timeout,
                    extended: false,
                };
                self.pinged_at = Some(now);
                outputs.push(Output::Ping);
            }
            Heartbeat::Awaiting { .. } | Heartbeat::Idle { .. } => {}
        }
        match &mut self.probe {
            Some(Probe::Opened { until } | Probe::Ready { until, .. }) if *until <= now => {
                self.probe = None;
                outputs.push(Output::CloseProbe);
            }
            Some(Probe::Ready { noop_at, .. }) if *noop_at <= now => {
                *noop_at = now + UPGRADE_NOOP_INTERVAL;
                outputs.extend(self.release());
            }
            _ => {}
        }
        outputs
    }
}

#[cfg(test)]
mod tests;
