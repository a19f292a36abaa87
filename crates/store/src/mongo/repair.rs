//! What a node left undone. No transaction spans a message, its notification and its chat; instead:
//!
//! 1. Before a node writes a group of messages it notes their ids in a document of its own, the group.
//! 2. The messages are inserted. From here on they are there.
//! 3. Their notifications are inserted and their chats changed. Both follow from the messages, and doing it twice is as
//!    doing it once.
//! 4. Only then the senders are answered, and the group is emptied or overwritten by the next.
//!
//! A node that ends between 2 and 4 leaves its group. Whoever reads what 3 writes looks for groups that concern it and
//! does 3 for the messages in them first ([`settle`]). A group that has not changed for long is worked off as a whole
//! and removed ([`sweep`]).

use std::{collections::HashMap, time::Duration};

use bytestring::ByteString;
use carillon_protocol::{chat::Pair, id::UserId};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc, oid::ObjectId, serialize_to_bson, serialize_to_raw_document_buf};
use serde::{Deserialize, Serialize};

use super::{
    changes::Changes,
    commands,
    documents::StoredMessage,
    error::Failure,
    retry,
    schema::{Collections, NOTIFICATIONS},
};

/// How long a group must not have changed to be taken for left: longer than any write may take.
const LEFT: Duration = Duration::from_secs(15);

/// What a node is writing now.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Group {
    #[serde(rename = "_id")]
    place: String,
    /// Counts what was written in this place.
    number: i64,
    messages: Vec<Noted>,
}

/// A message that may be there or not.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Noted {
    #[serde(rename = "_id")]
    pub(super) id: ObjectId,
    /// [`Pair::key`].
    pub(super) chat: ByteString,
    /// Sender and receiver, and whose the notification is.
    pub(super) users: Vec<ByteString>,
}

/// A node's right to write one group at a time.
#[derive(Debug)]
pub(super) struct Place {
    id: String,
    number: i64,
    /// Whether its document names messages.
    pub(super) noted: bool,
}

impl Place {
    /// A place that nobody else has.
    pub(super) fn new() -> Self {
        Self {
            id: ObjectId::new().to_hex(),
            number: 0,
            noted: false,
        }
    }

    /// Notes what is going to be written here.
    pub(super) async fn note(
        &mut self,
        collections: &Collections,
        messages: &[Noted],
    ) -> Result<(), Failure> {
        self.number += 1;
        self.noted = !messages.is_empty();
        let messages = serialize_to_bson(messages)?;
        let note = doc! { "$set": { "number": self.number, "messages": messages } };
        retry::idempotent(|| async {
            let place = doc! { "_id": &self.id };
            collections
                .groups
                .update_one(place, note.clone())
                .upsert(true)
                .await?;
            Ok(())
        })
        .await
    }
}

/// Whom a reader asks for.
#[derive(Debug)]
pub(super) enum Concerned<'a> {
    User(&'a UserId),
    Chat(&'a Pair),
    Messages(&'a [ObjectId]),
    Everyone,
}

impl Concerned<'_> {
    fn filter(&self) -> Document {
        match self {
            Self::User(user) => doc! { "messages.users": user.as_str() },
            Self::Chat(pair) => doc! { "messages.chat": pair.key() },
            Self::Messages(ids) => doc! { "messages._id": { "$in": *ids } },
            Self::Everyone => doc! { "messages._id": { "$exists": true } },
        }
    }

    fn has(&self, noted: &Noted) -> bool {
        match self {
            Self::User(user) => noted.users.contains(user.text()),
            Self::Chat(pair) => *noted.chat == *pair.key(),
            Self::Messages(ids) => ids.contains(&noted.id),
            Self::Everyone => true,
        }
    }
}

/// Finishes the messages that are noted for `concerned`, by whatever node, in flight or left.
pub(super) async fn settle(collections: &Collections, concerned: Concerned<'_>) -> Result<(), Failure> {
    let groups = retry::idempotent(|| groups(collections, concerned.filter())).await?;
    for group in groups {
        let noted = group.messages.iter().filter(|noted| concerned.has(noted));
        finish_noted(collections, &group, &noted.collect::<Vec<_>>()).await?;
    }
    Ok(())
}

async fn groups(collections: &Collections, filter: Document) -> Result<Vec<Group>, Failure> {
    Ok(collections.groups.find(filter).await?.try_collect().await?)
}

/// Finishes those messages of a group that were inserted, and takes them off it. The others may come yet.
async fn finish_noted(collections: &Collections, group: &Group, noted: &[&Noted]) -> Result<(), Failure> {
    let messages = retry::idempotent(|| async {
        let chats: Vec<&str> = noted.iter().map(|noted| &*noted.chat).collect();
        let ids: Vec<ObjectId> = noted.iter().map(|noted| noted.id).collect();
        let inserted = doc! { "_id.chat": { "$in": chats }, "id": { "$in": ids } };
        let found = collections.messages.find(inserted).await?;
        Ok(found.try_collect::<Vec<_>>().await?)
    })
    .await?;
    if messages.is_empty() {
        return Ok(());
    }
    finish(collections, messages.iter()).await?;
    let done: Vec<ObjectId> = messages.iter().map(|message| message.id).collect();
    let take_off = doc! { "$pull": { "messages": { "_id": { "$in": done } } } };
    retry::idempotent(|| async {
        let place = doc! { "_id": &group.place, "number": group.number };
        collections.groups.update_one(place, take_off.clone()).await?;
        Ok(())
    })
    .await
}

/// Stores what follows from messages: their notifications, and what their chats show.
pub(super) async fn finish(
    collections: &Collections,
    messages: impl Iterator<Item = &StoredMessage>,
) -> Result<(), Failure> {
    let mut changes = Changes::default();
    let mut notifications = Vec::new();
    for message in messages {
        let notification = message.notification(collections.notification_age)?;
        changes.message(&message.message()?);
        changes.notification(&notification.notification()?.content);
        notifications.push(serialize_to_raw_document_buf(&notification)?);
    }
    futures_util::try_join!(
        commands::insert_missing(&collections.database, NOTIFICATIONS, &notifications),
        changes.make(collections),
    )?;
    Ok(())
}

/// Works off, from time to time, what nodes left that are no more. Never ends.
pub(super) async fn sweep(collections: Collections) {
    let mut seen = HashMap::new();
    loop {
        tokio::time::sleep(LEFT).await;
        match sweep_once(&collections, &seen).await {
            Ok(now) => seen = now,
            Err(failure) => {
                tracing::debug!(reason = failure.reason, "what other nodes left was not looked at");
            }
        }
    }
}

/// Finishes and removes the groups that are as they were `seen`; answers with those that are not.
pub(super) async fn sweep_once(
    collections: &Collections,
    seen: &HashMap<String, i64>,
) -> Result<HashMap<String, i64>, Failure> {
    let mut now = HashMap::new();
    for group in groups(collections, doc! {}).await? {
        if seen.get(&group.place) != Some(&group.number) {
            now.insert(group.place, group.number);
            continue;
        }
        let noted: Vec<&Noted> = group.messages.iter().collect();
        finish_noted(collections, &group, &noted).await?;
        let place = doc! { "_id": &group.place, "number": group.number };
        collections.groups.delete_one(place).await?;
    }
    Ok(now)
}
