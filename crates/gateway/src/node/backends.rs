//! What a node keeps its state in, as its settings say: an embedded store or MongoDB; itself alone, or Redis and the other
//! nodes. Servers that are not there yet are waited for.

use std::{fmt::Display, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use carillon_backplane::{
    Backplane, Inbound,
    local::{LocalBackplane, LogBounds},
    redis::{RedisBackplane, RedisOptions},
};
use carillon_socketio::random_id;
use carillon_store::{
    Store,
    mongo::{MongoOptions, MongoStore, OpenError},
    sqlite::{SqliteOptions, SqliteStore},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{JwksSource, Verifier},
    settings::Settings,
};

/// The embedded database's file in the data folder.
const DATABASE_FILE: &str = "carillon.db";
/// The pause after the first attempt to reach a server; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the cluster is given to take note that a node leaves.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How the node is joined with others.
#[derive(Debug, Clone)]
pub(super) enum Joint {
    /// It is not.
    Alone(Arc<LocalBackplane>),
    /// By Redis.
    Redis(Arc<RedisBackplane>),
}

/// Whether a node with these settings needs no server beside it.
pub(super) fn is_self_contained(settings: &Settings) -> bool {
    let fetches_keys = settings.auth.jwks.as_ref().is_some_and(JwksSource::is_remote);
    settings.mongodb_uri.is_none() && settings.cluster.redis_url.is_none() && !fetches_keys
}

/// Waits for the key set's server, where keys come from one: without them nobody could be let in.
pub(super) async fn await_keys(verifier: &Verifier) {
    let Some(jwks) = verifier.jwks() else { return };
    let mut pauses = Pauses::before("key set");
    while let Err(reason) = jwks.first_look().await {
        pauses.next(&reason).await;
    }
    pauses.over();
}

/// Opens the store; waits for MongoDB, where it is that.
///
/// # Errors
/// Where it is there and cannot be used.
pub(super) async fn open_store(settings: &Settings) -> anyhow::Result<Arc<dyn Store>> {
    let Some(uri) = &settings.mongodb_uri else {
        let store = SqliteStore::open(&database_path(settings), &SqliteOptions::default());
        return Ok(Arc::new(store.context("the store cannot be opened")?));
    };
    let options = MongoOptions {
        notification_age: (settings.notification_days > 0).then(|| DAY * settings.notification_days),
        ..MongoOptions::default()
    };
    let mut pauses = Pauses::before("MongoDB");
    loop {
        match MongoStore::connect(uri.expose_secret(), options.clone()).await {
            Ok(store) => {
                pauses.over();
                return Ok(Arc::new(store));
            }
            Err(error @ OpenError::Unavailable { .. }) => pauses.next(&error).await,
            Err(error) => return Err(error).context("the store cannot be opened"),
        }
    }
}

impl Joint {
    /// Makes the node's part of a cluster, waiting for Redis, or of none.
    pub(super) async fn open(settings: &Settings) -> Self {
        let Some(url) = &settings.cluster.redis_url else {
            return Self::Alone(Arc::new(LocalBackplane::new(
                &random_id(),
                settings.recovery_window,
                LogBounds::default(),
            )));
        };
        let options = redis_options(settings, url);
        let mut pauses = Pauses::before("Redis");
        loop {
            match RedisBackplane::connect(options.clone()).await {
                Ok(backplane) => {
                    pauses.over();
                    return Self::Redis(backplane);
                }
                Err(error) => pauses.next(&error).await,
            }
        }
    }

    pub(super) fn backplane(&self) -> Arc<dyn Backplane> {
        match self {
            Self::Alone(backplane) => backplane.clone(),
            Self::Redis(backplane) => backplane.clone(),
        }
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// Joins the node's receiving side, waiting for Redis. `tasks` owns the connections, until `stopping`.
    pub(super) async fn join(
        &self,
        node: Arc<dyn Inbound>,
        tasks: &TaskTracker,
        stopping: &CancellationToken,
    ) {
        let backplane = match self {
            Self::Alone(backplane) => return backplane.join(node),
            Self::Redis(backplane) => backplane,
        };
        let mut pauses = Pauses::before("Redis");
        while let Err(error) = backplane.start(Arc::clone(&node), tasks, stopping.clone()).await {
            pauses.next(&error).await;
        }
        pauses.over();
    }

    /// Leaves the cluster: the others need not wait for the node's lease to lapse.
    pub(super) async fn leave(&self) {
        let Self::Redis(backplane) = self else { return };
        match tokio::time::timeout(LEAVE_TIMEOUT, backplane.leave()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the node leaves without a word"),
            Err(_) => tracing::warn!("the node leaves without a word: Redis does not answer"),
        }
    }
}

/// The embedded database's file.
pub(crate) fn database_path(settings: &Settings) -> PathBuf {
    settings.data_dir.join(DATABASE_FILE)
}

/// How a node with these settings takes part in the cluster that the Redis at `url` joins.
pub(crate) fn redis_options(settings: &Settings, url: &SecretString) -> RedisOptions {
    let cluster = &settings.cluster;
    RedisOptions {
        url: url.expose_secret().to_owned(),
        key: cluster.redis_key.clone(),
        wire: cluster.redis_wire,
        secret: cluster
            .secret
            .as_ref()
            .map(|secret| secret.expose_secret().to_owned()),
        lease: cluster.lease,
        recovery_window: settings.recovery_window,
        longest_silence: settings.ping_interval + settings.ping_timeout,
        ..RedisOptions::default()
    }
}

/// The pauses between attempts to reach a server.
struct Pauses {
    server: &'static str,
    pause: Duration,
    has_waited: bool,
}

impl Pauses {
    const fn before(server: &'static str) -> Self {
        Self {
            server,
            pause: FIRST_PAUSE,
            has_waited: false,
        }
    }

    /// Says for what the node waits, and why.
    async fn next(&mut self, reason: &(dyn Display + Sync)) {
        let server = self.server;
        tracing::warn!(server, %reason, "the node waits for a server");
        self.has_waited = true;
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    fn over(&self) {
        if self.has_waited {
            let server = self.server;
            tracing::info!(server, "the server is there");
        }
    }
}
