//! The connections that read, side by side with the writer and with each other.

use std::{path::Path, sync::OnceLock, time::Duration};

use deadpool_sqlite::{Config, Hook, HookError, Object, Pool, Runtime};
use rusqlite::Connection;
use tokio::runtime::Handle;

use super::{
    OpenError,
    error::{corrupt, unavailable},
};
use crate::{Result, StoreError};

/// How long a read waits for a free connection.
const WAIT: Duration = Duration::from_secs(5);

/// A few connections that cannot write.
#[derive(Debug)]
pub(super) struct Readers {
    pool: Pool,
    /// Where the pool closes its connections; it knows no other place than the current runtime, and a store may be
    /// dropped outside one.
    runtime: OnceLock<Handle>,
}

impl Readers {
    /// Makes the pool; it opens its connections, `size` at most, when they are needed.
    pub(super) fn new(
        path: &Path,
        size: usize,
        busy_timeout: Duration,
    ) -> std::result::Result<Self, OpenError> {
        let configure = Hook::sync_fn(move |connection, _| {
            let connection = connection
                .lock()
                .map_err(|_| HookError::message("the connection is poisoned"))?;
            configure(&connection, busy_timeout).map_err(HookError::Backend)
        });
        let Ok(builder) = Config::new(path).builder(Runtime::Tokio1);
        let pool = builder
            .max_size(size)
            .wait_timeout(Some(WAIT))
            .post_create(configure)
            .build()?;
        Ok(Self {
            pool,
            runtime: OnceLock::new(),
        })
    }

    /// Runs `work` on a connection. What was committed before is seen; a transaction it opens sees one state throughout.
    pub(super) async fn run<Value, Work>(&self, work: Work) -> Result<Value>
    where
        Value: Send + 'static,
        Work: FnOnce(&mut Connection) -> Result<Value> + Send + 'static,
    {
        self.runtime.get_or_init(Handle::current);
        let connection = self.pool.get().await.map_err(unavailable)?;
        let outcome = connection
            .interact(work)
            .await
            .map_err(|error| corrupt(error.to_string()))
            .flatten();
        if let Err(StoreError::Unavailable { reason }) = &outcome {
            tracing::warn!(reason, "store read failed");
            // The next read opens a new one, in case this one can never work again.
            drop(Object::take(connection));
        }
        outcome
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let _entered = self.runtime.get().map(Handle::enter);
        self.pool.close();
    }
}

/// Sets what holds for every read; touches no file, so it does not block.
fn configure(connection: &Connection, busy_timeout: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(super::CACHED_STATEMENTS);
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;")
}
