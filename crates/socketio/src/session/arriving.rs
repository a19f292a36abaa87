//! A session comes from another node: its client's WebSocket is here.

use std::sync::Arc;

use bytestring::ByteString;
use carillon_protocol::value::Value;
use tokio::time::Instant;

use super::{
    Handshake, Session,
    machine::{Input, Machine},
    transfer::SessionExport,
};
use crate::{config::Config, counters::Counters};

impl Session {
    /// A session that comes from another node: it waits for [`Session::restore`].
    pub(crate) fn arriving(
        sid: ByteString,
        handshake: Handshake,
        config: Arc<Config>,
        counters: Arc<Counters>,
    ) -> Self {
        counters.session_arrived();
        let machine = Machine::arriving(&config, Instant::now());
        Self::over(machine, sid, handshake, config, counters)
    }

    /// Goes on where the session stood on another node; what that node did not give its client comes first. Its times count
    /// from `since`. Answers with the state of the layer above; `None` where the session has ended meanwhile.
    pub(crate) fn restore(&self, export: SessionExport, since: Instant) -> Option<Value> {
        let SessionExport { frames, clock, layer } = export;
        let mut state = self.state.lock();
        if state.machine.is_closed() {
            return None;
        }
        state.queue.restore(frames);
        self.apply(&mut state, Input::Arrived { clock, since });
        self.outbound.notify_waiters();
        Some(layer)
    }
}
