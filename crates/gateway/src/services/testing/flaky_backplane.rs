//! A backplane that can be taken down.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use carillon_backplane::{
    Fanout, Missed, Offset, Presence, Recovery, Result, SessionRecord, Unavailable, local::LocalBackplane,
};
use carillon_protocol::{adapter::Broadcast, id::Room, id::UserId, presence::OnlineUser, time::Timestamp};

pub(crate) struct FlakyBackplane {
    inner: LocalBackplane,
    down: AtomicBool,
}

impl FlakyBackplane {
    pub(super) fn new(inner: LocalBackplane) -> Self {
        Self {
            inner,
            down: AtomicBool::new(false),
        }
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn up(&self) -> Result<&LocalBackplane> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Unavailable {
                reason: "taken down".to_owned(),
            });
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl Fanout for FlakyBackplane {
    async fn publish(&self, broadcast: Broadcast) -> Result<()> {
        self.up()?.publish(broadcast).await
    }
}

#[async_trait]
impl Presence for FlakyBackplane {
    async fn connect(&self, user: &UserId, at: Timestamp) -> Result<bool> {
        self.up()?.connect(user, at).await
    }

    async fn disconnect(&self, user: &UserId) -> Result<bool> {
        self.up()?.disconnect(user).await
    }

    async fn settle(&self, user: &UserId) -> Result<bool> {
        self.up()?.settle(user).await
    }

    async fn online(&self) -> Result<Vec<OnlineUser>> {
        self.up()?.online().await
    }
}

#[async_trait]
impl Recovery for FlakyBackplane {
    async fn head(&self) -> Result<Offset> {
        self.up()?.head().await
    }

    async fn keep(&self, record: SessionRecord) -> Result<()> {
        self.up()?.keep(record).await
    }

    async fn lost(&self, pid: &str) -> Result<()> {
        self.up()?.lost(pid).await
    }

    async fn forget(&self, pid: &str) -> Result<()> {
        self.up()?.forget(pid).await
    }

    async fn find(&self, pid: &str) -> Result<Option<SessionRecord>> {
        self.up()?.find(pid).await
    }

    async fn take(&self, pid: &str) -> Result<Option<SessionRecord>> {
        self.up()?.take(pid).await
    }

    async fn missed(&self, offset: &str, rooms: &[Room]) -> Result<Option<Vec<Missed>>> {
        self.up()?.missed(offset, rooms).await
    }
}
