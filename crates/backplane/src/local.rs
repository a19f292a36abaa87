//! The in-process backplane: one node alone.
//!
//! The log's lock is held while an event gets its offset and goes into the queues of the node's sockets, so every
//! socket sees events in the order of their offsets. Delivery is synchronous and never waits.

mod log;
mod presence;
mod routing;
mod sessions;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::{Broadcast, Offset},
    id::{Room, UserId},
    presence::OnlineUser,
    time::Timestamp,
    value::Value,
};
use parking_lot::Mutex;

use crate::{
    Announcement, Asked, Backplane, Fanout, Health, Inbound, Missed, NodeTag, Peers, Place, Placement,
    Presence, Recovery, Result, Selection, SessionRecord, SocketSummary,
};

pub use log::LogBounds;

/// The backplane of a node that is alone.
pub struct LocalBackplane {
    tag: NodeTag,
    node: OnceLock<Arc<dyn Inbound>>,
    log: Mutex<log::Log>,
    presence: Mutex<presence::Users>,
    sessions: Mutex<sessions::Sessions>,
    published: AtomicU64,
}

impl std::fmt::Debug for LocalBackplane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalBackplane")
            .field("tag", &self.tag)
            .finish_non_exhaustive()
    }
}

impl LocalBackplane {
    /// A backplane whose sessions can be recovered for `recovery_window` after their connection is gone. `tag` names the node.
    #[must_use]
    pub fn new(tag: &str, recovery_window: Duration, bounds: LogBounds) -> Self {
        Self {
            tag: ByteString::from(tag),
            node: OnceLock::new(),
            log: Mutex::new(log::Log::new(recovery_window, bounds)),
            presence: Mutex::default(),
            sessions: Mutex::new(sessions::Sessions::new(recovery_window)),
            published: AtomicU64::new(0),
        }
    }

    /// Says whose sockets get the events. The first word counts.
    pub fn join(&self, node: Arc<dyn Inbound>) {
        self.node.get_or_init(|| node);
    }

    fn append_and_deliver(&self, broadcast: Broadcast) {
        self.published.fetch_add(1, Ordering::Relaxed);
        let Some(node) = self.node.get() else { return };
        if broadcast.volatile {
            node.deliver(&broadcast, Place::Unkept);
            return;
        }
        let broadcast = Arc::new(broadcast);
        let mut log = self.log.lock();
        let offset = log.append(Arc::clone(&broadcast));
        node.deliver(&broadcast, Place::At(offset));
    }
}

impl Backplane for LocalBackplane {
    fn health(&self) -> Health {
        Health {
            is_up: true,
            nodes: 1,
            published: self.published.load(Ordering::Relaxed),
            ..Health::default()
        }
    }
}

#[async_trait]
impl Fanout for LocalBackplane {
    async fn publish(&self, broadcast: Broadcast) -> Result<Placement> {
        self.append_and_deliver(broadcast);
        Ok(Placement::Placed)
    }

    /// The one node publishes a chat's messages in order by itself.
    async fn publish_in_order(
        &self,
        _chat: &str,
        _seq: u64,
        broadcasts: Vec<Broadcast>,
    ) -> Result<Placement> {
        for broadcast in broadcasts {
            self.append_and_deliver(broadcast);
        }
        Ok(Placement::Placed)
    }

    async fn settle_order(&self, _chat: &str, _published: u64) -> Result<()> {
        Ok(())
    }

    async fn order(&self, _chat: &str) -> Result<Option<u64>> {
        Ok(None)
    }

    async fn forget_order(&self, _chat: &str, _published: u64) -> Result<()> {
        Ok(())
    }

    fn occupied(&self, _room: &Room) {}

    fn vacated(&self, _room: &Room) {}

    async fn attend(&self, _rooms: &[Room]) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Peers for LocalBackplane {
    async fn server_count(&self) -> Result<usize> {
        Ok(1)
    }

    async fn fetch_sockets(&self, selection: &Selection) -> Result<Vec<SocketSummary>> {
        Ok(self
            .node
            .get()
            .map_or_else(Vec::new, |node| node.sockets(selection)))
    }

    async fn join(&self, selection: &Selection, rooms: &[Room]) -> Result<()> {
        if let Some(node) = self.node.get() {
            node.join(selection, rooms);
        }
        Ok(())
    }

    async fn leave(&self, selection: &Selection, rooms: &[Room]) -> Result<()> {
        if let Some(node) = self.node.get() {
            node.leave(selection, rooms);
        }
        Ok(())
    }

    async fn disconnect(&self, selection: &Selection, close: bool) -> Result<()> {
        if let Some(node) = self.node.get() {
            node.disconnect(selection, close);
        }
        Ok(())
    }

    async fn ask(&self, broadcast: Broadcast, timeout: Duration) -> Result<Vec<Value>> {
        let Some(node) = self.node.get() else {
            return Ok(Vec::new());
        };
        let Asked { mut answers, .. } = node.ask(&broadcast, timeout);
        let mut values = Vec::new();
        while let Some(answer) = answers.recv().await {
            values.push(answer);
        }
        Ok(values)
    }

    async fn server_side_emit(&self, _nsp: &str, _args: Vec<Value>) -> Result<()> {
        Ok(())
    }

    async fn server_side_ask(&self, _nsp: &str, _args: Vec<Value>) -> Result<Vec<Value>> {
        Ok(Vec::new())
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

    /// The lock is held while an event is given out, so that what its user does next is told after it; it is let go between
    /// two, because each goes to many sockets.
    async fn announce(&self, announcements: Vec<Announcement>) -> Result<Vec<bool>> {
        let announced = announcements.into_iter().map(|announcement| {
            let mut presence = self.presence.lock();
            let is_news = presence.announce(&announcement.user, announcement.status);
            if let Some(event) = announcement.event.filter(|_| is_news) {
                self.append_and_deliver(event);
            }
            is_news
        });
        Ok(announced.collect())
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

    fn handed_over(&self, _pid: &str) {}

    async fn find(&self, pid: &str) -> Result<Option<SessionRecord>> {
        Ok(self.sessions.lock().find(pid))
    }

    async fn take(&self, pid: &str) -> Result<Option<SessionRecord>> {
        Ok(self.sessions.lock().take(pid))
    }

    async fn missed(&self, offset: Offset, rooms: &[Room]) -> Result<Option<Vec<Missed>>> {
        Ok(self.log.lock().since(offset, rooms))
    }
}
