//! The backend for several nodes: a MongoDB, or what speaks its protocol, that they share.
//!
//! It needs neither transactions nor change streams, so a standalone server, a replica set and a sharded cluster
//! (messages by chat, notifications by user) do. What a node leaves undone when it ends is finished by the others, see
//! [`repair`].

mod changes;
mod chats;
mod commands;
mod documents;
mod error;
mod inspection;
mod messages;
mod notifications;
mod page;
mod repair;
mod retry;
mod schema;
mod writer;

use std::{future::Future, time::Duration};

use mongodb::{
    Client, Database,
    options::{ClientOptions, ReadConcern, WriteConcern},
};
use tokio::{task::JoinSet, time::timeout};

use self::{error::Failure, repair::Concerned, schema::Collections, writer::Writer};
pub use self::{
    error::OpenError,
    inspection::{Inspection, inspect},
};
use crate::Result;

/// The database's name where the address has none.
const DATABASE: &str = "carillon";

/// How long to look for a server; then there is none.
const SELECTION: Duration = Duration::from_secs(2);

/// What can be set.
#[derive(Debug, Clone)]
pub struct MongoOptions {
    /// How many connections are open to a server at most.
    pub connections: u32,
    /// How many writes may wait or be under way; more are refused as unavailable.
    pub queue: usize,
    /// How many groups of messages are written at a time; at least 1.
    pub groups: usize,
    /// How long an operation may take before it is refused as unavailable.
    pub timeout: Duration,
    /// How long after its time the database deletes a notification, some minutes more or less; `None` keeps all.
    pub notification_age: Option<Duration>,
}

impl Default for MongoOptions {
    fn default() -> Self {
        Self {
            connections: 32,
            queue: 4096,
            // Fuller groups carry more: three nodes that all wrote into the same chats, 40 % more than with two at a time.
            groups: 1,
            timeout: Duration::from_secs(5),
            notification_age: None,
        }
    }
}

/// The store. Every node has its own, on the same database.
#[derive(Debug)]
pub struct MongoStore {
    collections: Collections,
    timeout: Duration,
    writer: Writer,
    _sweeper: JoinSet<()>,
}

impl MongoStore {
    /// Connects to the database that `uri` names (`carillon` where it names none), and makes collections and indexes
    /// where they are not there. Collections of other applications are left alone.
    ///
    /// # Errors
    /// See [`OpenError`]; with [`OpenError::Unavailable`] a later attempt may succeed.
    pub async fn connect(uri: &str, options: MongoOptions) -> std::result::Result<Self, OpenError> {
        let database = database(uri, &options).await?;
        let age = options
            .notification_age
            .map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let collections = Collections::new(database, age);
        schema::prepare(&collections, options.timeout).await?;
        let mut sweeper = JoinSet::new();
        sweeper.spawn(repair::sweep(collections.clone()));
        Ok(Self {
            timeout: options.timeout,
            writer: Writer::start(collections.clone(), &options),
            collections,
            _sweeper: sweeper,
        })
    }

    /// Does `work` in the time that an operation has.
    async fn within<Value>(
        &self,
        work: impl Future<Output = std::result::Result<Value, Failure>>,
    ) -> Result<Value> {
        let done = timeout(self.timeout, work).await;
        let outcome = done.unwrap_or_else(|_| Err(Failure::late()));
        outcome.map_err(|failure| {
            tracing::warn!(reason = failure.reason, "store operation failed");
            failure.into()
        })
    }

    /// As [`MongoStore::within`], for what depends on messages that a node may have left unfinished.
    async fn settled<Value>(
        &self,
        concerned: Concerned<'_>,
        work: impl Future<Output = std::result::Result<Value, Failure>>,
    ) -> Result<Value> {
        self.within(async {
            repair::settle(&self.collections, concerned).await?;
            work.await
        })
        .await
    }
}

/// The database that `uri` names. Nothing is asked of its server yet.
async fn database(uri: &str, options: &MongoOptions) -> std::result::Result<Database, OpenError> {
    let mut client = ClientOptions::parse(uri).await.map_err(OpenError::Address)?;
    client.app_name.get_or_insert_with(|| DATABASE.to_owned());
    client.max_pool_size = Some(options.connections.max(1));
    client.server_selection_timeout = Some(SELECTION.min(options.timeout));
    client.connect_timeout = Some(SELECTION.min(options.timeout));
    client.read_concern = Some(ReadConcern::majority());
    client.write_concern = Some(WriteConcern::majority());
    let name = client.default_database.clone();
    let client = Client::with_options(client).map_err(OpenError::Address)?;
    Ok(client.database(name.as_deref().unwrap_or(DATABASE)))
}
