//! Notifications: the inbox of a user.

use std::sync::Arc;

use bytestring::ByteString;
use carillon_backplane::{Backplane, Placement};
use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    notification::{
        ChatActivity, Metadata, NewNotification, Notification, NotificationKind, NotificationStats,
    },
    time::Timestamp,
};
use carillon_store::Store;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{Measures, Result, Waiting, backlog::Backlog, retold, store_problem};
use crate::{
    clock::Clock,
    gaps::Gaps,
    telemetry::{metrics::NotificationOutcome, traces},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What `POST /api/notifications/create` asks for, validated.
#[derive(Debug, Clone)]
pub struct CreateRequest {
    /// Whose inbox it goes to.
    pub to_user: UserId,
    /// Who it is from.
    pub from_user: UserId,
    /// The chat it is filed under.
    pub pair: Pair,
    /// Its text, at most 500 code units.
    pub text: ByteString,
    /// Its kind.
    pub kind: NotificationKind,
    /// When it came to be; now where absent or in the future.
    pub created_at: Option<Timestamp>,
    /// What else belongs to it.
    pub metadata: Metadata,
}

/// Creating, listing and marking notifications.
pub struct Notifications {
    store: Arc<dyn Store>,
    backplane: Arc<dyn Backplane>,
    clock: Arc<dyn Clock>,
    /// What only this node's sockets have.
    local: Backlog<ObjectId, ()>,
    measures: Measures,
}

impl std::fmt::Debug for Notifications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifications").finish_non_exhaustive()
    }
}

impl Notifications {
    /// Over a store, a backplane and a clock. As long as only this node's sockets have something there is one of `gaps`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        backplane: Arc<dyn Backplane>,
        clock: Arc<dyn Clock>,
        gaps: Gaps,
        measures: Measures,
    ) -> Self {
        Self {
            store,
            backplane,
            clock,
            local: Backlog::new(gaps),
            measures,
        }
    }

    /// Stores a notification and gives it to its user's sockets. Where the backplane fails it waits in the inbox alone; where the
    /// other nodes are out of reach, their sockets are given it by [`Services::announce_backlog`](super::Services::announce_backlog).
    ///
    /// # Errors
    /// Where the store fails; nothing was stored then.
    pub async fn create(&self, request: CreateRequest) -> Result<Notification> {
        let (now, accepted_at) = (self.clock.now(), Instant::now());
        let events = &self.measures.metrics.events;
        let new = NewNotification {
            id: self.clock.new_id(),
            to_user: request.to_user,
            from_user: request.from_user,
            pair: request.pair,
            text: request.text,
            kind: request.kind,
            created_at: request.created_at.map_or(now, |at| at.min(now)),
            metadata: request.metadata,
        };
        let stored = self.store.create_notification(new).await;
        let notification = stored.map_err(|error| {
            events.notified(NotificationOutcome::Failed);
            store_problem(error)
        })?;

        let (id, span) = (notification.content.id, traces::publish_span());
        let _on_its_way = span.in_scope(|| self.measures.accepted.announce(id, accepted_at));
        // It tells of no message of its own, whatever its metadata name.
        let announced = self
            .backplane
            .publish(retold::notification(&notification, &[]))
            .instrument(span.clone())
            .await;
        events.notified(match announced {
            Ok(placement) => {
                if placement == Placement::Local {
                    self.local.add(id, (), |()| {});
                }
                NotificationOutcome::Live
            }
            Err(error) => {
                tracing::warn!(reason = error.reason, "notification stored but not announced");
                NotificationOutcome::Stored
            }
        });
        events.dispatched(accepted_at.elapsed());
        Ok(notification)
    }

    /// Announces the notifications that only this node's sockets have, where the other nodes are in reach; not those that
    /// were read or deleted since.
    pub(super) async fn announce_local(&self) {
        let mut ids = self.local.keys();
        // As they were made.
        ids.sort_unstable();
        for id in ids {
            let stored = match self.store.notification(id).await {
                Ok(stored) => stored,
                Err(error) => {
                    tracing::debug!(%error, "notifications are not announced yet");
                    return;
                }
            };
            if let Some(unread) = stored.filter(|stored| stored.read_at.is_none()) {
                let announced = self.backplane.publish(retold::notification(&unread, &[])).await;
                if !matches!(announced, Ok(Placement::Placed)) {
                    return;
                }
            }
            self.local.remove(&id);
        }
    }

    /// What the other nodes are still to be told.
    pub(super) fn waiting(&self) -> Waiting {
        self.local.waiting()
    }

    /// The newest `limit` unread ones, the oldest of them first.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn unread(&self, user: &UserId, limit: u32) -> Result<Vec<Notification>> {
        self.store
            .unread_notifications(user, limit)
            .await
            .map_err(store_problem)
    }

    /// Counts.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn stats(&self, user: &UserId) -> Result<NotificationStats> {
        self.store.notification_stats(user).await.map_err(store_problem)
    }

    /// One notification, whoever's it is.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn find(&self, id: ObjectId) -> Result<Option<Notification>> {
        self.store.notification(id).await.map_err(store_problem)
    }

    /// Marks one of `user`'s in `chat` as read, now or before; `None` where there is no such one.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn mark_read(
        &self,
        chat: &Pair,
        id: ObjectId,
        user: &UserId,
    ) -> Result<Option<(Notification, ChatActivity)>> {
        let now = self.clock.now();
        self.store
            .mark_notification_read(chat, id, user, now)
            .await
            .map_err(store_problem)
    }

    /// Marks all of `user`'s in `chat` as read; `false` where neither message nor notification was ever in it.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn mark_all_read(&self, chat: &Pair, user: &UserId) -> Result<bool> {
        if !self.store.chat_is_known(chat).await.map_err(store_problem)? {
            return Ok(false);
        }
        let now = self.clock.now();
        self.store
            .mark_notifications_read(chat, user, now)
            .await
            .map_err(store_problem)?;
        Ok(true)
    }

    /// Deletes one of `user`'s in `chat`; `false` where there is no such one.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn delete(&self, chat: &Pair, id: ObjectId, user: &UserId) -> Result<bool> {
        self.store
            .delete_notification(chat, id, user)
            .await
            .map_err(store_problem)
    }

    /// Deletes every notification older than `days` days; answers with how many there were.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn clean_up(&self, days: u32) -> Result<u64> {
        let before = self.clock.now().plus_millis(-i64::from(days) * DAY_MS);
        self.store
            .delete_notifications_before(before)
            .await
            .map_err(store_problem)
    }
}

#[cfg(test)]
mod tests;
