//! Announcing: a stored message's events are published once, and after those of its predecessor, whichever nodes the two
//! were sent by. A node that dies between storing and announcing leaves a gap; who comes next fills it from the store.

use std::{collections::HashMap, time::Duration};

use carillon_backplane::{Placement, Unavailable};
use carillon_protocol::{
    adapter::Broadcast,
    chat::Pair,
    event,
    id::{ObjectId, Room},
    message::Message,
};
use carillon_store::{StoreError, messages::Appended};

use super::Messages;
use crate::services::broadcast;

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

/// Why a message was not announced.
#[derive(Debug, thiserror::Error)]
enum Unannounced {
    #[error(transparent)]
    Backplane(#[from] Unavailable),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("what comes before it cannot be announced")]
    Predecessor,
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

impl Messages {
    /// Publishes a stored message and its notification, and notes that it did.
    pub(super) async fn announce(&self, appended: &Appended) {
        let message = &appended.message;
        if let Err(error) = self.publish_in_turn(message, appended.notification).await {
            tracing::warn!(message = %message.id, %error, "message stored but not announced");
            return;
        }
        if message.client_message_id.is_none() {
            return;
        }
        if let Err(error) = self.store.mark_announced(message.id).await {
            tracing::warn!(message = %message.id, %error, "a resend will announce the message again");
        }
    }

    async fn publish_in_turn(&self, message: &Message, notification: ObjectId) -> Result<()> {
        let chat = message.pair();
        let key = chat.key();
        let mut pauses = Pauses::new();
        for _ in 0..ATTEMPTS {
            let events = events(message, Some(notification));
            match self.backplane.publish_in_order(&key, message.seq, events).await? {
                Placement::Placed | Placement::Known => return Ok(()),
                Placement::Unsettled => self.settle(&chat, message.seq).await?,
                Placement::Early { expected } => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => self.publish_missing(&chat, expected, message.seq).await?,
                },
            }
        }
        Err(Unannounced::Predecessor)
    }

    /// Publishes the messages from `expected` up to `seq`, without it, which their own nodes have not.
    async fn publish_missing(&self, chat: &Pair, expected: u64, seq: u64) -> Result<()> {
        let key = chat.key();
        let mut next = expected;
        while next < seq {
            let count = u32::try_from(seq - next).unwrap_or(PAGE).min(PAGE);
            let messages = self
                .store
                .history_after(chat, next.saturating_sub(1), count)
                .await?;
            if messages.is_empty() {
                return Err(Unannounced::Predecessor);
            }
            let notifications = self.notifications_of(chat, &messages).await?;
            for message in &messages {
                let events = events(message, notifications.get(&message.id).copied());
                let placement = self.backplane.publish_in_order(&key, message.seq, events).await?;
                if matches!(placement, Placement::Early { .. } | Placement::Unsettled) {
                    // It stands elsewhere now; whoever asked looks again.
                    return Ok(());
                }
                next = message.seq + 1;
            }
        }
        tracing::info!(chat = %chat.chatbox_id(), from = expected, to = seq - 1, "messages announced for another node");
        Ok(())
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
                let content = notification.content;
                let message = content.metadata.message_id.as_deref().and_then(ObjectId::parse);
                found.extend(message.map(|message| (message, content.id)));
            }
        }
        Ok(found)
    }

    /// Tells the backplane up to where the chat's messages were published, before the message `seq`.
    async fn settle(&self, chat: &Pair, seq: u64) -> Result<()> {
        let before = seq.saturating_sub(1);
        if before == 0 {
            return Ok(self.backplane.settle_order(&chat.key(), 0).await?);
        }
        let settled_at = self.clock.now().plus_millis(-SETTLED_MS);
        let mut published = before;
        // Mostly the predecessor is old enough, so it is looked at alone first.
        for reach in [1, RECENT] {
            let after = before.saturating_sub(u64::from(reach));
            let recent = self.store.history_after(chat, after, reach).await?;
            let unsettled = recent
                .iter()
                .filter(|message| message.seq <= before && message.at > settled_at)
                .map(|message| message.seq)
                .min();
            published = unsettled.map_or(before, |first| first.saturating_sub(1));
            if published > after || after == 0 {
                break;
            }
        }
        Ok(self.backplane.settle_order(&chat.key(), published).await?)
    }
}

/// What is told of a message: `receiveMessage` to the chat's room, and `notification` to the receiver's sockets.
fn events(message: &Message, notification: Option<ObjectId>) -> Vec<Broadcast> {
    let receive = broadcast(
        event::receive_message(message),
        vec![message.pair().room()],
        Vec::new(),
    );
    let notify = notification.map(|notification| {
        broadcast(
            event::message_notification(message, notification),
            vec![Room::of_user(&message.receiver)],
            Vec::new(),
        )
    });
    std::iter::once(receive).chain(notify).collect()
}

#[cfg(test)]
mod tests;
