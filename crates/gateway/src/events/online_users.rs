//! `getOnlineUsers` → `onlineUsers [{userId, lastSeen}]`. Its arguments are ignored.

use carillon_protocol::event;

use super::{Answer, Caller, Events, Outcome};

const FAILED: &str = "Failed to get online users";

impl Events {
    pub(super) async fn online_users(&self, caller: &Caller<'_>) -> Answer {
        let users = self
            .services
            .presence
            .online(caller.user)
            .await
            .map_err(|problem| problem.under(FAILED))?;
        Ok(Outcome::answered("onlineUsers", event::online_users(&users)))
    }
}
