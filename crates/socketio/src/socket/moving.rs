//! A socket that moves from one node to another with its session. For a while both nodes have it: up to the fence, one place
//! in the order of broadcasts, its old node gives it everything, from there on the new one.

use super::{Cork, Flow, Position, Socket, SocketParts};

impl<D> Socket<D> {
    /// A socket that is still at another node.
    pub(crate) fn elsewhere(parts: SocketParts<D>) -> Self {
        Self::with_flow(parts, Flow::Elsewhere)
    }

    /// Whether this node answers for it.
    pub(crate) fn is_here(&self) -> bool {
        !matches!(self.outlet.lock().flow, Flow::Elsewhere)
    }

    /// The old node's side of the fence: it is given nothing more here, and no ack will come. `None` where it has left its
    /// namespace already.
    pub(crate) fn depart(&self) -> Option<Position> {
        let mut outlet = self.outlet.lock();
        let was_open = matches!(std::mem::replace(&mut outlet.flow, Flow::Shut), Flow::Open);
        let mut acks = self.acks.lock();
        acks.clear();
        was_open.then(|| Position {
            offset: outlet.offset,
            next_ack: acks.next(),
        })
    }

    /// The new node's side of the fence: what comes from now on is held back.
    pub(crate) fn pass_fence(&self) {
        let mut outlet = self.outlet.lock();
        if matches!(outlet.flow, Flow::Elsewhere) {
            outlet.flow = Flow::Corked(Cork::default());
        }
    }

    /// What the old node has not given the client is queued: goes on from there, with what was held back since the fence.
    /// `false`, and nothing of it is sent, where it is more than may wait for a client.
    pub(crate) fn go_on(&self, position: Position) -> bool {
        let mut outlet = self.outlet.lock();
        self.acks.lock().go_on(position.next_ack);
        self.open(&mut outlet, Vec::new(), position.offset)
    }
}
