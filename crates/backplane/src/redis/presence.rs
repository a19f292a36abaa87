//! Who is online: what this node knows of its own connections, and what Redis knows of all nodes.
//!
//! A user is online while some node has connections of it. A script that takes a user on- or offline writes down in the
//! same moment that this is to be announced, and announcing it strikes that out ([`announcing`]): so whatever is lost in
//! between, each change is announced once, by whichever node finds it.
//!
//! A call that fails leaves the user in doubt; what is in doubt is brought up to date as soon as that is possible, and
//! what changes by that is announced by [`Inbound::presence_changed`]. [`users`] has the rules.

mod announcing;
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
use crate::{Announcement, Measure, NodeTag, Presence, Result};

use announcing::Leftovers;
pub(super) use announcing::sign;
pub(super) use list::List;
use users::Data;
pub(super) use users::Users;

/// Users in one call of a script.
const BATCH: usize = 250;

#[async_trait]
impl Presence for RedisBackplane {
    async fn connect(&self, user: &UserId, at: Timestamp) -> Result<bool> {
        self.users.comes(user, at);
        self.reachable()?;
        let _shared = self.users.order.read().await;
        let mut call = self.scripts.connect.key(self.names.online());
        call.key(self.names.unannounced())
            .key(self.names.users_of(&self.tag))
            .key(self.names.nodes())
            .arg(&*self.tag)
            .arg(user.as_str())
            .arg(at.as_millis())
            .arg(self.names.users());
        let is_news: bool = self.commands.script(&call).await?;
        self.users.heard(user);
        Ok(is_news)
    }

    async fn disconnect(&self, user: &UserId) -> Result<bool> {
        if !self.users.goes(user) {
            return Ok(false);
        }
        self.reachable().inspect_err(|_| self.users.not_asked(user))?;
        let _shared = self.users.order.read().await;
        let mut call = self.scripts.disconnect.key(self.names.nodes());
        call.key(self.names.users_of(&self.tag))
            .arg(user.as_str())
            .arg(self.names.users());
        let is_last: bool = self.commands.script(&call).await?;
        self.users.heard(user);
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
            .key(self.names.unannounced())
            .arg(&*self.tag)
            .arg(user.as_str())
            .arg(self.names.users());
        let is_news: bool = self.commands.script(&call).await?;
        self.users.heard(user);
        Ok(is_news)
    }

    async fn announce(&self, announcements: Vec<Announcement>) -> Result<Vec<bool>> {
        let users: Vec<UserId> = announcements.iter().map(|one| one.user.clone()).collect();
        let announced = self.publish_changes(announcements).await;
        if announced.is_err() {
            users.iter().for_each(|user| self.users.doubt(user));
        }
        announced
    }

    async fn online(&self) -> Result<Vec<OnlineUser>> {
        self.reachable()?;
        self.online.since_now(async || self.fetch_online().await).await
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

    /// Brings Redis up to date about everybody on this node. `data` tells what Redis holds from what it held before it lost
    /// anything. Where it has lost what it was told, who went meanwhile is taken offline only when all nodes have had a
    /// lease's time to say who is there.
    pub(super) async fn register_users(&self, data: String) -> Result<()> {
        let _alone = self.users.order.write().await;
        let known_data = self.users.registered_in.lock().clone();
        let has_lost = known_data.is_some_and(|known| known != data);
        let mut command = redis::cmd("SMEMBERS");
        command.arg(self.names.users_of(&self.tag));
        let registered: Vec<String> = self.commands.query(&command).await?;
        let mut known = self.users.known();
        known.extend(registered.into_iter().filter_map(|user| UserId::parse(user).ok()));
        let mut known: Vec<UserId> = known.into_iter().collect();
        if has_lost {
            self.sync(&known, Data::Lost).await?;
            let due = Instant::now() + self.lifetimes.lease();
            let gone = known.into_iter().filter(|user| !self.users.is_here(user));
            gone.for_each(|user| self.users.doubt_from(user, due));
        } else {
            known.retain(|user| !self.users.is_in_grace(user));
            self.sync(&known, Data::Kept).await?;
        }
        *self.users.registered_in.lock() = Some(data);
        Ok(())
    }

    /// Settles doubts, takes users of dead nodes offline and finds what nobody announces, for ever.
    pub(super) async fn tend_users(&self) {
        let mut leftovers = Leftovers::default();
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
            if let Err(error) = self.look_for(&mut leftovers).await {
                tracing::debug!(%error, "not known whether changes of presence are left over");
            }
            self.announce_changes();
            self.measured(Measure::Sweep);
        }
    }

    async fn settle_doubts(&self) -> Result<()> {
        if self.users.due().is_empty() {
            return Ok(());
        }
        let _alone = self.users.order.write().await;
        // Those of which a call was under way may be settled by now.
        let due = self.users.due();
        self.sync(&due, Data::Kept).await
    }

    async fn sync(&self, users: &[UserId], data: Data) -> Result<()> {
        for batch in users.chunks(BATCH) {
            let mut call = self.scripts.sync.key(self.names.nodes());
            call.key(self.names.online())
                .key(self.names.unannounced())
                .key(self.names.users_of(&self.tag))
                .arg(&*self.tag)
                .arg(self.names.users());
            for user in batch {
                let (word, at) = self.users.word(user, data);
                call.arg(word.as_str()).arg(user.as_str()).arg(at.as_millis());
            }
            let news: Vec<String> = self.commands.script(&call).await?;
            batch.iter().for_each(|user| self.users.heard(user));
            let changes = news.iter().filter_map(|change| announcing::read(change));
            self.users.unannounced.lock().extend(changes);
        }
        Ok(())
    }

    async fn sweep(&self, node: &NodeTag) -> Result<()> {
        loop {
            let mut call = self.scripts.sweep.key(self.names.nodes());
            call.key(self.names.online())
                .key(self.names.unannounced())
                .key(self.names.users_of(node))
                .arg(&*self.tag)
                .arg(&**node)
                .arg(self.names.users())
                .arg(BATCH);
            let (has_more, gone): (bool, Vec<String>) = first_and_rest(self.commands.script(&call).await?)?;
            let gone = gone.into_iter().filter_map(|user| UserId::parse(user).ok());
            let gone = gone.map(|user| (user, Status::Offline));
            self.users.unannounced.lock().extend(gone);
            if !has_more {
                return self.take_over_announcing(node).await;
            }
        }
    }
}
