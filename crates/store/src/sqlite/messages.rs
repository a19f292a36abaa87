//! Messages in SQLite. A chat's messages are rows (chat, seq) that lie together; `seq` has no holes, so a page is a range.

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    message::{Message, MessageKind, NewMessage},
    time::Timestamp,
};
use rusqlite::{Connection, Row, params};

use super::{
    SqliteStore, chats,
    error::corrupt,
    notifications,
    rows::{self, Side},
};
use crate::{
    Messages, Result,
    messages::{AppendOutcome, Appended, HistoryPage, MarkOutcome, MarkedMessage},
};

#[async_trait]
impl Messages for SqliteStore {
    async fn append_message(&self, message: NewMessage) -> Result<Appended> {
        self.writer
            .run(move |connection| append(connection, &message))
            .await
    }

    async fn mark_announced(&self, message: ObjectId) -> Result<()> {
        self.writer
            .submit(move |connection| rows::execute(connection, ANNOUNCED, [message.as_bytes()]))?;
        Ok(())
    }

    async fn history_page(&self, chat: &Pair, page: u64, limit: u32) -> Result<HistoryPage> {
        let chat = chat.clone();
        self.readers
            .run(move |connection| history_page(connection, &chat, page, limit))
            .await
    }

    async fn history_after(&self, chat: &Pair, after: u64, limit: u32) -> Result<Vec<Message>> {
        let chat = chat.clone();
        self.readers
            .run(move |connection| {
                let params = params![
                    chat.first().as_str(),
                    chat.second().as_str(),
                    rows::integer(after),
                    limit
                ];
                rows::all(connection, AFTER, params, |row| message(row, &chat))
            })
            .await
    }

    async fn mark_message_read(
        &self,
        chat: &Pair,
        message: ObjectId,
        reader: &UserId,
        at: Timestamp,
    ) -> Result<MarkOutcome> {
        let (chat, reader) = (chat.clone(), reader.clone());
        self.writer
            .run(move |connection| mark_message_read(connection, &chat, message, &reader, at))
            .await
    }

    async fn mark_chat_read(&self, chat: &Pair, reader: &UserId, at: Timestamp) -> Result<u64> {
        let Some(reader) = Side::of(reader, chat) else {
            return Ok(0);
        };
        let chat = chat.clone();
        self.writer
            .run(move |connection| mark_chat_read(connection, &chat, reader, at))
            .await
    }
}

pub(super) const BY_CLIENT_ID: &str = "
    SELECT messages.*, EXISTS (SELECT 1 FROM unannounced WHERE message = messages.id) AS unannounced
    FROM chats JOIN messages USING (chat)
    WHERE first_user = ?1 AND second_user = ?2 AND sender = ?3 AND client_message_id = ?4";
const INSERT: &str = "
    INSERT INTO messages (chat, seq, id, sender, sender_name, receiver_name, text, kind, at, read_at,
        client_message_id, notification)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'text', ?8, ?9, ?10, ?11)";
const UNANNOUNCED: &str = "INSERT INTO unannounced (message) VALUES (?1)";
pub(super) const ANNOUNCED: &str = "DELETE FROM unannounced WHERE message = ?1";

/// Stores a message, or finds the one that came before it.
fn append(connection: &Connection, new: &NewMessage) -> Result<Appended> {
    let pair = new.pair();
    let sender = Side::of(&new.sender, &pair).ok_or_else(|| corrupt("the sender is not in the chat"))?;
    if new.notification.pair != pair {
        return Err(corrupt("a message's notification is of another chat"));
    }
    if let Some(id) = &new.client_message_id
        && let Some(before) = appended_before(connection, &pair, sender, id)?
    {
        return Ok(before);
    }

    let to_self = new.sender == new.receiver;
    let place = chats::next_place(connection, &pair, sender, new.at)?;
    let resendable = new.client_message_id.is_some();
    let message = Message {
        id: new.id,
        seq: rows::unsigned(place.seq)?,
        sender: new.sender.clone(),
        receiver: new.receiver.clone(),
        sender_name: new.sender_name.clone(),
        receiver_name: new.receiver_name.clone(),
        text: new.text.clone(),
        kind: MessageKind::Text,
        at: place.at,
        read_at: to_self.then_some(place.at),
        client_message_id: new.client_message_id.clone(),
        edited_at: None,
    };
    let row = params![
        place.chat,
        place.seq,
        message.id.as_bytes(),
        sender.column(),
        &*message.sender_name,
        &*message.receiver_name,
        &*message.text,
        place.at.as_millis(),
        message.read_at.map(Timestamp::as_millis),
        message.client_message_id.as_deref(),
        resendable.then_some(new.notification.id.as_bytes()),
    ];
    rows::execute(connection, INSERT, row)?;
    notifications::insert(connection, place.chat, &new.notification, place.at)?;
    if resendable {
        rows::execute(connection, UNANNOUNCED, [message.id.as_bytes()])?;
    }
    Ok(Appended {
        message,
        notification: new.notification.id,
        outcome: AppendOutcome::Stored,
    })
}

/// What the sender has stored in this chat under the same id of its own.
fn appended_before(
    connection: &Connection,
    pair: &Pair,
    sender: Side,
    client_message_id: &ByteString,
) -> Result<Option<Appended>> {
    let params = params![
        pair.first().as_str(),
        pair.second().as_str(),
        sender.column(),
        &**client_message_id
    ];
    rows::one(connection, BY_CLIENT_ID, params, |row| {
        let outcome = if row.get("unannounced")? {
            AppendOutcome::DuplicateUnannounced
        } else {
            AppendOutcome::Duplicate
        };
        Ok(Appended {
            message: message(row, pair)?,
            notification: rows::object_id(row, "notification")?,
            outcome,
        })
    })
}

pub(super) const PAGE: &str =
    "SELECT * FROM messages WHERE chat = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq DESC";
pub(super) const AFTER: &str = "
    SELECT messages.* FROM chats JOIN messages USING (chat)
    WHERE first_user = ?1 AND second_user = ?2 AND seq > ?3
    ORDER BY seq LIMIT ?4";

/// One page; the count and the messages are of one state.
fn history_page(connection: &mut Connection, pair: &Pair, page: u64, limit: u32) -> Result<HistoryPage> {
    let snapshot = connection.transaction()?;
    let Some((chat, total)) = chats::last_seq(&snapshot, pair)? else {
        return Ok(HistoryPage {
            messages: Vec::new(),
            total: 0,
        });
    };
    let newer = page.saturating_sub(1).saturating_mul(limit.into());
    let newest = total.saturating_sub(newer);
    let older_than_page = newest.saturating_sub(limit.into());
    let params = params![chat, rows::integer(older_than_page), rows::integer(newest)];
    let messages = rows::all(&snapshot, PAGE, params, |row| message(row, pair))?;
    Ok(HistoryPage { messages, total })
}

pub(super) const BY_ID: &str = "
    SELECT chat, seq, sender, read_at FROM messages JOIN chats USING (chat)
    WHERE id = ?1 AND first_user = ?2 AND second_user = ?3";
pub(super) const MARK_ONE: &str = "UPDATE messages SET read_at = ?3 WHERE chat = ?1 AND seq = ?2";

fn mark_message_read(
    connection: &Connection,
    pair: &Pair,
    message: ObjectId,
    reader: &UserId,
    at: Timestamp,
) -> Result<MarkOutcome> {
    let params = params![message.as_bytes(), pair.first().as_str(), pair.second().as_str()];
    let found = rows::one(connection, BY_ID, params, |row| {
        let receiver = Side::from_column(row.get("sender")?)?.opposite();
        Ok((
            row.get::<_, i64>("chat")?,
            row.get::<_, i64>("seq")?,
            receiver,
            rows::optional_time(row, "read_at")?,
        ))
    })?;
    let Some((chat, seq, receiver, read_at)) = found else {
        return Ok(MarkOutcome::Unknown);
    };
    if receiver.user(pair) != reader {
        return Ok(MarkOutcome::NotReceiver);
    }
    if let Some(read_at) = read_at {
        return Ok(MarkOutcome::Marked(MarkedMessage {
            read_at,
            first: false,
        }));
    }
    rows::execute(connection, MARK_ONE, params![chat, seq, at.as_millis()])?;
    chats::subtract_unread(connection, chat, receiver, 1)?;
    Ok(MarkOutcome::Marked(MarkedMessage {
        read_at: at,
        first: true,
    }))
}

pub(super) const MARK_ALL: &str =
    "UPDATE messages SET read_at = ?3 WHERE chat = ?1 AND sender = ?2 AND read_at IS NULL";

fn mark_chat_read(connection: &Connection, pair: &Pair, reader: Side, at: Timestamp) -> Result<u64> {
    let Some((chat, _)) = chats::last_seq(connection, pair)? else {
        return Ok(0);
    };
    let sender = reader.opposite().column();
    let marked = rows::execute(connection, MARK_ALL, params![chat, sender, at.as_millis()])?;
    if marked > 0 {
        chats::subtract_unread(connection, chat, reader, marked)?;
    }
    Ok(marked as u64)
}

/// A row of `messages` as the message of its chat.
fn message(row: &Row<'_>, pair: &Pair) -> Result<Message> {
    let sender = Side::from_column(row.get("sender")?)?;
    Ok(Message {
        id: rows::object_id(row, "id")?,
        seq: rows::unsigned(row.get("seq")?)?,
        sender: sender.user(pair).clone(),
        receiver: sender.opposite().user(pair).clone(),
        sender_name: rows::text(row, "sender_name")?,
        receiver_name: rows::text(row, "receiver_name")?,
        text: rows::text(row, "text")?,
        kind: kind(row)?,
        at: rows::time(row, "at")?,
        read_at: rows::optional_time(row, "read_at")?,
        client_message_id: rows::optional_text(row, "client_message_id")?,
        edited_at: rows::optional_time(row, "edited_at")?,
    })
}

fn kind(row: &Row<'_>) -> Result<MessageKind> {
    match row.get_ref("kind")?.as_str().map_err(corrupt)? {
        "text" => Ok(MessageKind::Text),
        "image" => Ok(MessageKind::Image),
        "file" => Ok(MessageKind::File),
        other => Err(corrupt(format!("a message is of the unknown kind {other}"))),
    }
}
