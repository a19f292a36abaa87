//! What recovers sessions. A session's record is in Redis as long as its node prolongs it, and for the recovery window
//! after; a node that dies prolongs nothing, and its records outlive it.
//!
//! What could not be written is tried again until it is. After an outage that is done before the node hears of anything
//! new, so that whoever has an offset from after it has a record that is whole; those from before are refused by then.

pub(super) mod record;
mod sessions;

use std::time::Duration;

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{adapter::Offset, id::Room};
use tokio::time::Instant;

use super::{
    RedisBackplane,
    lifetimes::{self, PROLONGING},
    millis,
};
use crate::{Missed, Recovery, Result, SessionRecord};

pub(super) use sessions::Sessions;
use sessions::{End, Own, State};

/// The pause before what failed is tried again.
const RETRYING: Duration = Duration::from_millis(250);

/// Records in one round trip.
const BATCH: usize = 500;

/// Records that are written at a time.
const CONCURRENTLY: usize = 8;

#[async_trait]
impl Recovery for RedisBackplane {
    async fn head(&self) -> Result<Offset> {
        self.reachable()?;
        self.log_head().await
    }

    /// The first call of a node for a session, where it was not the session's before, goes over another node's record; any
    /// later one does not, nor do [`Recovery::lost`] and [`Recovery::forget`]: the session is another node's by then.
    async fn keep(&self, record: SessionRecord) -> Result<()> {
        let own = self.sessions.insert(record);
        self.tell_now(&own).await
    }

    async fn lost(&self, pid: &str) -> Result<()> {
        match self.sessions.end(pid, End::Lost(Instant::now())) {
            Some(own) => self.tell_now(&own).await,
            None => self.reachable(),
        }
    }

    async fn forget(&self, pid: &str) -> Result<()> {
        match self.sessions.end(pid, End::Final) {
            Some(own) => self.tell_now(&own).await,
            None => self.reachable(),
        }
    }

    fn handed_over(&self, pid: &str) {
        self.sessions.remove(pid);
    }

    async fn find(&self, pid: &str) -> Result<Option<SessionRecord>> {
        self.read("GET", pid).await
    }

    async fn take(&self, pid: &str) -> Result<Option<SessionRecord>> {
        let taken = self.read("GETDEL", pid).await?;
        self.sessions.remove(pid);
        Ok(taken)
    }

    async fn missed(&self, offset: Offset, rooms: &[Room]) -> Result<Option<Vec<Missed>>> {
        self.reachable()?;
        self.since(offset, rooms).await
    }
}

impl RedisBackplane {
    /// Tells Redis of a session. Where that fails it is tried again soon.
    async fn tell_now(&self, own: &Own) -> Result<()> {
        self.reachable()?;
        let _shared = self.sessions.order.read().await;
        let told = self.tell(own).await;
        if told.is_err() {
            self.sessions.news.notify_one();
        }
        told
    }

    /// Tells Redis what it does not know of a session.
    async fn tell(&self, own: &Own) -> Result<()> {
        let is_own = match own.end {
            None => self.write(own, self.lifetimes.session()).await?,
            Some(End::Final) => self.end(own).await?,
            Some(End::Lost(at)) => {
                let left = self.lifetimes.lost_session().saturating_sub(at.elapsed());
                if left.is_zero() {
                    self.end(own).await?
                } else if own.state == State::Written {
                    self.expire(&[&own.record.pid], left).await?.is_empty()
                } else {
                    self.write(own, left).await?
                }
            }
        };
        self.sessions.settle(own, is_own);
        Ok(())
    }

    /// Answers whether the record is this node's.
    async fn write(&self, own: &Own, expiry: Duration) -> Result<bool> {
        let mut call = self.scripts.keep.key(self.names.session(&own.record.pid));
        call.arg(&*self.tag)
            .arg(record::encode(&own.record, own.version))
            .arg(millis(expiry))
            .arg(own.state.precedence());
        self.commands.script(&call).await
    }

    /// Answers whether the record was this node's.
    async fn end(&self, own: &Own) -> Result<bool> {
        let mut call = self.scripts.end.key(self.names.session(&own.record.pid));
        call.arg(&*self.tag)
            .arg(record::encode_end(&self.tag, own.version))
            .arg(millis(lifetimes::ENDED));
        self.commands.script(&call).await
    }

    /// Lets records of this node expire. Answers which of them are not this node's.
    async fn expire<'a>(&self, pids: &[&'a str], expiry: Duration) -> Result<Vec<&'a str>> {
        if pids.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = self.scripts.expire.prepare_invoke();
        for pid in pids {
            call.key(self.names.session(pid));
        }
        call.arg(&*self.tag).arg(millis(expiry));
        let foreign: Vec<usize> = self.commands.script(&call).await?;
        Ok(foreign.iter().filter_map(|at| pids.get(*at).copied()).collect())
    }

    async fn read(&self, how: &str, pid: &str) -> Result<Option<SessionRecord>> {
        self.reachable()?;
        let mut command = redis::cmd(how);
        command.arg(self.names.session(pid));
        let stored: Option<Vec<u8>> = self.commands.query(&command).await?;
        Ok(stored.and_then(|stored| record::decode(pid, &stored)))
    }

    /// Prolongs the records of this node's sessions, and tells what could not be told, for ever.
    pub(super) async fn prolong_sessions(&self) {
        let mut next = Instant::now();
        loop {
            let mut result = self.tell_untold().await;
            if result.is_ok() && next <= Instant::now() {
                result = self.prolong_all().await;
                next = Instant::now() + PROLONGING;
            }
            if let Err(error) = result {
                tracing::debug!(%error, "records of sessions are not up to date");
                tokio::time::sleep(RETRYING).await;
                continue;
            }
            // Earlier where something failed.
            let _ = tokio::time::timeout_at(next, self.sessions.news.notified()).await;
        }
    }

    /// Tells Redis what could not be told when it happened.
    pub(super) async fn tell_untold(&self) -> Result<()> {
        for batch in self.sessions.untold().chunks(CONCURRENTLY) {
            let _alone = self.sessions.order.write().await;
            let untold = self
                .sessions
                .still_own(batch)
                .into_iter()
                .filter(|own| !own.is_told());
            let untold: Vec<Own> = untold.collect();
            futures_util::future::try_join_all(untold.iter().map(|own| self.tell(own))).await?;
        }
        Ok(())
    }

    async fn prolong_all(&self) -> Result<()> {
        for batch in self.sessions.connected().chunks(BATCH) {
            let _alone = self.sessions.order.write().await;
            let told = self.sessions.still_own(batch).into_iter().filter(Own::is_told);
            let told: Vec<ByteString> = told.map(|own| own.record.pid).collect();
            let told: Vec<&str> = told.iter().map(|pid| &**pid).collect();
            for foreign in self.expire(&told, self.lifetimes.session()).await? {
                self.sessions.remove(foreign);
            }
        }
        Ok(())
    }
}
