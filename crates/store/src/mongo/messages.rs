//! Messages in MongoDB. A chat's `seq` has no holes, so a page is a range of it.

use async_trait::async_trait;
use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    message::{Message, NewMessage},
    time::Timestamp,
};
use mongodb::bson::{Document, doc};

use super::{
    MongoStore,
    documents::{StoredMessage, date, integer, oid, places, time, unsigned},
    error::Failure,
    page, retry,
    schema::Collections,
};
use crate::{
    Messages, Result,
    messages::{Appended, HistoryPage, MarkOutcome, MarkedMessage},
};

#[async_trait]
impl Messages for MongoStore {
    async fn append_message(&self, message: NewMessage) -> Result<Appended> {
        self.writer.append(message).await
    }

    async fn mark_announced(&self, message: ObjectId) -> Result<()> {
        self.writer.announce(oid(message))
    }

    async fn history_page(&self, chat: &Pair, page: u64, limit: u32) -> Result<HistoryPage> {
        self.within(history_page(&self.collections, chat, page, limit))
            .await
    }

    async fn history_after(&self, chat: &Pair, after: u64, limit: u32) -> Result<Vec<Message>> {
        let (after, last) = (integer(after), integer(after.saturating_add(limit.into())));
        let range = places(&chat.key(), after, last);
        self.within(async { messages(&find(&self.collections, range, 1, limit).await?) })
            .await
    }

    async fn mark_message_read(
        &self,
        chat: &Pair,
        message: ObjectId,
        reader: &UserId,
        at: Timestamp,
    ) -> Result<MarkOutcome> {
        self.within(mark_message_read(&self.collections, chat, message, reader, at))
            .await
    }

    async fn mark_chat_read(&self, chat: &Pair, reader: &UserId, at: Timestamp) -> Result<u64> {
        let unread = doc! { "receiver": reader.as_str(), "_id.chat": chat.key(), "unread": true };
        self.within(retry::exact(|| async {
            let marked = self
                .collections
                .messages
                .update_many(unread.clone(), read(at))
                .await?;
            Ok(marked.modified_count)
        }))
        .await
    }
}

/// One page. The newest message tells how many there are, so that the count and the messages are of one state.
async fn history_page(
    collections: &Collections,
    chat: &Pair,
    page: u64,
    limit: u32,
) -> std::result::Result<HistoryPage, Failure> {
    let key = chat.key();
    let newest = if page <= 1 { limit.max(1) } else { 1 };
    let mut found = find(collections, places(&key, 0, i64::MAX), -1, newest).await?;
    let total = found.first().map_or(Ok(0), |newest| unsigned(newest.place.seq))?;
    if limit == 0 {
        found.clear();
    } else if page > 1 {
        let newest = total.saturating_sub((page - 1).saturating_mul(limit.into()));
        let older = newest.saturating_sub(limit.into());
        let range = places(&key, integer(older), integer(newest));
        found = if newest == 0 {
            Vec::new()
        } else {
            find(collections, range, -1, limit).await?
        };
    }
    Ok(HistoryPage {
        messages: messages(&found)?,
        total,
    })
}

/// Messages by `seq`, upwards (1) or downwards (-1).
async fn find(
    collections: &Collections,
    filter: Document,
    direction: i32,
    limit: u32,
) -> std::result::Result<Vec<StoredMessage>, Failure> {
    page::first(&collections.messages, filter, doc! { "_id": direction }, limit).await
}

fn messages(stored: &[StoredMessage]) -> std::result::Result<Vec<Message>, Failure> {
    stored.iter().map(StoredMessage::message).collect()
}

/// What marks a message as read.
fn read(at: Timestamp) -> Document {
    doc! { "$set": { "readAt": date(at) }, "$unset": { "unread": "" } }
}

async fn mark_message_read(
    collections: &Collections,
    chat: &Pair,
    message: ObjectId,
    reader: &UserId,
    at: Timestamp,
) -> std::result::Result<MarkOutcome, Failure> {
    let in_chat = doc! { "_id.chat": chat.key(), "id": oid(message) };
    let mut unread = in_chat.clone();
    unread.extend(doc! { "receiver": reader.as_str(), "unread": true });
    let marked = retry::exact(|| async {
        let marked = collections.messages.update_one(unread.clone(), read(at)).await?;
        Ok(marked.modified_count)
    });
    if marked.await? == 1 {
        return Ok(MarkOutcome::Marked(MarkedMessage {
            read_at: at,
            first: true,
        }));
    }
    let stored = retry::idempotent(|| async { Ok(collections.messages.find_one(in_chat.clone()).await?) });
    let Some(stored) = stored.await? else {
        return Ok(MarkOutcome::Unknown);
    };
    if *stored.receiver != *reader.as_str() {
        return Ok(MarkOutcome::NotReceiver);
    }
    let Some(read_at) = stored.read_at else {
        // Inserted between the two commands: the client has not been told of it yet.
        return Ok(MarkOutcome::Unknown);
    };
    Ok(MarkOutcome::Marked(MarkedMessage {
        read_at: time(read_at),
        first: false,
    }))
}
