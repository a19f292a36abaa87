//! Collections and indexes. Made at start by every node, however many start at once.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use mongodb::{
    Collection, Database, IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    OpenError,
    documents::{StoredChat, StoredMessage, StoredNotification},
    error::Failure,
    repair::Group,
    retry,
};

/// The version that this release writes.
const VERSION: i64 = 1;

// Names with a prefix: a database of the legacy application may hold collections of any plain name.
pub(super) const MESSAGES: &str = "carillon_messages";
pub(super) const NOTIFICATIONS: &str = "carillon_notifications";
pub(super) const CHATS: &str = "carillon_chats";
const GROUPS: &str = "carillon_groups";
pub(super) const META: &str = "carillon_meta";

/// What the legacy application kept.
const LEGACY: [&str; 2] = ["chatboxes", "chatnotifications"];

/// How long a deleted notification keeps its id, and others stay after they expired.
const TOMBSTONE: Duration = Duration::from_secs(600);

/// The collections of one database.
#[derive(Debug, Clone)]
pub(super) struct Collections {
    pub(super) database: Database,
    pub(super) messages: Collection<StoredMessage>,
    pub(super) notifications: Collection<StoredNotification>,
    pub(super) chats: Collection<StoredChat>,
    /// What is being written: see [`super::repair`].
    pub(super) groups: Collection<Group>,
    /// The schema's version and what a ping writes to.
    pub(super) meta: Collection<Document>,
    /// Milliseconds after which the database deletes a notification; never without.
    pub(super) notification_age: Option<i64>,
}

impl Collections {
    pub(super) fn new(database: Database, notification_age: Option<i64>) -> Self {
        Self {
            messages: database.collection(MESSAGES),
            notifications: database.collection(NOTIFICATIONS),
            chats: database.collection(CHATS),
            groups: database.collection(GROUPS),
            meta: database.collection(META),
            database,
            notification_age,
        }
    }
}

/// Makes what is not there; leaves everything else alone. The server has `limit` for its first answer.
pub(super) async fn prepare(collections: &Collections, limit: Duration) -> Result<(), OpenError> {
    let names = timeout(limit, collections.database.list_collection_names()).await;
    let names = names.map_or_else(|_| Err(Failure::late()), |names| Ok(names?));
    let names = names.map_err(|Failure { reason, .. }| OpenError::Unavailable { reason })?;
    if LEGACY
        .iter()
        .any(|legacy| names.iter().any(|name| name == legacy))
    {
        tracing::info!(
            "the database holds collections of the legacy application: they are left alone, an import is to come"
        );
    }
    version(collections).await?;
    for (collection, indexes) in indexes() {
        let collection = collections.database.collection::<Document>(collection);
        // Nodes that start at once are in each other's way in more forms than there are codes for.
        (|| async { collection.create_indexes(indexes.clone()).await })
            .retry(several())
            .await
            .map_err(|error| OpenError::Schema {
                reason: Failure::from(error).reason,
            })?;
    }
    Ok(())
}

const fn several() -> ExponentialBuilder {
    retry::pauses()
        .with_min_delay(Duration::from_millis(50))
        .with_max_times(6)
}

#[derive(Deserialize)]
struct Version {
    version: i64,
}

/// Refuses a database of a later release; notes the version in a new one.
async fn version(collections: &Collections) -> Result<(), OpenError> {
    let versions = collections.meta.clone_with_type::<Version>();
    let read = || async {
        let note = doc! { "$setOnInsert": { "version": VERSION } };
        let schema = doc! { "_id": "schema" };
        versions.update_one(schema.clone(), note).upsert(true).await?;
        versions.find_one(schema).await
    };
    let found = read.retry(several()).await.map_err(|error| OpenError::Schema {
        reason: Failure::from(error).reason,
    })?;
    judge(found.as_ref())
}

/// As [`version`], and leaves a new database without a note.
pub(super) async fn check_version(database: &Database) -> Result<(), OpenError> {
    let versions = database.collection::<Version>(META);
    let found = versions.find_one(doc! { "_id": "schema" }).await;
    judge(found.map_err(Failure::from)?.as_ref())
}

fn judge(found: Option<&Version>) -> Result<(), OpenError> {
    match found {
        Some(&Version { version }) if version > VERSION => Err(OpenError::Newer {
            found: version,
            known: VERSION,
        }),
        _ => Ok(()),
    }
}

/// The indexes of each collection.
pub(super) fn indexes() -> [(&'static str, Vec<IndexModel>); 3] {
    let unique = || IndexOptions::builder().unique(true).build();
    let partial = |filter: Document| IndexOptions::builder().partial_filter_expression(filter).build();
    let mut client_id = partial(doc! { "clientMessageId": { "$exists": true } });
    client_id.unique = Some(true);
    let expiry = IndexOptions::builder().expire_after(TOMBSTONE).build();
    let index = |keys: Document, options: Option<IndexOptions>| {
        IndexModel::builder().keys(keys).options(options).build()
    };
    [
        (
            MESSAGES,
            vec![
                index(doc! { "_id.chat": 1, "id": 1 }, Some(unique())),
                index(
                    doc! { "_id.chat": 1, "sender": 1, "clientMessageId": 1 },
                    Some(client_id),
                ),
                index(
                    doc! { "receiver": 1, "_id.chat": 1 },
                    Some(partial(doc! { "unread": true })),
                ),
            ],
        ),
        (
            NOTIFICATIONS,
            vec![
                index(doc! { "toUser": 1, "read": 1, "createdAt": -1, "_id": -1 }, None),
                index(doc! { "chat": 1, "toUser": 1 }, None),
                index(doc! { "createdAt": 1 }, None),
                index(doc! { "expiresAt": 1 }, Some(expiry)),
            ],
        ),
        (CHATS, vec![index(doc! { "users": 1, "lastAt": -1 }, None)]),
    ]
}
