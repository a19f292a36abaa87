//! What the database holds already of a group: the newest messages of its chats, and earlier attempts.

use std::collections::{HashMap, HashSet};

use futures_util::{TryStreamExt, future::try_join_all};
use mongodb::bson::{DateTime, Document, doc, oid::ObjectId};
use serde::Deserialize;

use super::{
    super::{announcements::Announcements, append::Append},
    Newest,
};
use crate::{
    messages::AppendOutcome,
    mongo::{
        documents::{Place, StoredMessage, oid, places},
        error::Failure,
        retry,
        schema::Collections,
    },
};

#[derive(Deserialize)]
struct Known {
    #[serde(rename = "_id")]
    key: String,
    last: Option<KnownLast>,
}

#[derive(Deserialize)]
struct KnownLast {
    seq: i64,
    at: DateTime,
}

/// The newest messages of chats. What the chats themselves say may be a little old: for a moment after each message of
/// another node. To see it now is cheaper than to be refused later.
pub(super) async fn newest(
    collections: &Collections,
    keys: &[&str],
) -> Result<HashMap<String, Newest>, Failure> {
    let mut newest = noted_newest(collections, keys).await?;
    let after = |newest: Option<&Newest>| newest.map_or(1, |newest| newest.seq.saturating_add(1));
    let next: Vec<Document> = keys
        .iter()
        .map(|key| doc! { "chat": *key, "seq": after(newest.get(*key)) })
        .collect();
    let messages = collections.messages.clone_with_type::<Placed>();
    let moved: Vec<Placed> = retry::idempotent(|| async {
        let found = messages.find(doc! { "_id": { "$in": &next } });
        Ok(found.projection(doc! { "at": 1 }).await?.try_collect().await?)
    })
    .await?;
    let newer = moved.into_iter().map(|Placed { place, at }| async move {
        let next = Newest {
            seq: place.seq,
            at: Some(at),
        };
        let newest = newer(collections, &place.chat, next).await?.unwrap_or(next);
        Ok::<_, Failure>((place.chat.to_string(), newest))
    });
    newest.extend(try_join_all(newer).await?);
    Ok(newest)
}

/// What the chats say of their newest messages.
async fn noted_newest(collections: &Collections, keys: &[&str]) -> Result<HashMap<String, Newest>, Failure> {
    let chats = collections.chats.clone_with_type::<Known>();
    let found: Vec<Known> = retry::idempotent(|| async {
        let fields = doc! { "last.seq": 1, "last.at": 1 };
        let found = chats
            .find(doc! { "_id": { "$in": keys } })
            .projection(fields)
            .await?;
        Ok(found.try_collect().await?)
    })
    .await?;
    let newest = found.into_iter().filter_map(|Known { key, last }| {
        let KnownLast { seq, at } = last?;
        Some((key, Newest { seq, at: Some(at) }))
    });
    Ok(newest.collect())
}

#[derive(Deserialize)]
struct Placed {
    #[serde(rename = "_id")]
    place: Place,
    at: DateTime,
}

/// The newest message of a chat that comes after one that is known.
pub(super) async fn newer(
    collections: &Collections,
    key: &str,
    than: Newest,
) -> Result<Option<Newest>, Failure> {
    let messages = collections.messages.clone_with_type::<Placed>();
    let found = retry::idempotent(|| async {
        let later = messages.find_one(places(key, than.seq, i64::MAX));
        Ok(later
            .sort(doc! { "_id": -1 })
            .projection(doc! { "at": 1 })
            .await?)
    })
    .await?;
    Ok(found.map(|Placed { place, at }| Newest {
        seq: place.seq,
        at: Some(at),
    }))
}

#[derive(Deserialize)]
struct Only {
    #[serde(rename = "_id")]
    id: ObjectId,
}

/// Those of `ids` under which there is a notification.
pub(super) async fn taken_notifications(
    collections: &Collections,
    ids: &[ObjectId],
) -> Result<HashSet<ObjectId>, Failure> {
    let notifications = collections.notifications.clone_with_type::<Only>();
    let found: Vec<Only> = retry::idempotent(|| async {
        let found = notifications.find(doc! { "_id": { "$in": ids } });
        Ok(found.projection(doc! { "_id": 1 }).await?.try_collect().await?)
    })
    .await?;
    Ok(found.into_iter().map(|Only { id }| id).collect())
}

/// Stored messages that may be earlier attempts at some appends.
pub(super) struct Found {
    messages: Vec<StoredMessage>,
    /// What had been announced when they were looked for, which they may not show.
    announced: HashSet<ObjectId>,
}

/// What became of an append.
pub(super) enum Verdict {
    /// It is not stored.
    New,
    /// It was stored by an attempt whose answer was lost.
    Stored(StoredMessage),
    /// The sender has stored this one before under the same `client_message_id`.
    Resent(StoredMessage, AppendOutcome),
    /// Its id is another message's.
    Taken,
}

impl Found {
    /// Looks for earlier attempts at `appends`.
    pub(super) async fn look_up(
        collections: &Collections,
        announcements: &Announcements,
        appends: impl Iterator<Item = &Append> + Clone,
    ) -> Result<Self, Failure> {
        let announced = announcements.under_way();
        let ids: Vec<ObjectId> = appends.clone().map(|append| oid(append.message.id)).collect();
        let chats: Vec<String> = appends.clone().map(Append::chat).collect();
        let mut filters = vec![doc! { "_id.chat": { "$in": chats }, "id": { "$in": ids } }];
        filters.extend(appends.filter_map(Append::earlier));
        let filter: Document = doc! { "$or": filters };
        let messages = retry::idempotent(|| async {
            let found = collections.messages.find(filter.clone()).await?;
            Ok(found.try_collect().await?)
        })
        .await?;
        Ok(Self { messages, announced })
    }

    pub(super) fn verdict(&self, append: &Append) -> Verdict {
        let id = oid(append.message.id);
        let resent = |message: &&StoredMessage| message.id != id && append.is_resend_of(message);
        if let Some(first) = self.messages.iter().find(resent) {
            let unannounced = first.unannounced == Some(true) && !self.announced.contains(&first.id);
            let outcome = if unannounced {
                AppendOutcome::DuplicateUnannounced
            } else {
                AppendOutcome::Duplicate
            };
            return Verdict::Resent(first.clone(), outcome);
        }
        match self.messages.iter().find(|message| message.id == id) {
            None => Verdict::New,
            Some(message) if message.is_of(&append.message) => Verdict::Stored(message.clone()),
            Some(_) => Verdict::Taken,
        }
    }
}
