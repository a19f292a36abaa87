//! The order of what a socket is given, and how far it has been told.

use carillon_protocol::{adapter::Offset, value::Value};

use crate::session::{Outbound, Sent};

/// Most events that are held back for a socket; one with more is not resumed.
const MAX_CORKED: usize = 1_000;

/// What comes to a socket goes through here, in one order.
#[derive(Debug)]
pub(super) struct Outlet {
    /// The place in the log up to which the client has everything, once it has what is queued.
    pub(super) offset: Offset,
    /// The place at which it began here: what the log has up to there the client has had, whenever it comes to this node.
    pub(super) begun_at: Offset,
    pub(super) flow: Flow,
    /// The server has it leave its namespace.
    pub(super) dismissed: Option<Dismissal>,
}

impl Outlet {
    /// Whether the client has had the event at `place` of the log.
    pub(super) fn has_had(&self, place: Offset) -> bool {
        place.is_up_to(self.begun_at)
    }
}

#[derive(Debug)]
pub(super) enum Flow {
    /// The socket is still at another node, which gives it everything.
    Elsewhere,
    /// What comes before these events is not known yet.
    Corked(Cork),
    Open,
    /// The socket has left its namespace.
    Shut,
}

/// How far a socket is that moves to another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The place in the log up to which the client has everything, once it has what is queued.
    pub(crate) offset: Offset,
    /// The id of the next event that the client is to answer.
    pub(crate) next_ack: u64,
}

/// The server has a socket leave its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dismissal {
    /// The whole session is to end.
    pub(crate) close: bool,
}

/// Events that are held back.
#[derive(Debug, Default)]
pub(super) struct Cork(Vec<Corked>);

#[derive(Debug)]
pub(super) enum Corked {
    Broadcast {
        packet: Outbound,
        offset: Option<Offset>,
    },
    /// Written only when it is sent: its offset is that of the event before it.
    Own(Vec<Value>),
}

impl Cork {
    /// Keeps an event for later. One too many stays away, and the socket is not resumed.
    pub(super) fn hold_back(&mut self, event: impl FnOnce() -> Corked) -> Sent {
        if self.0.len() >= MAX_CORKED {
            return Sent::Dropped;
        }
        self.0.push(event());
        Sent::Queued
    }

    /// Whether it holds something that has no place in the log, or none that is known: for a socket that is resumed nobody can
    /// tell whether its client has had that.
    pub(super) fn holds_unplaced(&self) -> bool {
        let is_unplaced = |event: &Corked| matches!(event, Corked::Broadcast { offset, .. } if *offset == Some(Offset::NOWHERE));
        self.0.iter().any(is_unplaced)
    }

    /// What was held back; `None` where some of it was not.
    pub(super) fn events(self) -> Option<Vec<Corked>> {
        (self.0.len() < MAX_CORKED).then_some(self.0)
    }
}
