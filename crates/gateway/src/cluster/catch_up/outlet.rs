//! What goes to this node's sockets, with an offset where they may be recovered from it.

use std::sync::Arc;

use carillon_backplane::Place;
use carillon_protocol::adapter::{Broadcast, Offset};

use crate::gaps::Gaps;

/// Gives an event to this node's sockets.
pub(in crate::cluster) type Deliver = Arc<dyn Fn(&Broadcast, Option<Offset>) + Send + Sync>;

/// The way to this node's sockets.
pub(super) struct Outlet {
    deliver: Deliver,
    pub(super) gaps: Gaps,
}

impl Outlet {
    pub(super) const fn new(deliver: Deliver, gaps: Gaps) -> Self {
        Self { deliver, gaps }
    }

    /// Gives what has come. An offset says that nothing before it is missing, so there is none while something is.
    pub(super) fn give(&self, broadcast: &Broadcast, place: Place) {
        match place {
            Place::At(offset) if self.gaps.are_closed() => (self.deliver)(broadcast, Some(offset)),
            Place::At(_) | Place::Unlogged => (self.deliver)(broadcast, Some(Offset::NOWHERE)),
            Place::Unkept => (self.deliver)(broadcast, None),
        }
    }
}
