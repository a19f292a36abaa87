//! Chats in MongoDB: one document per pair with what is shown of it. What waits unread is counted over the messages,
//! in an index that holds nothing else, so that the count is right whatever node ends between two writes.

use std::collections::HashMap;

use async_trait::async_trait;
use carillon_protocol::{
    chat::{ChatSummary, Pair},
    id::UserId,
};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, deserialize_from_document, doc};
use serde::Deserialize;

use super::{
    MongoStore,
    documents::{StoredChat, unsigned},
    error::Failure,
    page,
    repair::Concerned,
    retry,
    schema::Collections,
};
use crate::{Chats, Result};

#[async_trait]
impl Chats for MongoStore {
    async fn chats_of(&self, user: &UserId, limit: u32) -> Result<Vec<ChatSummary>> {
        self.settled(Concerned::User(user), chats_of(&self.collections, user, limit))
            .await
    }

    async fn unread_count(&self, user: &UserId) -> Result<u64> {
        self.within(retry::idempotent(|| async {
            let unread = doc! { "receiver": user.as_str(), "unread": true };
            Ok(self.collections.messages.count_documents(unread).await?)
        }))
        .await
    }

    async fn chat_is_known(&self, chat: &Pair) -> Result<bool> {
        let known = find_one(&self.collections, chat);
        if self.within(known).await?.is_some() {
            return Ok(true);
        }
        let known = self.settled(Concerned::Chat(chat), find_one(&self.collections, chat));
        Ok(known.await?.is_some())
    }

    async fn are_contacts(&self, chat: &Pair) -> Result<bool> {
        let known = self.settled(Concerned::Chat(chat), find_one(&self.collections, chat));
        Ok(known.await?.is_some_and(|chat| chat.both_wrote()))
    }

    async fn contacts(&self, user: &UserId) -> Result<Vec<UserId>> {
        self.settled(Concerned::User(user), contacts(&self.collections, user))
            .await
    }

    async fn ping(&self) -> Result<()> {
        self.within(retry::idempotent(|| async {
            let count = doc! { "$inc": { "count": 1_i64 } };
            let ping = self.collections.meta.update_one(doc! { "_id": "ping" }, count);
            ping.upsert(true).await?;
            Ok(())
        }))
        .await
    }

    async fn flush(&self) -> Result<()> {
        self.writer.drained().await;
        Ok(())
    }
}

async fn find_one(
    collections: &Collections,
    chat: &Pair,
) -> std::result::Result<Option<StoredChat>, Failure> {
    retry::idempotent(|| async { Ok(collections.chats.find_one(doc! { "_id": chat.key() }).await?) }).await
}

async fn chats_of(
    collections: &Collections,
    user: &UserId,
    limit: u32,
) -> std::result::Result<Vec<ChatSummary>, Failure> {
    let own = doc! { "users": user.as_str(), "lastAt": { "$exists": true } };
    let chats = page::first(&collections.chats, own, doc! { "lastAt": -1 }, limit).await?;
    let unread = unread_by_chat(collections, user, &chats).await?;
    let summaries = chats.iter().filter_map(|chat| {
        let unread = unread.get(&*chat.key).copied().unwrap_or_default();
        chat.summary(unread).transpose()
    });
    summaries.collect()
}

#[derive(Deserialize)]
struct Unread {
    #[serde(rename = "_id")]
    key: String,
    count: i64,
}

/// How many messages wait for `user` in each of `chats`; nothing for those without any.
async fn unread_by_chat(
    collections: &Collections,
    user: &UserId,
    chats: &[StoredChat],
) -> std::result::Result<HashMap<String, u64>, Failure> {
    if chats.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<&str> = chats.iter().map(|chat| &*chat.key).collect();
    let pipeline = [
        doc! { "$match": { "receiver": user.as_str(), "unread": true, "_id.chat": { "$in": keys } } },
        doc! { "$group": { "_id": "$_id.chat", "count": { "$sum": 1_i64 } } },
    ];
    let counts: Vec<Document> = retry::idempotent(|| async {
        let counts = collections.messages.aggregate(pipeline.clone()).await?;
        Ok(counts.try_collect().await?)
    })
    .await?;
    let counts = counts.into_iter().map(|count| {
        let Unread { key, count } = deserialize_from_document(count)?;
        Ok((key, unsigned(count)?))
    });
    counts.collect()
}

async fn contacts(collections: &Collections, user: &UserId) -> std::result::Result<Vec<UserId>, Failure> {
    let chats: Vec<StoredChat> = retry::idempotent(|| async {
        let mutual = doc! { "users": user.as_str(), "firstWrote": true, "secondWrote": true };
        Ok(collections.chats.find(mutual).await?.try_collect().await?)
    })
    .await?;
    let others = chats.iter().map(|chat| Ok(chat.pair()?.other(user).clone()));
    others
        .filter(|other| !matches!(other, Ok(other) if other == user))
        .collect()
}
