//! Events on their way out, and back to this node's own sockets.

use std::{sync::atomic::Ordering, time::Duration};

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::{Broadcast, channel::sole_room},
    id::Room,
};
use rand::distr::{Alphanumeric, SampleString};
use tokio::time::Instant;

use super::{
    RedisBackplane,
    codec::Wire,
    commands::{TIMEOUT, unreadable},
    echoes::Expected,
    lifetimes, log, millis,
};
use crate::{Announcement, Fanout, Measure, Place, Placement, Result, Unavailable};

/// How long [`Fanout::attend`] waits.
const ATTENTION: Duration = Duration::from_secs(2);

/// How long an event waits for the subscription of a room that its own node's sockets have just joined.
const PATIENCE: Duration = Duration::from_millis(500);

/// Letters and digits that tell a kept broadcast from all others.
const ID_LENGTH: usize = 12;

/// A kept broadcast that is about to be published.
struct Leaving<'a> {
    broadcast: Broadcast,
    id: ByteString,
    /// `None` where this node does not hear of its rooms.
    echo: Option<Expected<'a>>,
}

#[async_trait]
impl Fanout for RedisBackplane {
    async fn publish(&self, broadcast: Broadcast) -> Result<Placement> {
        if broadcast.volatile {
            self.publish_volatile(&broadcast).await;
            return Ok(Placement::Placed);
        }
        self.place(None, vec![broadcast]).await
    }

    async fn publish_in_order(&self, chat: &str, seq: u64, broadcasts: Vec<Broadcast>) -> Result<Placement> {
        self.place(Some((chat, seq)), broadcasts).await
    }

    async fn settle_order(&self, chat: &str, published: u64) -> Result<()> {
        self.reachable()?;
        let mut command = redis::cmd("SET");
        command
            .arg(self.names.order_of(chat))
            .arg(published)
            .arg("NX")
            .arg("PX")
            .arg(millis(lifetimes::ORDER));
        self.commands.query(&command).await
    }

    async fn order(&self, chat: &str) -> Result<Option<u64>> {
        self.reachable()?;
        self.last_in_order(chat).await
    }

    async fn forget_order(&self, chat: &str, published: u64) -> Result<()> {
        self.reachable()?;
        let mut call = self.scripts.forget_order.key(self.names.order_of(chat));
        call.arg(published);
        self.commands.script(&call).await
    }

    fn occupied(&self, room: &Room) {
        if self.has_subscription(room) {
            self.subscriptions.occupied(room);
        }
    }

    fn vacated(&self, room: &Room) {
        if self.has_subscription(room) {
            self.subscriptions.vacated(room);
        }
    }

    async fn attend(&self, rooms: &[Room]) -> Result<()> {
        let rooms: Vec<Room> = rooms
            .iter()
            .filter(|room| self.has_subscription(room))
            .cloned()
            .collect();
        self.reachable()?;
        let attended = self.subscriptions.attend(&rooms, || !self.is_up());
        match tokio::time::timeout(ATTENTION, attended).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unavailable::new("Redis went out of reach")),
            Err(_) => Err(Unavailable::new("a subscription was not confirmed in time")),
        }
    }
}

impl RedisBackplane {
    /// Whether `room` has a subscription of its own: not so where all events for it come anyway.
    fn has_subscription(&self, room: &Room) -> bool {
        let is_private = self.options.wire == Wire::Classic && room.as_str().starts_with(&*self.tag);
        !is_private && self.codec.has_channel(room)
    }

    /// Its own sockets get it when it comes back, in its place among all events; at once where it will not come back.
    async fn publish_volatile(&self, broadcast: &Broadcast) {
        let comes_back = self.is_up() && self.hears(&broadcast.rooms);
        if !comes_back && let Some(node) = self.node.get() {
            node.deliver(broadcast, Place::Unkept);
        }
        let ring = self.keyring.ring();
        let outgoing = self.codec.volatile(&ring.identity, broadcast, comes_back);
        let shard = self.shards.read().of(&outgoing.channel);
        let command = self.codec.publish(&outgoing.channel, &outgoing.payload);
        self.publisher.offer(shard, command).await;
    }

    /// Puts kept broadcasts into the log and on their way, together; as the events of a message of a chat, in its order.
    /// Where that cannot be done now this node's own sockets get them all the same.
    pub(super) async fn place(
        &self,
        order: Option<(&str, u64)>,
        broadcasts: Vec<Broadcast>,
    ) -> Result<Placement> {
        for broadcast in &broadcasts {
            self.await_pending(&broadcast.rooms).await;
        }
        let begun = Instant::now();
        let mut leaving: Vec<Leaving<'_>> = broadcasts.into_iter().map(|it| self.leaving(it)).collect();
        let outcome = match self.reachable() {
            Ok(()) if self.is_cluster() => self.send(order, &leaving).await,
            Ok(()) => self.append(log::Append::new(&self.names, order), &leaving).await,
            Err(away) => Err(away),
        };
        match outcome {
            Ok(Placement::Placed) => {
                self.publisher.count(leaving.len());
                if self.await_echoes(leaving).await {
                    self.measured(Measure::Lag(begun.elapsed()));
                }
                Ok(Placement::Placed)
            }
            Ok(other) => Ok(other),
            Err(error) => {
                tracing::debug!(%error, "events go to this node's sockets alone");
                for one in &mut leaving {
                    self.deliver_unlogged(one);
                }
                Ok(Placement::Local)
            }
        }
    }

    /// Puts what tells of changes of presence into the log and on its way, together; of each only where the change is still to be
    /// announced, which is answered. Where that cannot be done now nobody gets anything; where it is not known whether it was
    /// done, nobody but by the log.
    pub(super) async fn place_changes(&self, announcements: Vec<Announcement>) -> Result<Vec<bool>> {
        let broadcasts = announcements.iter().filter_map(|one| one.event.as_ref());
        for broadcast in broadcasts {
            self.await_pending(&broadcast.rooms).await;
        }
        let (mut announce, mut leaving) = (log::Announce::new(&self.names), Vec::new());
        let ring = self.keyring.ring();
        for Announcement { user, status, event } in announcements {
            let one = event.map(|broadcast| self.leaving(broadcast));
            let event = one.as_ref().map(|Leaving { broadcast, id, .. }| {
                let channel = self.codec.channel_of_rooms(&broadcast.rooms);
                let template = self.codec.kept(&ring.identity, broadcast, id);
                (&*broadcast.rooms, channel, template)
            });
            announce.push(&self.names, user, status, event);
            leaving.push(one);
        }
        let call = announce.call(&self.scripts, self.codec.publishing(), &self.lifetimes);
        let answer = self.call(&self.own_channel, &self.scripts.announce, call).await?;
        let announced: Vec<bool> = redis::from_redis_value(answer).map_err(unreadable)?;
        let placed = leaving
            .into_iter()
            .zip(&announced)
            .filter_map(|(one, announced)| one.filter(|_| *announced));
        let placed: Vec<Leaving<'_>> = placed.collect();
        self.publisher.count(placed.len());
        self.await_echoes(placed).await;
        Ok(announced)
    }

    /// A socket that has just joined a room expects what is published after that.
    async fn await_pending(&self, rooms: &[Room]) {
        let [room] = rooms else { return };
        if !self.is_up() || !self.subscriptions.is_pending(room) {
            return;
        }
        let attended = self
            .subscriptions
            .attend(std::slice::from_ref(room), || !self.is_up());
        // Not in time: it is published all the same.
        let _ = tokio::time::timeout(PATIENCE, attended).await;
    }

    fn leaving(&self, broadcast: Broadcast) -> Leaving<'_> {
        let id = ByteString::from(Alphanumeric.sample_string(&mut rand::rng(), ID_LENGTH));
        let echo = self
            .hears(&broadcast.rooms)
            .then(|| self.echoes.expect(id.clone()));
        Leaving { broadcast, id, echo }
    }

    /// Whether a broadcast to `rooms` comes back to this node.
    fn hears(&self, rooms: &[Room]) -> bool {
        // To none or several it goes where every node listens.
        let Some(room) = sole_room(rooms) else { return true };
        !self.has_subscription(room) || self.subscriptions.is_confirmed(room)
    }

    /// As [`RedisBackplane::append`], where there is no log: a Redis Cluster has no order that all its channels share. Each
    /// channel has one, and the events of a chat's message go out before those of the next.
    async fn send(&self, order: Option<(&str, u64)>, leaving: &[Leaving<'_>]) -> Result<Placement> {
        if let Some((chat, seq)) = order {
            let stand = self.order_of(chat, seq).await?;
            if stand != Placement::Placed {
                return Ok(stand);
            }
        }
        let ring = self.keyring.ring();
        for Leaving { broadcast, id, .. } in leaving {
            let payload = log::unplaced(&self.codec.kept(&ring.identity, broadcast, id));
            let channel = self.codec.channel_of_rooms(&broadcast.rooms);
            let shard = self.shards.read().of(&channel);
            let command = self.codec.publish(&channel, &payload);
            self.publisher.call(shard, None, command).await?;
        }
        if let Some((chat, seq)) = order {
            self.commit_order(chat, seq).await?;
        }
        Ok(Placement::Placed)
    }

    async fn append(&self, mut append: log::Append, leaving: &[Leaving<'_>]) -> Result<Placement> {
        let ring = self.keyring.ring();
        for Leaving { broadcast, id, .. } in leaving {
            let template = self.codec.kept(&ring.identity, broadcast, id);
            let channel = self.codec.channel_of_rooms(&broadcast.rooms);
            append.push(&self.names, &broadcast.rooms, channel, template);
        }
        let call = append.call(&self.scripts, self.codec.publishing(), &self.lifetimes);
        let script = append.script(&self.scripts);
        let answer = self.call(&self.own_channel, script, call).await?;
        log::placement(&answer)
    }

    /// Answers whether all came, and there were some.
    async fn await_echoes(&self, leaving: Vec<Leaving<'_>>) -> bool {
        let mut have_come = !leaving.is_empty();
        let deadline = Instant::now() + TIMEOUT;
        for one in leaving {
            let Leaving { broadcast, echo, .. } = one;
            let Some(echo) = echo else {
                have_come = false;
                continue;
            };
            if !echo.arrived(deadline).await {
                have_come = false;
                self.deliver_here(&broadcast);
            }
        }
        have_come
    }

    /// Delivers what is not known to be in the log. Should it come back after all, it is late.
    fn deliver_unlogged(&self, one: &mut Leaving<'_>) {
        let is_mine = match one.echo.take() {
            Some(echo) => echo.give_up(),
            None => {
                self.echoes.delivered(one.id.clone());
                true
            }
        };
        if is_mine {
            self.deliver_here(&one.broadcast);
        }
    }

    fn deliver_here(&self, broadcast: &Broadcast) {
        self.mark_unlogged();
        self.unshared.fetch_add(1, Ordering::Relaxed);
        if let Some(node) = self.node.get() {
            node.deliver(broadcast, Place::Unlogged);
        }
    }

    /// Events were delivered here that the log lacks, or has elsewhere: what was given out before cannot be continued.
    pub(super) fn mark_unlogged(&self) {
        self.has_unlogged.store(true, Ordering::Release);
    }
}
