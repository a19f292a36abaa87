//! Chats in SQLite: one row per pair, with everything that is counted or shown of it, so that no history is ever scanned.

use async_trait::async_trait;
use carillon_protocol::{
    chat::{ChatSummary, LastMessage, Pair},
    id::UserId,
    time::Timestamp,
};
use rusqlite::{Connection, params};

use super::{
    Durability, SqliteStore,
    error::{corrupt, unavailable},
    rows::{self, Side},
};
use crate::{Chats, Result};

#[async_trait]
impl Chats for SqliteStore {
    async fn chats_of(&self, user: &UserId, limit: u32) -> Result<Vec<ChatSummary>> {
        let user = user.clone();
        self.readers
            .run(move |connection| chats_of(connection, &user, limit))
            .await
    }

    async fn unread_count(&self, user: &UserId) -> Result<u64> {
        let user = user.clone();
        self.readers
            .run(move |connection| {
                let unread = rows::one(connection, UNREAD, [user.as_str()], |row| {
                    rows::unsigned(row.get(0)?)
                })?;
                unread.ok_or_else(|| corrupt("a sum has no row"))
            })
            .await
    }

    async fn chat_is_known(&self, chat: &Pair) -> Result<bool> {
        let chat = chat.clone();
        self.readers
            .run(move |connection| Ok(last_seq(connection, &chat)?.is_some()))
            .await
    }

    async fn are_contacts(&self, chat: &Pair) -> Result<bool> {
        let chat = chat.clone();
        self.readers
            .run(move |connection| {
                let params = params![chat.first().as_str(), chat.second().as_str()];
                Ok(rows::one(connection, ARE_CONTACTS, params, |_| Ok(()))?.is_some())
            })
            .await
    }

    async fn contacts(&self, user: &UserId) -> Result<Vec<UserId>> {
        let user = user.clone();
        self.readers
            .run(move |connection| {
                rows::all(connection, CONTACTS, [user.as_str()], |row| {
                    rows::user(row, "contact")
                })
            })
            .await
    }

    async fn ping(&self) -> Result<()> {
        self.writer
            .run(|connection| rows::execute(connection, PING, []))
            .await?;
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        // The queue is in order: when this is done, so is everything before it.
        self.writer.run(|_| Ok(())).await?;
        match self.durability {
            Durability::Full => Ok(()),
            Durability::Process => self.readers.run(|connection| checkpoint(connection)).await,
        }
    }
}

pub(super) const LIST: &str = "
    SELECT first_user, second_user, last_at, unread_first AS unread, text, sender_name
    FROM chats JOIN messages ON messages.chat = chats.chat AND seq = last_seq
    WHERE first_user = ?1 AND last_at IS NOT NULL
    UNION ALL
    SELECT first_user, second_user, last_at, unread_second AS unread, text, sender_name
    FROM chats JOIN messages ON messages.chat = chats.chat AND seq = last_seq
    WHERE second_user = ?1 AND first_user <> ?1 AND last_at IS NOT NULL
    ORDER BY last_at DESC LIMIT ?2";

fn chats_of(connection: &Connection, user: &UserId, limit: u32) -> Result<Vec<ChatSummary>> {
    rows::all(connection, LIST, params![user.as_str(), limit], |row| {
        let last_message = LastMessage {
            text: rows::text(row, "text")?,
            at: rows::time(row, "last_at")?,
            sender_name: rows::text(row, "sender_name")?,
        };
        Ok(ChatSummary {
            pair: rows::pair(row)?,
            last_message,
            unread: rows::unsigned(row.get("unread")?)?,
        })
    })
}

pub(super) const UNREAD: &str = "
    SELECT (SELECT coalesce(sum(unread_first), 0) FROM chats WHERE first_user = ?1 AND unread_first > 0)
         + (SELECT coalesce(sum(unread_second), 0) FROM chats WHERE second_user = ?1 AND unread_second > 0)";
pub(super) const ARE_CONTACTS: &str = "
    SELECT 1 FROM chats WHERE first_user = ?1 AND second_user = ?2 AND first_wrote = 1 AND second_wrote = 1";
pub(super) const CONTACTS: &str = "
    SELECT second_user AS contact FROM chats
    WHERE first_user = ?1 AND second_user <> ?1 AND first_wrote = 1 AND second_wrote = 1
    UNION ALL
    SELECT first_user AS contact FROM chats
    WHERE second_user = ?1 AND first_user <> ?1 AND first_wrote = 1 AND second_wrote = 1";
const PING: &str = "UPDATE pings SET count = count + 1 WHERE one = 1";

/// Syncs what is only with the system so far.
fn checkpoint(connection: &Connection) -> Result<()> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get(0))?;
    if busy {
        Err(unavailable("a checkpoint waits for another"))
    } else {
        Ok(())
    }
}

pub(super) const LAST_SEQ: &str =
    "SELECT chat, last_seq FROM chats WHERE first_user = ?1 AND second_user = ?2";

/// A chat's row and how many messages it holds; `None` where it is not known.
pub(super) fn last_seq(connection: &Connection, pair: &Pair) -> Result<Option<(i64, u64)>> {
    rows::one(
        connection,
        LAST_SEQ,
        params![pair.first().as_str(), pair.second().as_str()],
        |row| Ok((row.get(0)?, rows::unsigned(row.get(1)?)?)),
    )
}

/// Where a new message goes.
pub(super) struct Place {
    pub(super) chat: i64,
    pub(super) seq: i64,
    pub(super) at: Timestamp,
}

/// The notification is of the message's time, which is that of the newest message or later.
const NEXT_PLACE: &str = "
    INSERT INTO chats (first_user, second_user, last_seq, last_at, unread_first, unread_second,
        first_notified_at, last_notified_at, notifications_changed_at)
    VALUES (?1, ?2, 1, ?3, ?4, ?5, ?3, ?3, ?3)
    ON CONFLICT (first_user, second_user) DO UPDATE SET
        last_seq = last_seq + 1,
        last_at = max(coalesce(last_at, ?3), ?3),
        unread_first = unread_first + ?4,
        unread_second = unread_second + ?5,
        first_notified_at = min(coalesce(first_notified_at, max(coalesce(last_at, ?3), ?3)), max(coalesce(last_at, ?3), ?3)),
        last_notified_at = max(coalesce(last_notified_at, ?3), coalesce(last_at, ?3), ?3),
        notifications_changed_at = max(coalesce(notifications_changed_at, ?3), coalesce(last_at, ?3), ?3)
    RETURNING chat, last_seq, last_at, first_wrote, second_wrote";
const FIRST_WROTE: &str = "UPDATE chats SET first_wrote = 1 WHERE chat = ?1";
const SECOND_WROTE: &str = "UPDATE chats SET second_wrote = 1 WHERE chat = ?1";

/// Makes room for a message and its notification at the end of their chat, and counts the message. In a chat with oneself nothing is unread and both wrote.
pub(super) fn next_place(connection: &Connection, pair: &Pair, sender: Side, at: Timestamp) -> Result<Place> {
    let to_self = pair.first() == pair.second();
    let (unread_first, unread_second) = match sender {
        _ if to_self => (0, 0),
        Side::First => (0, 1),
        Side::Second => (1, 0),
    };
    let params = params![
        pair.first().as_str(),
        pair.second().as_str(),
        at.as_millis(),
        unread_first,
        unread_second
    ];
    let placed = rows::one(connection, NEXT_PLACE, params, |row| {
        let place = Place {
            chat: row.get(0)?,
            seq: row.get(1)?,
            at: rows::time(row, "last_at")?,
        };
        Ok((place, row.get("first_wrote")?, row.get("second_wrote")?))
    })?;
    let (place, first_wrote, second_wrote): (Place, bool, bool) =
        placed.ok_or_else(|| corrupt("an upsert has no row"))?;
    // Set once: an update of every message would rewrite the index of contacts each time.
    if !first_wrote && (to_self || sender == Side::First) {
        rows::execute(connection, FIRST_WROTE, [place.chat])?;
    }
    if !second_wrote && (to_self || sender == Side::Second) {
        rows::execute(connection, SECOND_WROTE, [place.chat])?;
    }
    Ok(place)
}

const SUBTRACT_FIRST: &str = "UPDATE chats SET unread_first = unread_first - ?2 WHERE chat = ?1";
const SUBTRACT_SECOND: &str = "UPDATE chats SET unread_second = unread_second - ?2 WHERE chat = ?1";

/// Counts messages to `reader` that have just been marked as read.
pub(super) fn subtract_unread(connection: &Connection, chat: i64, reader: Side, marked: usize) -> Result<()> {
    let sql = match reader {
        Side::First => SUBTRACT_FIRST,
        Side::Second => SUBTRACT_SECOND,
    };
    rows::execute(connection, sql, params![chat, marked.cast_signed()])?;
    Ok(())
}
