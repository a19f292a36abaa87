//! A session leaves this node: its client's WebSocket is at another one.

use std::sync::Arc;

use carillon_protocol::{engine::Packet, value::Value};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    CloseReason, DepartingLayer, Session,
    machine::Input,
    transfer::{SessionBrief, SessionExport},
    websocket::Role,
};

/// A probe by a WebSocket at another node. Dropped, it is over, and polling goes on.
#[derive(Debug)]
pub struct Leaving {
    session: Arc<Session>,
    number: u64,
}

/// A session on its way to another node. Dropped before [`Departure::departed`], it ends.
#[must_use = "the session ends with it"]
pub struct Departure {
    session: Unmoved,
    brief: SessionBrief,
    layer: Mutex<Option<Box<dyn DepartingLayer>>>,
}

/// Ends a session that does not move after all.
struct Unmoved(Arc<Session>);

impl Drop for Unmoved {
    fn drop(&mut self) {
        self.0.close(CloseReason::TransportError);
    }
}

impl Session {
    /// Begins an upgrade to a WebSocket at another node, once `2probe` has come there. `None` where the session has been
    /// upgraded, has ended, or is being probed: that WebSocket is to be closed.
    pub fn probe_elsewhere(self: &Arc<Self>) -> Option<Leaving> {
        let Role::Probe(number) = self.begin_probe() else {
            return None;
        };
        self.probe_input(number, Input::ProbePacket(Packet::Ping("probe".into())));
        Some(Leaving {
            session: Arc::clone(self),
            number,
        })
    }

    /// Takes everything that its client has not been given; `None` where it has ended.
    fn export(&self, layer: Value) -> Option<SessionExport> {
        let mut state = self.state.lock();
        if state.machine.is_closed() {
            return None;
        }
        let clock = state.machine.clock(Instant::now());
        let mut frames = Vec::new();
        // The other node does not measure what this one had queued.
        state.queue.take(usize::MAX, &mut frames, &mut Vec::new());
        Some(SessionExport { frames, clock, layer })
    }
}

impl Leaving {
    /// Whether the upgrade may still come.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        self.session.is_probing(self.number)
    }

    /// Waits until the upgrade may no longer come: its time is over, or the session has ended.
    pub async fn ended(&self) {
        loop {
            let changed = self.session.changed.notified();
            if !self.is_probing() {
                return;
            }
            changed.await;
        }
    }

    /// The upgrade packet has come. From now on polling is refused. What was posted is worked off first, then the session is
    /// ready to move. `None` where the probe or the session is over, or the session cannot move.
    pub async fn upgrade(&self) -> Option<Departure> {
        let departing = self.session.probe_input(self.number, Input::Depart).departing?;
        let session = Unmoved(Arc::clone(&self.session));
        let (brief, layer) = departing.await.ok()?;
        Some(Departure {
            brief: SessionBrief {
                address: session.0.handshake.address.clone(),
                layer: brief,
            },
            session,
            layer: Mutex::new(Some(layer)),
        })
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.session.probe_input(self.number, Input::ProbeLost);
    }
}

impl Departure {
    /// What the other node needs first.
    #[must_use]
    pub const fn brief(&self) -> &SessionBrief {
        &self.brief
    }

    /// Everything that the session is now; its sockets are in no room of this node any more. To be called at the fence, by
    /// whoever delivers what comes before it and after it. `None` where the session has ended, and the second time.
    #[must_use]
    pub fn export(&self) -> Option<SessionExport> {
        let layer = self.layer.lock().take()?;
        self.session.0.export(layer.export())
    }

    /// The other node has it. What is left here answers late requests for a while.
    pub fn departed(&self) {
        self.session.0.close(CloseReason::Moved);
    }

    /// The other node does not have it: it ends.
    pub fn abandon(&self) {
        self.session.0.close(CloseReason::TransportError);
    }
}

impl std::fmt::Debug for Departure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Departure")
            .field("session", &self.session.0)
            .finish_non_exhaustive()
    }
}
