//! Typing: signals that are passed on and kept nowhere.

use std::sync::Arc;

use carillon_backplane::Backplane;
use carillon_protocol::{
    adapter::Broadcast,
    chat::Pair,
    event,
    id::{Room, UserId},
};

use super::{Result, backplane_problem, broadcast};
use crate::{clock::Clock, telemetry::Metrics};

/// Who is typing.
pub struct Typing {
    backplane: Arc<dyn Backplane>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Typing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typing").finish_non_exhaustive()
    }
}

impl Typing {
    /// Over a backplane and a clock.
    #[must_use]
    pub fn new(backplane: Arc<dyn Backplane>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            backplane,
            clock,
            metrics,
        }
    }

    /// Tells the chat's room, except the sockets in room `except`, whether `user` is typing (`userTyping`). It may be
    /// dropped where a reader's queue is full and is not kept for recovery.
    ///
    /// # Errors
    /// Where the backplane fails.
    pub async fn signal(&self, user: &UserId, chat: &Pair, is_typing: bool, except: &Room) -> Result<()> {
        let event = event::user_typing(user, is_typing, self.clock.now());
        let signal = Broadcast {
            volatile: true,
            ..broadcast(event, vec![chat.room()], vec![except.clone()])
        };
        let published = self.backplane.publish(signal).await;
        self.metrics.events.typing(published.is_ok());
        published.map_err(backplane_problem)?;
        Ok(())
    }
}
