//! What recovers sessions. A session's record is in Redis as long as its node prolongs it, and for the recovery window
//! after; a node that dies prolongs nothing, and its records outlive it.

mod sessions;

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::id::Room;

use super::{RedisBackplane, lifetimes::PROLONGING, millis};
use crate::{Missed, Offset, Recovery, Result, SessionRecord};

pub(super) use sessions::Sessions;
use sessions::{Own, State, decode, encode};

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
        self.reachable()?;
        let _shared = self.sessions.order.read().await;
        self.write(&own, self.lifetimes.session()).await
    }

    async fn lost(&self, pid: &str) -> Result<()> {
        let own = self.sessions.remove(pid);
        self.reachable()?;
        let _shared = self.sessions.order.read().await;
        let window = self.lifetimes.lost_session();
        match own {
            Some(own) if own.state != State::Written => self.write(&own, window).await,
            _ => self.expire(&[pid], window).await.map(|_| ()),
        }
    }

    async fn forget(&self, pid: &str) -> Result<()> {
        self.sessions.remove(pid);
        let gone = match self.reachable() {
            Ok(()) => {
                let _shared = self.sessions.order.read().await;
                self.expire(&[pid], Duration::ZERO).await.map(|_| ())
            }
            Err(away) => Err(away),
        };
        if gone.is_err() {
            self.sessions.ended(pid);
        }
        gone
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

    async fn missed(&self, offset: &str, rooms: &[Room]) -> Result<Option<Vec<Missed>>> {
        self.reachable()?;
        self.since(offset, rooms).await
    }
}

impl RedisBackplane {
    async fn write(&self, own: &Own, expiry: Duration) -> Result<()> {
        let mut call = self.scripts.keep.key(self.names.session(&own.record.pid));
        call.arg(&*self.tag)
            .arg(encode(&own.record))
            .arg(millis(expiry))
            .arg(own.state.precedence());
        let is_own: bool = self.commands.script(&call).await?;
        self.sessions.settle(&own.record, is_own);
        Ok(())
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
        Ok(stored.and_then(|stored| decode(pid, &stored)))
    }

    /// Prolongs the records of this node's sessions and writes those that could not be written, for ever.
    pub(super) async fn prolong_sessions(&self) {
        loop {
            let result = self.prolong_once().await;
            if let Err(error) = &result {
                tracing::debug!(%error, "records of sessions are not prolonged");
            }
            let pause = if result.is_ok() {
                PROLONGING
            } else {
                Duration::from_secs(1)
            };
            // Earlier where Redis was away.
            let _ = tokio::time::timeout(pause, self.sessions.news.notified()).await;
        }
    }

    async fn prolong_once(&self) -> Result<()> {
        let ended = self.sessions.ended.lock().clone();
        for batch in ended.chunks(BATCH) {
            let pids: Vec<&str> = batch.iter().map(|pid| &**pid).collect();
            self.expire(&pids, Duration::ZERO).await?;
        }
        let done: HashSet<&ByteString> = ended.iter().collect();
        self.sessions.ended.lock().retain(|pid| !done.contains(pid));
        let pids: Vec<ByteString> = self.sessions.own.lock().keys().cloned().collect();
        for batch in pids.chunks(BATCH) {
            self.prolong(batch).await?;
        }
        Ok(())
    }

    /// Prolongs the records of those of `pids` that are still this node's sessions: none that ends meanwhile.
    async fn prolong(&self, pids: &[ByteString]) -> Result<()> {
        let _alone = self.sessions.order.write().await;
        let (written, to_write): (Vec<Own>, Vec<Own>) = {
            let own = self.sessions.own.lock();
            let known = pids.iter().filter_map(|pid| own.get(pid).cloned());
            known.partition(|own| own.state == State::Written)
        };
        for batch in to_write.chunks(CONCURRENTLY) {
            let writes = batch.iter().map(|own| self.write(own, self.lifetimes.session()));
            futures_util::future::try_join_all(writes).await?;
        }
        let pids: Vec<&str> = written.iter().map(|own| &*own.record.pid).collect();
        for foreign in self.expire(&pids, self.lifetimes.session()).await? {
            self.sessions.remove(foreign);
        }
        Ok(())
    }
}
