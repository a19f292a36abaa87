//! Who is online: what this node knows of its own connections, and what Redis knows of all nodes.
//!
//! A user is online while some node has connections of it. A call that fails leaves the user in doubt; what is in doubt is
//! brought up to date as soon as that is possible, and what changes by that is announced by [`Inbound::presence_changed`].

mod list;
mod users;

use std::time::Duration;

use async_trait::async_trait;
use carillon_protocol::{
    id::UserId,
    presence::{OnlineUser, Status},
    text,
    time::Timestamp,
};
use tokio::time::Instant;

use super::{RedisBackplane, commands::first_and_rest};
#[cfg(doc)]
use crate::Inbound;
use crate::{NodeTag, Presence, Result};

pub(super) use list::List;
use users::Case;
pub(super) use users::Users;

/// Users in one call of a script.
const BATCH: usize = 250;

#[async_trait]
impl Presence for RedisBackplane {
    async fn connect(&self, user: &UserId, at: Timestamp) -> Result<bool> {
        self.users.connected(user, at);
        self.users.doubt(user);
        self.reachable()?;
        let _shared = self.users.order.read().await;
        let mut call = self.scripts.connect.key(self.names.online());
        call.key(self.names.users_of(&self.tag))
            .key(self.names.nodes())
            .arg(user.as_str())
            .arg(at.as_millis())
            .arg(self.names.users());
        let was_offline: bool = self.commands.script(&call).await?;
        self.users.told(user);
        Ok(was_offline)
    }

    async fn disconnect(&self, user: &UserId) -> Result<bool> {
        if self.users.disconnected(user) > 0 {
            return Ok(false);
        }
        self.users.doubt(user);
        self.reachable().inspect_err(|_| self.users.forget_untold(user))?;
        let _shared = self.users.order.read().await;
        let mut call = self.scripts.disconnect.key(self.names.nodes());
        call.key(self.names.users_of(&self.tag))
            .arg(user.as_str())
            .arg(self.names.users());
        let is_last: bool = self.commands.script(&call).await?;
        self.users.told(user);
        Ok(is_last)
    }

    async fn settle(&self, user: &UserId) -> Result<bool> {
        if self.users.is_here(user) {
            return Ok(false);
        }
        self.users.doubt(user);
        self.reachable()?;
        let _shared = self.users.order.read().await;
        let mut call = self.scripts.settle.key(self.names.nodes());
        call.key(self.names.online())
            .arg(user.as_str())
            .arg(self.names.users());
        let is_gone: bool = self.commands.script(&call).await?;
        self.users.told(user);
        Ok(is_gone)
    }

    async fn online(&self) -> Result<Vec<OnlineUser>> {
        self.reachable()?;
        self.online.since_now(async || self.fetch_online().await).await
    }

    async fn is_online(&self, user: &UserId) -> Result<bool> {
        self.reachable()?;
        let mut command = redis::cmd("HEXISTS");
        command.arg(self.names.online()).arg(user.as_str());
        self.commands.query(&command).await
    }
}

impl RedisBackplane {
    async fn fetch_online(&self) -> Result<Vec<OnlineUser>> {
        self.reachable()?;
        let mut command = redis::cmd("HGETALL");
        command.arg(self.names.online());
        let online: Vec<(String, i64)> = self.commands.query(&command).await?;
        let line = |(user, at): (String, i64)| {
            let user = UserId::parse(user).ok()?;
            Some(OnlineUser {
                user,
                last_seen: Timestamp::from_millis(at),
            })
        };
        let mut users: Vec<_> = online.into_iter().filter_map(line).collect();
        users.sort_by(|left, right| text::cmp_utf16(left.user.as_str(), right.user.as_str()));
        Ok(users)
    }

    /// Brings Redis up to date about everybody on this node. `has_lost` says that Redis has lost what it knew; then
    /// who went meanwhile is taken offline only when all nodes have had a lease's time to say who is there.
    pub(super) async fn register_users(&self, has_lost: bool) -> Result<()> {
        let _alone = self.users.order.write().await;
        let mut command = redis::cmd("SMEMBERS");
        command.arg(self.names.users_of(&self.tag));
        let registered: Vec<String> = self.commands.query(&command).await?;
        let mut known = self.users.known();
        known.extend(registered.into_iter().filter_map(|user| UserId::parse(user).ok()));
        let known: Vec<UserId> = known.into_iter().collect();
        self.sync(&known, has_lost).await?;
        if has_lost {
            let later = Instant::now() + self.options.lease;
            let gone = known.into_iter().filter(|user| !self.users.is_here(user));
            let gone: Vec<_> = gone.map(|user| (user, later)).collect();
            self.users.in_doubt.lock().extend(gone);
        }
        Ok(())
    }

    /// Settles doubts and takes users of dead nodes offline, for ever.
    pub(super) async fn tend_users(&self) {
        loop {
            // A moment later is early enough for all of it but a death, which is news.
            let _ = tokio::time::timeout(Duration::from_millis(500), self.users.news.notified()).await;
            if let Err(error) = self.settle_doubts().await {
                tracing::debug!(%error, "users stay in doubt");
            }
            let dead: Vec<NodeTag> = self.users.to_sweep.lock().drain().collect();
            for node in dead {
                if let Err(error) = self.sweep(&node).await {
                    tracing::debug!(%error, "a dead node's users are not taken offline yet");
                }
            }
            self.announce_changes();
        }
    }

    async fn settle_doubts(&self) -> Result<()> {
        if self.users.due().is_empty() {
            return Ok(());
        }
        let _alone = self.users.order.write().await;
        // Those of which a call was under way may be settled by now.
        let due = self.users.due();
        self.sync(&due, false).await
    }

    async fn sync(&self, users: &[UserId], has_lost: bool) -> Result<()> {
        for batch in users.chunks(BATCH) {
            let mut call = self.scripts.sync.key(self.names.nodes());
            call.key(self.names.online())
                .key(self.names.users_of(&self.tag))
                .arg(self.names.users());
            for user in batch {
                let (case, at) = self.users.case_of(user);
                let case = if has_lost && case == Case::Went {
                    Case::WentLately
                } else {
                    case
                };
                call.arg(case.as_str()).arg(user.as_str()).arg(at.as_millis());
            }
            let changed: Vec<String> = self.commands.script(&call).await?;
            batch.iter().for_each(|user| self.users.told(user));
            let changes = changed.iter().filter_map(|change| read_change(change));
            self.users.unannounced.lock().extend(changes);
        }
        Ok(())
    }

    async fn sweep(&self, node: &NodeTag) -> Result<()> {
        loop {
            let mut call = self.scripts.sweep.key(self.names.nodes());
            call.key(self.names.online())
                .key(self.names.users_of(node))
                .arg(&**node)
                .arg(self.names.users())
                .arg(BATCH);
            let (has_more, gone): (bool, Vec<String>) = first_and_rest(self.commands.script(&call).await?)?;
            let gone = gone.into_iter().filter_map(|user| UserId::parse(user).ok());
            let gone = gone.map(|user| (user, Status::Offline));
            self.users.unannounced.lock().extend(gone);
            if !has_more {
                return Ok(());
            }
        }
    }

    /// Tells the node who came or went without a call of its own.
    pub(super) fn announce_changes(&self) {
        let changes = std::mem::take(&mut *self.users.unannounced.lock());
        if let Some(node) = self.node.get()
            && !changes.is_empty()
        {
            node.presence_changed(changes);
        }
    }
}

fn read_change(change: &str) -> Option<(UserId, Status)> {
    let (status, user) = if let Some(user) = change.strip_prefix('+') {
        (Status::Online, user)
    } else {
        (Status::Offline, change.strip_prefix('-')?)
    };
    Some((UserId::parse(user.to_owned()).ok()?, status))
}
