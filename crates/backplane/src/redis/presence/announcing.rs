//! Changes of presence on their way from Redis to everybody.
//!
//! The scripts that make a change put it into `unannounced`; the one that publishes it takes it out. What is found there
//! is thus still so and not announced yet, and only one of those who find it announces it. Of a user who goes and comes
//! back before that, or the other way round, there is nothing left to find.

use std::collections::HashMap;

use carillon_protocol::{id::UserId, presence::Status};
use tokio::time::{Duration, Instant};

use crate::{Announcement, NodeTag, Result, redis::RedisBackplane};

/// How often a node looks for what was left over: what stays for that long nobody is about to announce.
const LOOKING: Duration = Duration::from_secs(5);

/// What was to be announced at the last look.
#[derive(Debug)]
pub(super) struct Leftovers {
    seen: HashMap<String, String>,
    next_look: Instant,
}

impl Default for Leftovers {
    fn default() -> Self {
        Self {
            seen: HashMap::new(),
            next_look: Instant::now(),
        }
    }
}

/// A status as the scripts write it.
pub(in crate::redis) const fn sign(status: Status) -> &'static str {
    match status {
        Status::Online => "+",
        Status::Offline => "-",
    }
}

/// A sign, and what comes after it.
fn split(text: &str) -> Option<(Status, &str)> {
    if let Some(rest) = text.strip_prefix('+') {
        Some((Status::Online, rest))
    } else {
        Some((Status::Offline, text.strip_prefix('-')?))
    }
}

/// A change as `sync` answers it: sign and user.
pub(super) fn read(change: &str) -> Option<(UserId, Status)> {
    let (status, user) = split(change)?;
    Some((UserId::parse(user.to_owned()).ok()?, status))
}

impl RedisBackplane {
    /// Tells the node who came or went without a call of its own.
    pub(in crate::redis) fn announce_changes(&self) {
        let changes = std::mem::take(&mut *self.users.unannounced.lock());
        if let Some(node) = self.node.get()
            && !changes.is_empty()
        {
            node.presence_changed(changes);
        }
    }

    /// Publishes what tells of each change that is still to be announced. Answers which were.
    pub(super) async fn publish_changes(&self, announcements: Vec<Announcement>) -> Result<Vec<bool>> {
        self.reachable()?;
        if !self.is_cluster() {
            return self.place_changes(announcements).await;
        }
        // Its channels are not where the changes are: those are taken out first, and published after.
        let (mut changes, mut events) = (Vec::new(), Vec::new());
        for Announcement { user, status, event } in announcements {
            events.push(event);
            changes.push(Announcement {
                user,
                status,
                event: None,
            });
        }
        let announced = self.place_changes(changes).await?;
        let news = events.into_iter().zip(&announced);
        let news = news.filter_map(|(event, announced)| event.filter(|_| *announced));
        self.place(None, news.collect()).await?;
        Ok(announced)
    }

    /// A node is dead: what it has not announced is announced here.
    pub(super) async fn take_over_announcing(&self, dead: &NodeTag) -> Result<()> {
        let mut left = self.fetch_unannounced().await?;
        left.retain(|_, change| split(change).is_some_and(|(_, node)| *dead == *node));
        self.announce_later(&left);
        Ok(())
    }

    /// What was there at the last look and still is, is announced here.
    pub(super) async fn look_for(&self, leftovers: &mut Leftovers) -> Result<()> {
        if Instant::now() < leftovers.next_look {
            return Ok(());
        }
        leftovers.next_look = Instant::now() + LOOKING;
        let now = self.fetch_unannounced().await?;
        let before = std::mem::replace(&mut leftovers.seen, now.clone());
        let mut left = now;
        left.retain(|user, change| before.get(user) == Some(change));
        self.announce_later(&left);
        Ok(())
    }

    async fn fetch_unannounced(&self) -> Result<HashMap<String, String>> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.names.unannounced());
        self.commands.query(&command).await
    }

    fn announce_later(&self, left: &HashMap<String, String>) {
        let changes = left.iter().filter_map(|(user, change)| {
            let (status, _) = split(change)?;
            Some((UserId::parse(user.as_str()).ok()?, status))
        });
        self.users.unannounced.lock().extend(changes);
    }
}
