//! Announcing: a stored message's events are published once, and after those of its predecessor, whichever nodes the two
//! were sent by. A node that dies between storing and announcing leaves a gap; who comes next fills it from the store. What only
//! this node's sockets were given, because the other nodes were out of reach, is published when they are back.

use std::{collections::HashMap, time::Duration};

use carillon_backplane::{Placement, Unavailable};
use carillon_protocol::{chat::Pair, id::ObjectId, message::Message};
use carillon_store::{
    StoreError,
    messages::{AppendOutcome, Appended},
};
use futures_util::{StreamExt as _, stream};

use super::Messages;
use crate::{
    services::{Waiting, retold},
    telemetry::metrics::Gap,
};

/// How long a message waits for its predecessor, in all, before that is published on behalf of its node.
const PATIENCE: Duration = Duration::from_millis(200);
/// The first pause; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// After this time a message was surely published, or its node is gone.
const SETTLED_MS: i64 = 2_000;
/// Most messages that are looked back at for where a chat stands.
const RECENT: u32 = 100;
/// Most messages read at once to be published on behalf.
const PAGE: u32 = 100;
/// Most unread notifications of a user among which those of messages are looked for.
const INBOX: u32 = 1_000;
/// Most attempts to publish one message: more than the pauses need, so that no answer of the backplane goes in circles.
const ATTEMPTS: usize = 20;
/// How many chats that were told here alone are announced at once.
const CHATS_AT_ONCE: usize = 16;

/// Why a message was not announced.
#[derive(Debug, thiserror::Error)]
enum Unannounced {
    #[error(transparent)]
    Backplane(#[from] Unavailable),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("what comes before it cannot be announced")]
    Predecessor,
    #[error("the other nodes are out of reach")]
    OutOfReach,
}

type Result<T> = std::result::Result<T, Unannounced>;

/// Pauses that double until they make up [`PATIENCE`].
struct Pauses {
    next: Duration,
    left: Duration,
}

impl Pauses {
    const fn new() -> Self {
        Self {
            next: FIRST_PAUSE,
            left: PATIENCE,
        }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next.min(self.left);
        self.next *= 2;
        self.left -= pause;
        (!pause.is_zero()).then_some(pause)
    }
}

/// The messages of a chat that only this node's sockets have: some of those from `first` to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Local {
    first: u64,
    last: u64,
}

impl Messages {
    /// Publishes a stored message and its notification, and notes that it did. Answers whether it did; what only this node's
    /// sockets have counts.
    pub(super) async fn announce(&self, appended: &Appended) -> bool {
        let message = &appended.message;
        let chat = message.pair();
        let published = self.publish_in_turn(&chat, appended).await;
        match &published {
            Ok(Placement::Local) => self.keep_local(chat, message.seq),
            Ok(_) => self.mark_announced(message).await,
            Err(error) => tracing::warn!(message = %message.id, %error, "message stored but not announced"),
        }
        published.is_ok()
    }

    /// Announces the messages that only this node's sockets have, one chat's in order, where the other nodes are in reach.
    pub(in crate::services) async fn announce_local(&self) {
        stream::iter(self.local.keys())
            .for_each_concurrent(CHATS_AT_ONCE, async |chat| {
                let place = self.announcements.join(&chat);
                let _turn = place.turn().await;
                let Some(local) = self.local.get(&chat) else {
                    return;
                };
                match self.publish_local(&chat, local).await {
                    Ok(()) => self.local.remove(&chat),
                    Err(Unannounced::Predecessor) => {
                        tracing::warn!(
                            chat = chat.chatbox_id(),
                            "messages are not announced to other nodes"
                        );
                        self.local.give_up(&chat);
                    }
                    Err(error) => tracing::debug!(%error, "messages are not announced yet"),
                }
            })
            .await;
    }

    /// What the other nodes are still to be told.
    pub(in crate::services) fn waiting(&self) -> Waiting {
        self.local.waiting()
    }

    /// Whether only this node's sockets have the message.
    pub(super) fn is_local(&self, message: &Message) -> bool {
        let local = self.local.get(&message.pair());
        local.is_some_and(|local| (local.first..=local.last).contains(&message.seq))
    }

    fn keep_local(&self, chat: Pair, seq: u64) {
        let local = Local {
            first: seq,
            last: seq,
        };
        self.local.add(chat, local, |known| {
            known.first = known.first.min(seq);
            known.last = known.last.max(seq);
        });
    }

    async fn mark_announced(&self, message: &Message) {
        if message.client_message_id.is_none() {
            return;
        }
        if let Err(error) = self.store.mark_announced(message.id).await {
            tracing::warn!(message = %message.id, %error, "a resend will announce the message again");
        }
    }

    /// Answers [`Placement::Local`], or that all nodes have it.
    async fn publish_in_turn(&self, chat: &Pair, appended: &Appended) -> Result<Placement> {
        let Appended {
            message,
            notification,
            outcome,
        } = appended;
        let is_new = *outcome == AppendOutcome::Stored;
        let key = chat.key();
        let mut pauses = Pauses::new();
        for _ in 0..ATTEMPTS {
            let events = retold::events(message, Some(*notification));
            match self.backplane.publish_in_order(&key, message.seq, events).await? {
                Placement::Known if is_new && self.has_lost_order(chat, message.seq).await? => {}
                done @ (Placement::Placed | Placement::Known | Placement::Local) => return Ok(done),
                Placement::Unsettled => self.settle(chat, message.seq, is_new).await?,
                Placement::Early { expected } => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => {
                        let before = message.seq.saturating_sub(1);
                        // Where it ends early, the chat stands elsewhere now, and is looked at again.
                        if self.publish_stored(chat, expected, before).await? == Placement::Placed {
                            self.measures.metrics.events.gap(Gap::Repaired);
                        }
                        tracing::info!(
                            chat = chat.chatbox_id(),
                            from = expected,
                            to = before,
                            "messages announced for another node"
                        );
                    }
                },
            }
        }
        Err(Unannounced::Predecessor)
    }

    async fn publish_local(&self, chat: &Pair, local: Local) -> Result<()> {
        let mut from = local.first;
        for _ in 0..ATTEMPTS {
            match self.publish_stored(chat, from, local.last).await? {
                Placement::Placed | Placement::Known => return Ok(()),
                Placement::Early { expected } => from = expected,
                Placement::Unsettled => self.settle(chat, local.first, true).await?,
                Placement::Local => return Err(Unannounced::OutOfReach),
            }
        }
        Err(Unannounced::Predecessor)
    }

    /// Publishes the stored messages from `from` to `to`, up to one whose place is elsewhere: its placement is answered.
    async fn publish_stored(&self, chat: &Pair, from: u64, to: u64) -> Result<Placement> {
        let key = chat.key();
        let mut next = from;
        while next <= to {
            let count = u32::try_from(to - next)
                .unwrap_or(PAGE)
                .saturating_add(1)
                .min(PAGE);
            let messages = self
                .store
                .history_after(chat, next.saturating_sub(1), count)
                .await?;
            if messages.is_empty() {
                return Err(Unannounced::Predecessor);
            }
            let notifications = self.notifications_of(chat, &messages).await?;
            for message in &messages {
                let events = retold::events(message, notifications.get(&message.id).copied());
                match self.backplane.publish_in_order(&key, message.seq, events).await? {
                    Placement::Placed | Placement::Known => self.mark_announced(message).await,
                    elsewhere => return Ok(elsewhere),
                }
                next = message.seq + 1;
            }
        }
        Ok(Placement::Placed)
    }

    /// The stored notifications of a chat's messages, by message, as far as they are unread: what was read needs no
    /// telling.
    async fn notifications_of(
        &self,
        chat: &Pair,
        messages: &[Message],
    ) -> Result<HashMap<ObjectId, ObjectId>> {
        let mut found = HashMap::new();
        for user in [chat.first(), chat.second()] {
            if !messages.iter().any(|message| message.receiver == *user) {
                continue;
            }
            for notification in self.store.unread_notifications(user, INBOX).await? {
                let message = retold::message_of(&notification, messages);
                found.extend(message.map(|message| (message.id, notification.content.id)));
            }
        }
        Ok(found)
    }

    /// Whether the chat's order is of messages that the store lacks, though `seq`, which this node has just stored, is said to
    /// be published: the store was restored to an earlier state. The order is forgotten then.
    async fn has_lost_order(&self, chat: &Pair, seq: u64) -> Result<bool> {
        let key = chat.key();
        let Some(published) = self.backplane.order(&key).await?.filter(|last| *last >= seq) else {
            // Somebody else has found it out.
            return Ok(true);
        };
        // What is published is stored, and whoever published `seq` on behalf did so for a message after it.
        let last = published.max(seq + 1);
        if !self.store.history_after(chat, last - 1, 1).await?.is_empty() {
            return Ok(false);
        }
        tracing::warn!(chat = %chat.chatbox_id(), seq, published, "the store has gone back behind what was published");
        self.backplane.forget_order(&key, published).await?;
        Ok(true)
    }

    /// Tells the backplane up to where the chat's messages were published, for the message `seq` to be published in its turn.
    /// One that is not new (`is_new`) may have been, with others after it.
    async fn settle(&self, chat: &Pair, seq: u64, is_new: bool) -> Result<()> {
        let last = if is_new {
            seq.saturating_sub(1)
        } else {
            let newest = self.store.history_page(chat, 1, 1).await?;
            newest.messages.first().map_or(seq, |newest| newest.seq)
        };
        if last == 0 {
            return Ok(self.backplane.settle_order(&chat.key(), 0).await?);
        }
        let settled_at = self.clock.now().plus_millis(-SETTLED_MS);
        let mut published = last;
        // Mostly the last is old enough, so it is looked at alone first.
        for reach in [1, RECENT] {
            let after = last.saturating_sub(u64::from(reach));
            let recent = self.store.history_after(chat, after, reach).await?;
            let unsettled = recent
                .iter()
                .filter(|message| message.seq <= last && message.at > settled_at)
                .map(|message| message.seq)
                .min();
            published = unsettled.map_or(last, |first| first.saturating_sub(1));
            if published > after || after == 0 {
                break;
            }
        }
        if published == seq {
            // Nothing after it was published, so perhaps it was not either.
            published -= 1;
        }
        Ok(self.backplane.settle_order(&chat.key(), published).await?)
    }
}

#[cfg(test)]
mod tests;
