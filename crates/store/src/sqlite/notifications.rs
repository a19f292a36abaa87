//! Notifications in SQLite, with counts per user and chat beside them. Their chat remembers when they came and changed.

use std::collections::HashMap;

use async_trait::async_trait;
use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    notification::{
        ChatActivity, Metadata, NewNotification, Notification, NotificationKind, NotificationStats, Priority,
    },
    time::Timestamp,
};
use rusqlite::{Connection, Row, params};

use super::{SqliteStore, error::corrupt, rows};
use crate::{Notifications, Result};

/// How many notifications a step of the cleanup deletes, so that messages are stored in between.
const CLEANUP_STEP: u32 = 1000;

#[async_trait]
impl Notifications for SqliteStore {
    async fn create_notification(&self, notification: NewNotification) -> Result<Notification> {
        self.writer
            .run(move |connection| {
                let chat = note_created(connection, &notification)?;
                insert(connection, chat, &notification, notification.created_at)?;
                Ok(Notification {
                    content: notification.clone(),
                    read_at: None,
                })
            })
            .await
    }

    async fn unread_notifications(&self, user: &UserId, limit: u32) -> Result<Vec<Notification>> {
        let user = user.clone();
        self.readers
            .run(move |connection| {
                let mut newest = rows::all(connection, INBOX, params![user.as_str(), limit], notification)?;
                newest.reverse();
                Ok(newest)
            })
            .await
    }

    async fn notification_stats(&self, user: &UserId) -> Result<NotificationStats> {
        let user = user.clone();
        self.readers.run(move |connection| stats(connection, &user)).await
    }

    async fn notification(&self, id: ObjectId) -> Result<Option<Notification>> {
        self.readers
            .run(move |connection| rows::one(connection, BY_ID, [id.as_bytes()], notification))
            .await
    }

    async fn mark_notification_read(
        &self,
        chat: &Pair,
        id: ObjectId,
        user: &UserId,
        at: Timestamp,
    ) -> Result<Option<(Notification, ChatActivity)>> {
        let (chat, user) = (chat.clone(), user.clone());
        self.writer
            .run(move |connection| mark_one(connection, &chat, id, &user, at))
            .await
    }

    async fn mark_notifications_read(&self, chat: &Pair, user: &UserId, at: Timestamp) -> Result<u64> {
        let (chat, user) = (chat.clone(), user.clone());
        self.writer
            .run(move |connection| mark_all(connection, &chat, &user, at))
            .await
    }

    async fn delete_notification(&self, chat: &Pair, id: ObjectId, user: &UserId) -> Result<bool> {
        let (chat, user) = (chat.clone(), user.clone());
        self.writer
            .run(move |connection| {
                let params = params![
                    id.as_bytes(),
                    user.as_str(),
                    chat.first().as_str(),
                    chat.second().as_str()
                ];
                Ok(delete(connection, DELETE_ONE, params)? == 1)
            })
            .await
    }

    async fn delete_notifications_before(&self, before: Timestamp) -> Result<u64> {
        let mut deleted = 0;
        loop {
            let step = self
                .writer
                .run(move |connection| {
                    delete(connection, DELETE_OLD, params![before.as_millis(), CLEANUP_STEP])
                })
                .await?;
            deleted += step;
            if step < u64::from(CLEANUP_STEP) {
                return Ok(deleted);
            }
        }
    }
}

const NOTE_CREATED: &str = "
    INSERT INTO chats (first_user, second_user, first_notified_at, last_notified_at, notifications_changed_at)
    VALUES (?1, ?2, ?3, ?3, ?3)
    ON CONFLICT (first_user, second_user) DO UPDATE SET
        first_notified_at = min(coalesce(first_notified_at, ?3), ?3),
        last_notified_at = max(coalesce(last_notified_at, ?3), ?3),
        notifications_changed_at = max(coalesce(notifications_changed_at, ?3), ?3)
    RETURNING chat";
const INSERT: &str = "
    INSERT INTO notifications (id, chat, to_user, from_user, text, kind, created_at, message_id, message_preview, priority)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const COUNT_CREATED: &str = "
    INSERT INTO inboxes (to_user, chat, total, unread) VALUES (?1, ?2, 1, 1)
    ON CONFLICT (to_user, chat) DO UPDATE SET total = total + 1, unread = unread + 1";

/// The chat of a new notification, which is known from then on.
fn note_created(connection: &Connection, new: &NewNotification) -> Result<i64> {
    let created_at = new.created_at.as_millis();
    let in_chat = params![new.pair.first().as_str(), new.pair.second().as_str(), created_at];
    let chat = rows::one(connection, NOTE_CREATED, in_chat, |row| Ok(row.get(0)?))?;
    chat.ok_or_else(|| corrupt("an upsert has no row"))
}

/// Stores a notification of a chat that knows of it, unread.
pub(super) fn insert(
    connection: &Connection,
    chat: i64,
    new: &NewNotification,
    created_at: Timestamp,
) -> Result<()> {
    let row = params![
        new.id.as_bytes(),
        chat,
        new.to_user.as_str(),
        new.from_user.as_str(),
        &*new.text,
        new.kind.as_str(),
        created_at.as_millis(),
        new.metadata.message_id.as_deref(),
        new.metadata.message_preview.as_deref(),
        new.metadata.priority.as_str(),
    ];
    rows::execute(connection, INSERT, row)?;
    rows::execute(connection, COUNT_CREATED, params![new.to_user.as_str(), chat])?;
    Ok(())
}

pub(super) const INBOX: &str = "
    SELECT notifications.*, first_user, second_user FROM notifications JOIN chats USING (chat)
    WHERE to_user = ?1 AND read_at IS NULL
    ORDER BY created_at DESC, id DESC LIMIT ?2";
pub(super) const BY_ID: &str = "
    SELECT notifications.*, first_user, second_user FROM notifications JOIN chats USING (chat) WHERE id = ?1";
pub(super) const STATS: &str = "
    SELECT coalesce(sum(total), 0), coalesce(sum(unread), 0), count(*) FROM inboxes WHERE to_user = ?1";

fn stats(connection: &Connection, user: &UserId) -> Result<NotificationStats> {
    let stats = rows::one(connection, STATS, [user.as_str()], |row| {
        Ok(NotificationStats {
            total: rows::unsigned(row.get(0)?)?,
            unread: rows::unsigned(row.get(1)?)?,
            active_chats: rows::unsigned(row.get(2)?)?,
        })
    })?;
    stats.ok_or_else(|| corrupt("a sum has no row"))
}

pub(super) const OWN: &str = "
    SELECT notifications.*, first_user, second_user, first_notified_at, last_notified_at, notifications_changed_at
    FROM notifications JOIN chats USING (chat)
    WHERE id = ?1 AND to_user = ?2 AND first_user = ?3 AND second_user = ?4";
pub(super) const MARK_ONE: &str = "UPDATE notifications SET read_at = ?2 WHERE id = ?1 RETURNING chat";
pub(super) const MARK_ALL: &str = "
    UPDATE notifications SET read_at = ?4
    WHERE chat = (SELECT chat FROM chats WHERE first_user = ?1 AND second_user = ?2) AND to_user = ?3 AND read_at IS NULL
    RETURNING chat";

fn mark_one(
    connection: &Connection,
    pair: &Pair,
    id: ObjectId,
    user: &UserId,
    at: Timestamp,
) -> Result<Option<(Notification, ChatActivity)>> {
    let own = params![
        id.as_bytes(),
        user.as_str(),
        pair.first().as_str(),
        pair.second().as_str()
    ];
    let found = rows::one(connection, OWN, own, |row| {
        Ok((notification(row)?, activity(row)?))
    })?;
    let Some((mut notification, mut activity)) = found else {
        return Ok(None);
    };
    if notification.read_at.is_none() {
        let marked = rows::all(
            connection,
            MARK_ONE,
            params![id.as_bytes(), at.as_millis()],
            |row| Ok(row.get(0)?),
        )?;
        count_read(connection, user, &marked, at)?;
        notification.read_at = Some(at);
        activity.updated_at = activity.updated_at.max(at);
    }
    Ok(Some((notification, activity)))
}

fn mark_all(connection: &Connection, pair: &Pair, user: &UserId, at: Timestamp) -> Result<u64> {
    let params = params![
        pair.first().as_str(),
        pair.second().as_str(),
        user.as_str(),
        at.as_millis()
    ];
    let marked = rows::all(connection, MARK_ALL, params, |row| Ok(row.get(0)?))?;
    count_read(connection, user, &marked, at)?;
    Ok(marked.len() as u64)
}

const COUNT_READ: &str = "UPDATE inboxes SET unread = unread - ?3 WHERE to_user = ?1 AND chat = ?2";
const NOTE_READ: &str = "
    UPDATE chats SET notifications_changed_at = max(coalesce(notifications_changed_at, ?2), ?2) WHERE chat = ?1";

/// Counts notifications of `user` that have just been marked: the chat of each, which is the same for all.
fn count_read(connection: &Connection, user: &UserId, marked: &[i64], at: Timestamp) -> Result<()> {
    let Some(chat) = marked.first() else { return Ok(()) };
    rows::execute(
        connection,
        COUNT_READ,
        params![user.as_str(), chat, marked.len().cast_signed()],
    )?;
    rows::execute(connection, NOTE_READ, params![chat, at.as_millis()])?;
    Ok(())
}

pub(super) const DELETE_ONE: &str = "
    DELETE FROM notifications
    WHERE id = ?1 AND to_user = ?2 AND chat = (SELECT chat FROM chats WHERE first_user = ?3 AND second_user = ?4)
    RETURNING to_user, chat, read_at IS NULL";
pub(super) const DELETE_OLD: &str = "
    DELETE FROM notifications
    WHERE id IN (SELECT id FROM notifications WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)
    RETURNING to_user, chat, read_at IS NULL";
const COUNT_DELETED: &str = "
    UPDATE inboxes SET total = total - ?3, unread = unread - ?4 WHERE to_user = ?1 AND chat = ?2";
const FORGET_EMPTY: &str = "DELETE FROM inboxes WHERE to_user = ?1 AND chat = ?2 AND total = 0";

/// Deletes what `sql` says and takes it out of the counts; answers how many there were.
fn delete(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<u64> {
    let deleted: Vec<((String, i64), bool)> = rows::all(connection, sql, params, |row| {
        Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
    })?;
    let count = deleted.len() as u64;
    let mut inboxes: HashMap<_, (i64, i64)> = HashMap::new();
    for (inbox, unread) in deleted {
        let counts = inboxes.entry(inbox).or_default();
        counts.0 += 1;
        counts.1 += i64::from(unread);
    }
    for ((to_user, chat), (total, unread)) in inboxes {
        rows::execute(connection, COUNT_DELETED, params![to_user, chat, total, unread])?;
        rows::execute(connection, FORGET_EMPTY, params![to_user, chat])?;
    }
    Ok(count)
}

/// A row of `notifications` with its chat's users.
fn notification(row: &Row<'_>) -> Result<Notification> {
    let metadata = Metadata {
        message_id: rows::optional_text(row, "message_id")?,
        message_preview: rows::optional_text(row, "message_preview")?,
        priority: Priority::parse(row.get_ref("priority")?.as_str().map_err(corrupt)?),
    };
    let content = NewNotification {
        id: rows::object_id(row, "id")?,
        to_user: rows::user(row, "to_user")?,
        from_user: rows::user(row, "from_user")?,
        pair: rows::pair(row)?,
        text: rows::text(row, "text")?,
        kind: NotificationKind::parse(row.get_ref("kind")?.as_str().map_err(corrupt)?),
        created_at: rows::time(row, "created_at")?,
        metadata,
    };
    Ok(Notification {
        content,
        read_at: rows::optional_time(row, "read_at")?,
    })
}

/// What a chat's row says about its notifications.
fn activity(row: &Row<'_>) -> Result<ChatActivity> {
    Ok(ChatActivity {
        created_at: rows::time(row, "first_notified_at")?,
        last_notification_at: rows::time(row, "last_notified_at")?,
        updated_at: rows::time(row, "notifications_changed_at")?,
    })
}
