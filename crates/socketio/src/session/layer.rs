//! What the layer above a session is to it.

use async_trait::async_trait;
use carillon_protocol::{engine::Message, value::Value};

use super::CloseReason;

/// The layer above one session. Its messages come one after the other, in order.
#[async_trait]
pub trait Application: Send {
    /// A message came. The next one waits until this returns.
    async fn message(&mut self, message: Message);

    /// The session has ended; nothing comes after it.
    async fn closed(&mut self, reason: CloseReason);

    /// [`Session::call_layer`](super::Session::call_layer) was called: something happened to the session that did not come from its client.
    async fn called(&mut self) {}

    /// The session is to move to another node: answers with what is needed to build this anew there, and who sees to the
    /// move. No message comes any more. `None` where it cannot move; the session then ends.
    fn depart(&mut self) -> Option<(Value, Box<dyn DepartingLayer>)> {
        None
    }

    /// The session has moved to another node; nothing comes after it.
    async fn moved(&mut self) {}

    /// The session has come from another node. Called before anything else.
    async fn arrived(&mut self) {}
}

/// The layer above a session that leaves.
pub trait DepartingLayer: Send + Sync {
    /// Ends its work here, for the moment of the move: from now on it gives the session nothing. Answers with what it is.
    fn export(&self) -> Value;
}
