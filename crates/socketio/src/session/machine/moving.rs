//! A session on its way from one node to another.
//!
//! From the upgrade packet until it runs on the other node its client is not heard: what the client says waits in the
//! WebSocket. So its timers stand still, but for the end that the session has anyway, and a time by which the move is done.

use std::time::Duration;

use tokio::time::Instant;

use super::{Heartbeat, Machine, Output, Outputs, Probe, Transport};
use crate::config::Config;

/// How the timers of a session stand, as times left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) beat: Beat,
    /// Until a namespace must have been joined.
    pub(crate) join: Option<Duration>,
    /// Until the session ends, whatever else happens.
    pub(crate) expires: Option<Duration>,
}

/// How a session's heartbeat stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// So long until the next ping.
    Idle(Duration),
    /// So long for the pong, which may have been extended.
    Awaiting { left: Duration, extended: bool },
}

/// A move under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    since: Instant,
    /// A move that is not done by then has failed.
    pub(super) until: Instant,
}

impl Move {
    /// The other node may take [`Config::upgrade_timeout`]. It counts from later, and has the first word on a failure.
    fn new(config: &Config, now: Instant) -> Self {
        Self {
            since: now,
            until: now + config.upgrade_timeout * 2,
        }
    }
}

impl Machine {
    /// A session that comes from another node: see [`Machine::arrive`].
    pub(crate) fn arriving(config: &Config, now: Instant) -> Self {
        Self {
            moving: Some(Move::new(config, now)),
            ..Self::new(Transport::WebSocket, config, now)
        }
    }

    pub(crate) const fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    pub(super) fn depart(&mut self, config: &Config, now: Instant) -> Outputs {
        let Some(Probe::Ready { .. }) = self.probe else {
            return smallvec::smallvec![Output::Refuse];
        };
        self.probe = None;
        self.transport = Transport::WebSocket;
        self.moving = Some(Move::new(config, now));
        smallvec::smallvec![Output::Departing]
    }

    /// How its timers stand.
    pub(crate) fn clock(&self, now: Instant) -> Clock {
        let beat = match self.heartbeat {
            Heartbeat::Idle { ping_at } => Beat::Idle(ping_at.saturating_duration_since(now)),
            // A pong may wait in the WebSocket since the move began.
            Heartbeat::Awaiting { until, extended } => Beat::Awaiting {
                left: until.saturating_duration_since(self.moving.map_or(now, |moving| moving.since)),
                extended,
            },
        };
        let left = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(now));
        Clock {
            beat,
            join: left(self.join_until),
            expires: left(self.expire_at),
        }
    }

    /// Goes on as `clock` stood some time after `since`: nothing that the client waits for comes later for the move.
    pub(super) fn arrive(&mut self, clock: Clock, since: Instant, now: Instant) {
        self.heartbeat = match clock.beat {
            Beat::Idle(left) => Heartbeat::Idle {
                ping_at: (since + left).max(now),
            },
            Beat::Awaiting { left, extended } => Heartbeat::Awaiting {
                until: now + left,
                extended,
            },
        };
        self.join_until = clock.join.map(|left| since + left);
        self.expire_at = clock.expires.map(|left| since + left);
        self.moving = None;
    }
}
