//! Notifications in MongoDB. What is counted is counted over the index of their user: the database deletes by itself
//! what expires, so that no counter beside them would stay right.
//!
//! A deleted notification leaves its id for some minutes: another node that is just about to store it again, finishing
//! a message that was left, finds the id taken.

use async_trait::async_trait;
use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    notification::{ChatActivity, NewNotification, Notification, NotificationStats},
    time::Timestamp,
};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, deserialize_from_document, doc, oid};
use serde::Deserialize;

use super::{
    MongoStore, commands,
    documents::{StoredNotification, date, oid, time, unsigned},
    error::Failure,
    page,
    repair::Concerned,
    retry,
    schema::{CHATS, Collections},
};
use crate::{Notifications, Result};

/// How many notifications a step of the cleanup deletes.
const CLEANUP_STEP: i64 = 1000;

#[async_trait]
impl Notifications for MongoStore {
    async fn create_notification(&self, notification: NewNotification) -> Result<Notification> {
        self.writer.create(notification).await
    }

    async fn unread_notifications(&self, user: &UserId, limit: u32) -> Result<Vec<Notification>> {
        self.settled(Concerned::User(user), inbox(&self.collections, user, limit))
            .await
    }

    async fn notification_stats(&self, user: &UserId) -> Result<NotificationStats> {
        self.settled(Concerned::User(user), stats(&self.collections, user))
            .await
    }

    async fn notification(&self, id: ObjectId) -> Result<Option<Notification>> {
        let filter = doc! { "_id": oid(id), "toUser": { "$exists": true } };
        let found = self.within(one(&self.collections, filter.clone())).await?;
        if found.is_some() {
            return Ok(found);
        }
        self.settled(Concerned::Everyone, one(&self.collections, filter))
            .await
    }

    async fn mark_notification_read(
        &self,
        chat: &Pair,
        id: ObjectId,
        user: &UserId,
        at: Timestamp,
    ) -> Result<Option<(Notification, ChatActivity)>> {
        self.settled(
            Concerned::User(user),
            mark_one(&self.collections, chat, id, user, at),
        )
        .await
    }

    async fn mark_notifications_read(&self, chat: &Pair, user: &UserId, at: Timestamp) -> Result<u64> {
        let unread = doc! { "toUser": user.as_str(), "read": false, "chat": chat.key() };
        self.settled(Concerned::User(user), mark(&self.collections, chat, unread, at))
            .await
    }

    async fn delete_notification(&self, chat: &Pair, id: ObjectId, user: &UserId) -> Result<bool> {
        let own = doc! { "_id": oid(id), "toUser": user.as_str(), "chat": chat.key() };
        let deleted = self
            .settled(Concerned::User(user), delete(&self.collections, own))
            .await?;
        Ok(deleted == 1)
    }

    async fn delete_notifications_before(&self, before: Timestamp) -> Result<u64> {
        let mut deleted = 0;
        loop {
            let (found, gone) = self
                .settled(Concerned::Everyone, clean_up(&self.collections, before))
                .await?;
            deleted += gone;
            if found < CLEANUP_STEP {
                return Ok(deleted);
            }
        }
    }
}

async fn inbox(
    collections: &Collections,
    user: &UserId,
    limit: u32,
) -> std::result::Result<Vec<Notification>, Failure> {
    let unread = doc! { "toUser": user.as_str(), "read": false };
    let order = doc! { "createdAt": -1, "_id": -1 };
    let newest = page::first(&collections.notifications, unread, order, limit).await?;
    newest
        .iter()
        .rev()
        .map(StoredNotification::notification)
        .collect()
}

#[derive(Deserialize)]
struct Counts {
    total: i64,
    unread: i64,
    chats: i64,
}

async fn stats(collections: &Collections, user: &UserId) -> std::result::Result<NotificationStats, Failure> {
    let unread = doc! { "$cond": ["$read", 0_i64, 1_i64] };
    let pipeline = [
        doc! { "$match": { "toUser": user.as_str() } },
        doc! { "$group": { "_id": "$chat", "total": { "$sum": 1_i64 }, "unread": { "$sum": unread } } },
        doc! { "$group": {
            "_id": null,
            "total": { "$sum": "$total" },
            "unread": { "$sum": "$unread" },
            "chats": { "$sum": 1_i64 },
        } },
    ];
    let counts: Vec<Document> = retry::idempotent(|| async {
        let counts = collections.notifications.aggregate(pipeline.clone()).await?;
        Ok(counts.try_collect().await?)
    })
    .await?;
    let Some(counts) = counts.into_iter().next() else {
        return Ok(NotificationStats::default());
    };
    let counts: Counts = deserialize_from_document(counts)?;
    Ok(NotificationStats {
        total: unsigned(counts.total)?,
        unread: unsigned(counts.unread)?,
        active_chats: unsigned(counts.chats)?,
    })
}

async fn one(
    collections: &Collections,
    filter: Document,
) -> std::result::Result<Option<Notification>, Failure> {
    let found = retry::idempotent(|| async { Ok(collections.notifications.find_one(filter.clone()).await?) });
    found
        .await?
        .as_ref()
        .map(StoredNotification::notification)
        .transpose()
}

async fn mark_one(
    collections: &Collections,
    chat: &Pair,
    id: ObjectId,
    user: &UserId,
    at: Timestamp,
) -> std::result::Result<Option<(Notification, ChatActivity)>, Failure> {
    let own = doc! { "_id": oid(id), "toUser": user.as_str(), "chat": chat.key() };
    let mut unread = own.clone();
    unread.insert("read", false);
    mark(collections, chat, unread, at).await?;
    let Some(notification) = one(collections, own).await? else {
        return Ok(None);
    };
    let activity = activity(collections, chat, &notification).await?;
    Ok(Some((notification, activity)))
}

/// Marks what `unread` finds in `chat` as read; answers with how many there were.
async fn mark(
    collections: &Collections,
    chat: &Pair,
    unread: Document,
    at: Timestamp,
) -> std::result::Result<u64, Failure> {
    let marked = retry::exact(|| async {
        let read = doc! { "$set": { "read": true, "readAt": date(at) } };
        let marked = collections
            .notifications
            .update_many(unread.clone(), read)
            .await?;
        Ok(marked.modified_count)
    })
    .await?;
    if marked > 0 {
        let changed = doc! {
            "q": { "_id": chat.key() },
            "u": { "$max": { "notified.changed": date(at) } },
        };
        commands::update_all(&collections.database, CHATS, &[changed]).await?;
    }
    Ok(marked)
}

/// What is known of the notifications of `chat`, of which there is at least `one`.
async fn activity(
    collections: &Collections,
    chat: &Pair,
    one: &Notification,
) -> std::result::Result<ChatActivity, Failure> {
    let stored =
        retry::idempotent(|| async { Ok(collections.chats.find_one(doc! { "_id": chat.key() }).await?) });
    let notified = stored.await?.and_then(|chat| chat.notified);
    let at = one.content.created_at;
    let (first, last, changed) = notified.map_or((None, None, None), |known| {
        (known.first, known.last, known.changed)
    });
    Ok(ChatActivity {
        created_at: first.map_or(at, time),
        last_notification_at: last.map_or(at, time),
        updated_at: changed.map_or(at, time),
    })
}

/// Leaves nothing of what `filter` finds but the id; answers with how many there were.
async fn delete(collections: &Collections, filter: Document) -> std::result::Result<u64, Failure> {
    let fields = doc! {
        "chat": "", "toUser": "", "fromUser": "", "text": "", "kind": "", "priority": "", "messageId": "",
        "messagePreview": "", "createdAt": "", "read": "", "readAt": "",
    };
    let forget = doc! { "$unset": fields, "$currentDate": { "expiresAt": true } };
    retry::exact(|| async {
        let deleted = collections
            .notifications
            .update_many(filter.clone(), forget.clone())
            .await?;
        Ok(deleted.modified_count)
    })
    .await
}

#[derive(Deserialize)]
struct Only {
    #[serde(rename = "_id")]
    id: oid::ObjectId,
}

/// One step of the cleanup: how many it found, and how many of those it deleted.
async fn clean_up(collections: &Collections, before: Timestamp) -> std::result::Result<(i64, u64), Failure> {
    let notifications = collections.notifications.clone_with_type::<Only>();
    let old: Vec<Only> = retry::idempotent(|| async {
        let old = notifications.find(doc! { "createdAt": { "$lt": date(before) } });
        let old = old.projection(doc! { "_id": 1 }).limit(CLEANUP_STEP);
        Ok(old.await?.try_collect().await?)
    })
    .await?;
    if old.is_empty() {
        return Ok((0, 0));
    }
    let found = i64::try_from(old.len()).unwrap_or(CLEANUP_STEP);
    let ids: Vec<oid::ObjectId> = old.into_iter().map(|Only { id }| id).collect();
    let deleted = delete(
        collections,
        doc! { "_id": { "$in": ids }, "createdAt": { "$lt": date(before) } },
    )
    .await?;
    Ok((found, deleted))
}
