//! The way to Redis: made, watched, given up, made again.
//!
//! It is up once every subscription is confirmed and a probe has come back over it. Probes go out with all other events
//! and come back with them, so they find out what a connection that merely stands does not: a frozen Redis, a
//! subscription that was lost, a way out that leads elsewhere than the way in.

mod outages;
mod probes;
mod session;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::time::{Instant, MissedTickBehavior};

use super::{RedisBackplane, commands::in_time, keyring, routing::Frame, shards::Shards};
use crate::{Measure, Result, Unavailable};

pub(super) use outages::Outages;
pub(super) use probes::Probes;
use session::Session;

/// How often a probe is sent, and this node's lease renewed.
const BEAT: Duration = probes::BEAT;

/// How often the server's clock is read.
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// Longest pause between two attempts to reach Redis.
const MAX_PAUSE: Duration = Duration::from_secs(1);

impl RedisBackplane {
    /// Reaches Redis again whenever it was lost, for ever.
    pub(super) async fn stay_up(self: &Arc<Self>, mut session: Session) {
        loop {
            let reason = Box::pin(self.watch(&mut session)).await;
            self.take_down(&reason.to_string());
            drop(session);
            session = self.reach().await;
        }
    }

    async fn reach(self: &Arc<Self>) -> Session {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(MAX_PAUSE)
            .without_max_times()
            .build();
        loop {
            match self.bring_up().await {
                Ok(session) => return session,
                Err(error) => tracing::debug!(%error, "Redis is not back yet"),
            }
            tokio::time::sleep(pauses.next().unwrap_or(MAX_PAUSE)).await;
        }
    }

    /// Makes the connections and everything that goes by them. When it returns, the node hears and is heard.
    pub(super) async fn bring_up(self: &Arc<Self>) -> Result<Session> {
        let number = self.gate.lock().begin();
        let shards = self.look_around().await?;
        self.share_secret().await?;
        let mut session = self.open_session(number, Arc::clone(&shards)).await?;
        let probes = self.probe_channels(&shards);
        self.probes.begin(probes.clone());
        self.subscribe_all(&mut session, probes).await?;
        self.probe().await?;
        let data = self.renew_epoch().await?;
        if !self.renew_lease().await? {
            // Kept until it is done with: the next attempt finds the lease renewed.
            self.has_lost_data.store(true, Ordering::Release);
        }
        let has_lost = self.has_lost_data.load(Ordering::Acquire);
        self.register_users(data).await?;
        // Before anybody gets an offset of now.
        self.tell_untold().await?;
        if !self.announce_membership() {
            return Err(Unavailable::new("the connection was lost at once"));
        }
        self.open_up(number, has_lost)?;
        Ok(session)
    }

    /// Looks where the servers are now.
    async fn look_around(&self) -> Result<Arc<Shards>> {
        let mut seeds = vec![self.server.clone()];
        seeds.extend_from_slice(self.shards.read().servers());
        let shards = Arc::new(Shards::discover(&seeds, self.options.wire).await?);
        self.commands
            .lead_to(shards.server_of(&self.own_channel)?.clone())?;
        *self.shards.write() = Arc::clone(&shards);
        Ok(shards)
    }

    /// Where the settings name no secret, the one in Redis counts.
    async fn share_secret(&self) -> Result<()> {
        if self.options.secret.is_some() {
            return Ok(());
        }
        let own = self.keyring.ring().secret.clone();
        let secret = keyring::shared_secret(&self.commands, &self.names, &own).await?;
        self.keyring.adopt(&secret, &self.tag, &self.options.nsp)
    }

    fn probe_channels(&self, shards: &Shards) -> Vec<String> {
        if shards.is_cluster() {
            shards.channels_for(&format!(":{}", self.own_channel))
        } else {
            vec![self.own_channel.clone()]
        }
    }

    async fn probe(&self) -> Result<()> {
        self.send_probes();
        in_time(async {
            self.probes.all_heard().await;
            Ok(())
        })
        .await
    }

    fn send_probes(&self) {
        for (channel, count) in self.probes.next() {
            // One that cannot be sent is not heard either.
            self.post_frame(&channel, &Frame::Probe(count));
        }
    }

    /// Lets events through, in both directions.
    fn open_up(&self, session: u64, has_lost: bool) -> Result<()> {
        let mut gate = self.gate.lock();
        if gate.session != session {
            return Err(Unavailable::new("the node stops"));
        }
        self.members.thaw(self.lifetimes.lease());
        if let Some(node) = self.node.get()
            && std::mem::take(&mut gate.is_interrupted)
        {
            node.resumed();
        }
        gate.is_open = true;
        self.is_up.store(true, Ordering::Release);
        self.outages.end();
        drop(gate);
        self.has_lost_data.store(false, Ordering::Release);
        if has_lost {
            self.sessions.doubt();
        }
        self.announce_changes();
        tracing::info!("the link to Redis is up");
        Ok(())
    }

    /// Lets nothing through any more. Whoever waits for something learns it now.
    pub(super) fn take_down(&self, reason: &str) {
        let mut gate = self.gate.lock();
        let was_up = self.is_up.swap(false, Ordering::AcqRel);
        gate.begin();
        self.publisher.close();
        self.members.freeze();
        if let Some(node) = self.node.get()
            && was_up
        {
            tracing::warn!(reason, "the link to Redis is down");
            self.outages.begin();
            gate.is_interrupted = true;
            // What is logged meanwhile does not come here, or comes from the store without its place.
            self.mark_unlogged();
            node.interrupted(self.probes.unsure());
        }
        drop(gate);
        self.echoes.stop_waiting();
        self.marks.lose();
        self.subscriptions.lose();
        self.routes.cut();
    }

    /// Keeps everything going as long as the connections last. Answers why they do not.
    async fn watch(&self, session: &mut Session) -> Unavailable {
        let lost = session.lost.clone();
        let end = tokio::select! {
            () = lost.cancelled() => Err(Unavailable::new("the connection was lost")),
            end = self.keep_probing() => end,
            () = self.read_clock() => Ok(()),
            end = self.keep_lease() => end,
            end = self.keep_subscribed(session) => end,
            () = self.tend_users() => Ok(()),
            () = self.prolong_sessions() => Ok(()),
        };
        end.err()
            .unwrap_or_else(|| Unavailable::new("the link has nothing to do"))
    }

    async fn keep_probing(&self) -> Result<()> {
        let mut beat = beat();
        loop {
            beat.tick().await;
            if self.probes.have_failed() {
                return Err(Unavailable::new("probes do not come back"));
            }
            self.send_probes();
        }
    }

    /// Reads the server's clock now and then: what the nodes' own clocks can be compared with.
    async fn read_clock(&self) {
        let mut due = tokio::time::interval(CLOCK_INTERVAL);
        loop {
            due.tick().await;
            let asked = Instant::now();
            let time: Result<(i64, i64)> = self.commands.query(&redis::cmd("TIME")).await;
            if let Ok((seconds, micros)) = time {
                let millis = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
                // It was read half-way, as far as anybody knows.
                let ago = asked.elapsed() / 2;
                self.measured(Measure::Clock { millis, ago });
            }
        }
    }

    async fn keep_lease(&self) -> Result<()> {
        let mut beat = beat();
        loop {
            tokio::select! {
                _ = beat.tick() => (),
                () = self.members.news() => (),
            }
            match self.renew_lease().await {
                Ok(true) => (),
                // Redis has lost its data, or this node was taken for dead: all it knows is to be said again.
                Ok(false) => {
                    self.has_lost_data.store(true, Ordering::Release);
                    return Err(Unavailable::new("this node's lease had lapsed"));
                }
                Err(error) if self.commands.met_useless_server() => return Err(error),
                Err(error) => tracing::debug!(%error, "the lease is not renewed"),
            }
            if self.has_unlogged.load(Ordering::Acquire)
                && let Err(error) = self.renew_epoch().await
            {
                tracing::debug!(%error, "the log's epoch is not renewed yet");
            }
        }
    }

    async fn keep_subscribed(&self, session: &mut Session) -> Result<()> {
        loop {
            let _ = tokio::time::timeout(BEAT, self.subscriptions.changed()).await;
            self.subscribe_wanted(session).await?;
            self.unsubscribe_abandoned(session).await?;
        }
    }
}

fn beat() -> tokio::time::Interval {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}
