//! The order of what a socket is given, and how far it has been told.

use bytestring::ByteString;
use carillon_protocol::value::Value;

use crate::session::{Outbound, Sent};

/// Most events that are held back for a socket; one with more is not resumed.
const MAX_CORKED: usize = 1_000;

/// What comes to a socket goes through here, in one order.
#[derive(Debug)]
pub(super) struct Outlet {
    /// The place in the log up to which the client has everything, once it has what is queued.
    pub(super) offset: Option<ByteString>,
    /// The place at which it began here: what the log has up to there the client has had, whenever it comes to this node.
    pub(super) begun_at: Option<ByteString>,
    pub(super) flow: Flow,
    /// The server has it leave its namespace.
    pub(super) dismissed: Option<Dismissal>,
}

impl Outlet {
    /// Whether the client has had the event at `place` of the log.
    pub(super) fn has_had(&self, place: &str) -> bool {
        let begun_at = self.begun_at.as_ref();
        begun_at.is_some_and(|begun_at| is_up_to(place, begun_at))
    }
}

/// Whether `place` of the log is `end` or before it. Places are a number behind an epoch and a dot, padded or not; those of
/// different epochs do not compare.
fn is_up_to(place: &str, end: &str) -> bool {
    (place.len(), place) <= (end.len(), end) && epoch(place) == epoch(end)
}

fn epoch(place: &str) -> Option<&str> {
    place.split_once('.').map(|(epoch, _)| epoch)
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The place in the log up to which the client has everything, once it has what is queued.
    pub(crate) offset: Option<ByteString>,
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
        offset: Option<ByteString>,
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

    /// What was held back; `None` where some of it was not.
    pub(super) fn events(self) -> Option<Vec<Corked>> {
        (self.0.len() < MAX_CORKED).then_some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_compare_within_their_epoch() {
        let padded = |epoch: &str, number: u64| format!("{epoch}.{number:016}");
        let bare = |epoch: &str, number: u64| format!("{epoch}.{number}");
        for (number, up_to) in [(9, true), (10, true), (11, false), (100, false), (9_000, false)] {
            assert_eq!(
                is_up_to(&padded("k3Zp09aQ", number), &padded("k3Zp09aQ", 10)),
                up_to
            );
            assert_eq!(is_up_to(&bare("k3Zp09aQ", number), &bare("k3Zp09aQ", 10)), up_to);
            assert!(!is_up_to(&bare("a3Zp09aQ", number), &bare("k3Zp09aQ", 10)));
        }
        assert!(!is_up_to("-", "k3Zp09aQ.10"));
    }
}
