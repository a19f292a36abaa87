//! What a session tells of itself to whoever measures.

use carillon_protocol::engine::Packet;

use super::{Session, State, machine::Input};
use crate::observer::Delivery;

impl Session {
    /// Measures an input before it changes the state.
    pub(super) fn measure(&self, state: &mut State, input: &Input) {
        match input {
            Input::Packet(packet) => {
                self.counters.packet_received(packet);
                let pinged = matches!(packet, Packet::Pong(_)).then(|| state.machine.take_ping());
                if let Some(pinged_at) = pinged.flatten() {
                    self.counters
                        .ponged(state.machine.transport(), pinged_at.elapsed());
                }
            }
            Input::ProbeLost if state.machine.is_probing() => self.counters.upgrade(false),
            _ => {}
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let left = self.state.get_mut().queue.clear();
        self.counters.tracked(left, Delivery::DroppedClosed);
    }
}
