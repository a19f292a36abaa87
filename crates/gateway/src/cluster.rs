//! The one place where the hub and the backplane meet: what comes from the backplane goes to this node's sockets.

use std::sync::Arc;

use carillon_backplane::{Inbound, Offset};
use carillon_protocol::adapter::Broadcast;
use carillon_socketio::Hub;

/// This node's receiving side.
#[derive(Debug)]
pub struct Receiver<D>(pub Arc<Hub<D>>);

impl<D: Send + Sync> Inbound for Receiver<D> {
    fn deliver(&self, broadcast: &Broadcast, offset: Option<&Offset>) {
        self.0.deliver(broadcast, offset);
    }
}
