//! A store whose operations are measured and traced, whichever backend does them.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use carillon_protocol::{
    chat::{ChatSummary, Pair},
    id::{ObjectId, UserId},
    message::{Message, NewMessage},
    notification::{ChatActivity, NewNotification, Notification, NotificationStats},
    time::Timestamp,
};
use carillon_store::{
    Chats, Messages, Notifications, Result, Store,
    messages::{Appended, HistoryPage, MarkOutcome},
};
use tracing::Instrument as _;

use super::{
    metrics::{StoreMetrics, StoreOp},
    traces,
};

/// A store that is measured.
pub struct MeteredStore {
    store: Arc<dyn Store>,
    metrics: StoreMetrics,
}

impl fmt::Debug for MeteredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredStore").finish_non_exhaustive()
    }
}

impl MeteredStore {
    /// The same store, measured.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, metrics: StoreMetrics) -> Self {
        Self { store, metrics }
    }

    async fn measured<T>(&self, op: StoreOp, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let operation = self.metrics.begin(op);
        let result = work.instrument(traces::store_span(op.as_str())).await;
        operation.end(result.is_ok());
        result
    }
}

#[async_trait]
impl Messages for MeteredStore {
    async fn append_message(&self, message: NewMessage) -> Result<Appended> {
        self.measured(StoreOp::AppendMessage, self.store.append_message(message))
            .await
    }

    async fn mark_announced(&self, message: ObjectId) -> Result<()> {
        self.measured(StoreOp::MarkAnnounced, self.store.mark_announced(message))
            .await
    }

    async fn history_page(&self, chat: &Pair, page: u64, limit: u32) -> Result<HistoryPage> {
        self.measured(StoreOp::HistoryPage, self.store.history_page(chat, page, limit))
            .await
    }

    async fn history_after(&self, chat: &Pair, after: u64, limit: u32) -> Result<Vec<Message>> {
        self.measured(
            StoreOp::HistoryAfter,
            self.store.history_after(chat, after, limit),
        )
        .await
    }

    async fn mark_message_read(
        &self,
        chat: &Pair,
        message: ObjectId,
        reader: &UserId,
        at: Timestamp,
    ) -> Result<MarkOutcome> {
        self.measured(
            StoreOp::MarkMessageRead,
            self.store.mark_message_read(chat, message, reader, at),
        )
        .await
    }

    async fn mark_chat_read(&self, chat: &Pair, reader: &UserId, at: Timestamp) -> Result<u64> {
        self.measured(StoreOp::MarkChatRead, self.store.mark_chat_read(chat, reader, at))
            .await
    }
}

#[async_trait]
impl Notifications for MeteredStore {
    async fn create_notification(&self, notification: NewNotification) -> Result<Notification> {
        self.measured(
            StoreOp::CreateNotification,
            self.store.create_notification(notification),
        )
        .await
    }

    async fn unread_notifications(&self, user: &UserId, limit: u32) -> Result<Vec<Notification>> {
        self.measured(
            StoreOp::UnreadNotifications,
            self.store.unread_notifications(user, limit),
        )
        .await
    }

    async fn notification_stats(&self, user: &UserId) -> Result<NotificationStats> {
        self.measured(StoreOp::NotificationStats, self.store.notification_stats(user))
            .await
    }

    async fn notification(&self, id: ObjectId) -> Result<Option<Notification>> {
        self.measured(StoreOp::Notification, self.store.notification(id))
            .await
    }

    async fn mark_notification_read(
        &self,
        chat: &Pair,
        id: ObjectId,
        user: &UserId,
        at: Timestamp,
    ) -> Result<Option<(Notification, ChatActivity)>> {
        self.measured(
            StoreOp::MarkNotificationRead,
            self.store.mark_notification_read(chat, id, user, at),
        )
        .await
    }

    async fn mark_notifications_read(&self, chat: &Pair, user: &UserId, at: Timestamp) -> Result<u64> {
        self.measured(
            StoreOp::MarkNotificationsRead,
            self.store.mark_notifications_read(chat, user, at),
        )
        .await
    }

    async fn delete_notification(&self, chat: &Pair, id: ObjectId, user: &UserId) -> Result<bool> {
        self.measured(
            StoreOp::DeleteNotification,
            self.store.delete_notification(chat, id, user),
        )
        .await
    }

    async fn delete_notifications_before(&self, before: Timestamp) -> Result<u64> {
        self.measured(
            StoreOp::DeleteNotificationsBefore,
            self.store.delete_notifications_before(before),
        )
        .await
    }
}

#[async_trait]
impl Chats for MeteredStore {
    async fn chats_of(&self, user: &UserId, limit: u32) -> Result<Vec<ChatSummary>> {
        self.measured(StoreOp::ChatsOf, self.store.chats_of(user, limit))
            .await
    }

    async fn unread_count(&self, user: &UserId) -> Result<u64> {
        self.measured(StoreOp::UnreadCount, self.store.unread_count(user))
            .await
    }

    async fn chat_is_known(&self, chat: &Pair) -> Result<bool> {
        self.measured(StoreOp::ChatIsKnown, self.store.chat_is_known(chat))
            .await
    }

    async fn are_contacts(&self, chat: &Pair) -> Result<bool> {
        self.measured(StoreOp::AreContacts, self.store.are_contacts(chat))
            .await
    }

    async fn contacts(&self, user: &UserId) -> Result<Vec<UserId>> {
        self.measured(StoreOp::Contacts, self.store.contacts(user)).await
    }

    async fn ping(&self) -> Result<()> {
        self.measured(StoreOp::Ping, self.store.ping()).await
    }

    async fn flush(&self) -> Result<()> {
        self.measured(StoreOp::Flush, self.store.flush()).await
    }
}
