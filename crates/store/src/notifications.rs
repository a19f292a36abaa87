//! Notifications: created, listed, marked, deleted, cleaned up. Each belongs to its `to_user` alone.

use async_trait::async_trait;
use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    notification::{ChatActivity, NewNotification, Notification, NotificationStats},
    time::Timestamp,
};

use crate::Result;

/// Notifications of all users.
#[async_trait]
pub trait Notifications: Send + Sync {
    /// Stores a notification, unread. Its chat is known from then on, but is in no chat list before its first message.
    async fn create_notification(&self, notification: NewNotification) -> Result<Notification>;

    /// The newest `limit` unread notifications of `user`, the oldest of them first (by `created_at`, then id).
    async fn unread_notifications(&self, user: &UserId, limit: u32) -> Result<Vec<Notification>>;

    /// Counts over all of `user`'s notifications.
    async fn notification_stats(&self, user: &UserId) -> Result<NotificationStats>;

    /// One notification, whoever's it is.
    async fn notification(&self, id: ObjectId) -> Result<Option<Notification>>;

    /// Marks a notification of `user` in `chat` as read, now or before; answers with it and what is known of its chat's
    /// notifications. `None` where `user` has no such notification in `chat`.
    async fn mark_notification_read(
        &self,
        chat: &Pair,
        id: ObjectId,
        user: &UserId,
        at: Timestamp,
    ) -> Result<Option<(Notification, ChatActivity)>>;

    /// Marks every unread notification of `user` in `chat` as read; answers with how many there were.
    async fn mark_notifications_read(&self, chat: &Pair, user: &UserId, at: Timestamp) -> Result<u64>;

    /// Deletes a notification of `user` in `chat`; answers whether there was one.
    async fn delete_notification(&self, chat: &Pair, id: ObjectId, user: &UserId) -> Result<bool>;

    /// Deletes every notification created before `before`, read or not; answers with how many there were. Does so in
    /// steps, so that messages are stored in between; after an error some may be gone, and the next call goes on.
    async fn delete_notifications_before(&self, before: Timestamp) -> Result<u64>;
}
