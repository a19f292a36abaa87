//! A store that can be taken down, answer nonsense, refuse single messages, and take its time over appends and contacts.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use carillon_protocol::{
    chat::{ChatSummary, Pair},
    id::{ObjectId, UserId},
    message::{Message, NewMessage},
    notification::{ChatActivity, NewNotification, Notification, NotificationStats},
    time::Timestamp,
};
use carillon_store::{
    Chats, Messages, Notifications, Result, StoreError,
    messages::{Appended, HistoryPage, MarkOutcome},
    sqlite::SqliteStore,
};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) struct FlakyStore {
    inner: SqliteStore,
    down: AtomicBool,
    contacts: Mutex<()>,
    appends: Mutex<()>,
    corrupt: AtomicBool,
}

/// The text of a message that cannot be stored.
pub(crate) const UNSTORABLE: &str = "unstorable";

impl FlakyStore {
    pub(super) fn new(inner: SqliteStore) -> Self {
        Self {
            inner,
            down: AtomicBool::new(false),
            contacts: Mutex::default(),
            appends: Mutex::default(),
            corrupt: AtomicBool::new(false),
        }
    }

    /// Nobody is told of contacts as long as this is kept.
    pub(crate) async fn hold_contacts(&self) -> MutexGuard<'_, ()> {
        self.contacts.lock().await
    }

    /// Nothing is appended as long as this is kept.
    pub(crate) async fn hold_appends(&self) -> MutexGuard<'_, ()> {
        self.appends.lock().await
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(crate) fn set_corrupt(&self, corrupt: bool) {
        self.corrupt.store(corrupt, Ordering::SeqCst);
    }

    fn up(&self) -> Result<&SqliteStore> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable {
                reason: "taken down".to_owned(),
            });
        }
        if self.corrupt.load(Ordering::SeqCst) {
            return Err(StoreError::Corrupt {
                reason: "made so".to_owned(),
            });
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl Messages for FlakyStore {
    async fn append_message(&self, message: NewMessage) -> Result<Appended> {
        drop(self.appends.lock().await);
        if message.text == UNSTORABLE {
            return Err(StoreError::Corrupt {
                reason: "made so".to_owned(),
            });
        }
        self.up()?.append_message(message).await
    }

    async fn mark_announced(&self, message: ObjectId) -> Result<()> {
        self.up()?.mark_announced(message).await
    }

    async fn history_page(&self, chat: &Pair, page: u64, limit: u32) -> Result<HistoryPage> {
        self.up()?.history_page(chat, page, limit).await
    }

    async fn history_after(&self, chat: &Pair, after: u64, limit: u32) -> Result<Vec<Message>> {
        self.up()?.history_after(chat, after, limit).await
    }

    async fn mark_message_read(
        &self,
        chat: &Pair,
        message: ObjectId,
        reader: &UserId,
        at: Timestamp,
    ) -> Result<MarkOutcome> {
        self.up()?.mark_message_read(chat, message, reader, at).await
    }

    async fn mark_chat_read(&self, chat: &Pair, reader: &UserId, at: Timestamp) -> Result<u64> {
        self.up()?.mark_chat_read(chat, reader, at).await
    }
}

#[async_trait]
impl Notifications for FlakyStore {
    async fn create_notification(&self, notification: NewNotification) -> Result<Notification> {
        self.up()?.create_notification(notification).await
    }

    async fn unread_notifications(&self, user: &UserId, limit: u32) -> Result<Vec<Notification>> {
        self.up()?.unread_notifications(user, limit).await
    }

    async fn notification_stats(&self, user: &UserId) -> Result<NotificationStats> {
        self.up()?.notification_stats(user).await
    }

    async fn notification(&self, id: ObjectId) -> Result<Option<Notification>> {
        self.up()?.notification(id).await
    }

    async fn mark_notification_read(
        &self,
        chat: &Pair,
        id: ObjectId,
        user: &UserId,
        at: Timestamp,
    ) -> Result<Option<(Notification, ChatActivity)>> {
        self.up()?.mark_notification_read(chat, id, user, at).await
    }

    async fn mark_notifications_read(&self, chat: &Pair, user: &UserId, at: Timestamp) -> Result<u64> {
        self.up()?.mark_notifications_read(chat, user, at).await
    }

    async fn delete_notification(&self, chat: &Pair, id: ObjectId, user: &UserId) -> Result<bool> {
        self.up()?.delete_notification(chat, id, user).await
    }

    async fn delete_notifications_before(&self, before: Timestamp) -> Result<u64> {
        self.up()?.delete_notifications_before(before).await
    }
}

#[async_trait]
impl Chats for FlakyStore {
    async fn chats_of(&self, user: &UserId, limit: u32) -> Result<Vec<ChatSummary>> {
        self.up()?.chats_of(user, limit).await
    }

    async fn unread_count(&self, user: &UserId) -> Result<u64> {
        self.up()?.unread_count(user).await
    }

    async fn chat_is_known(&self, chat: &Pair) -> Result<bool> {
        self.up()?.chat_is_known(chat).await
    }

    async fn are_contacts(&self, chat: &Pair) -> Result<bool> {
        self.up()?.are_contacts(chat).await
    }

    async fn contacts(&self, user: &UserId) -> Result<Vec<UserId>> {
        let _free = self.contacts.lock().await;
        self.up()?.contacts(user).await
    }

    async fn ping(&self) -> Result<()> {
        self.up()?.ping().await
    }

    async fn flush(&self) -> Result<()> {
        self.up()?.flush().await
    }
}
