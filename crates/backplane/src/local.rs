//! The in-process backplane: one node alone, or several nodes of one process (tests).
//!
//! The log's lock is held while an event gets its offset and goes into the queues of the nodes' sockets, so every
//! socket sees events in the order of their offsets. Delivery is synchronous and never waits.

mod log;
mod presence;
mod sessions;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use carillon_protocol::{adapter::Broadcast, id::Room, id::UserId, presence::OnlineUser, time::Timestamp};
use parking_lot::{Mutex, RwLock};

use crate::{Fanout, Inbound, Missed, Offset, Presence, Recovery, Result, SessionRecord};

pub use log::LogBounds;

/// The state that the nodes of one process share.
#[derive(Debug)]
pub struct LocalBackplane {
    nodes: RwLock<Nodes>,
    log: Mutex<log::Log>,
    presence: Mutex<presence::Users>,
    sessions: Mutex<sessions::Sessions>,
}

/// The receiving sides that have joined.
#[derive(Default)]
struct Nodes(Vec<Arc<dyn Inbound>>);

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} nodes", self.0.len())
    }
}

impl LocalBackplane {
    /// A backplane whose sessions can be recovered for `recovery_window` after their connection is gone.
    /// `epoch` tells this process's offsets from those of any other: random text of `[A-Za-z0-9_-]`.
    #[must_use]
    pub fn new(epoch: &str, recovery_window: Duration, bounds: LogBounds) -> Self {
        Self {
            nodes: RwLock::default(),
            log: Mutex::new(log::Log::new(epoch, recovery_window, bounds)),
            presence: Mutex::default(),
            sessions: Mutex::new(sessions::Sessions::new(recovery_window)),
        }
    }

    /// Adds a node: from now on it is given every event.
    pub fn join(&self, node: Arc<dyn Inbound>) {
        self.nodes.write().0.push(node);
    }
}

#[async_trait]
impl Fanout for LocalBackplane {
    async fn publish(&self, broadcast: Broadcast) -> Result<()> {
        let nodes = self.nodes.read();
        if broadcast.volatile {
            for node in &nodes.0 {
                node.deliver(&broadcast, None);
            }
            return Ok(());
        }
        let broadcast = Arc::new(broadcast);
        let mut log = self.log.lock();
        let offset = log.append(Arc::clone(&broadcast));
        for node in &nodes.0 {
            node.deliver(&broadcast, Some(&offset));
        }
        Ok(())
    }
}

#[async_trait]
impl Presence for LocalBackplane {
    async fn connect(&self, user: &UserId, at: Timestamp) -> Result<bool> {
        Ok(self.presence.lock().connect(user, at))
    }

    async fn disconnect(&self, user: &UserId) -> Result<bool> {
        Ok(self.presence.lock().disconnect(user))
    }

    async fn settle(&self, user: &UserId) -> Result<bool> {
        Ok(self.presence.lock().settle(user))
    }

    async fn online(&self) -> Result<Vec<OnlineUser>> {
        Ok(self.presence.lock().online())
    }
}

#[async_trait]
impl Recovery for LocalBackplane {
    async fn head(&self) -> Result<Offset> {
        Ok(self.log.lock().head())
    }

    async fn keep(&self, record: SessionRecord) -> Result<()> {
        self.sessions.lock().keep(record);
        Ok(())
    }

    async fn lost(&self, pid: &str) -> Result<()> {
        self.sessions.lock().lost(pid);
        Ok(())
    }

    async fn forget(&self, pid: &str) -> Result<()> {
        self.sessions.lock().take(pid);
        Ok(())
    }

    async fn find(&self, pid: &str) -> Result<Option<SessionRecord>> {
        Ok(self.sessions.lock().find(pid))
    }

    async fn take(&self, pid: &str) -> Result<Option<SessionRecord>> {
        Ok(self.sessions.lock().take(pid))
    }

    async fn missed(&self, offset: &str, rooms: &[Room]) -> Result<Option<Vec<Missed>>> {
        Ok(self.log.lock().since(offset, rooms))
    }
}
