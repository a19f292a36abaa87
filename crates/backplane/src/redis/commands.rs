//! Questions to Redis that need an answer: a pool of connections beside the one that events go out on, so that a long
//! answer holds no event up.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use deadpool_redis::{Connection, Manager, Pool, Runtime};
use parking_lot::RwLock;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, FromRedisValue, ParsingError, Pipeline, RedisError,
    RedisResult, ScriptInvocation, ServerErrorKind, Value,
};

use crate::{Result, Unavailable};

/// How long any command may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// Connections of the pool; each is shared by the commands of one caller at a time.
const CONNECTIONS: usize = 8;

impl From<RedisError> for Unavailable {
    fn from(error: RedisError) -> Self {
        Self {
            reason: error.to_string(),
        }
    }
}

impl Unavailable {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Commands {
    /// Leads to the home server.
    pool: RwLock<Pool>,
    /// A server answered that can do nothing for a node.
    met_useless_server: AtomicBool,
}

impl Commands {
    pub(super) fn new(server: ConnectionInfo) -> Result<Self> {
        Ok(Self {
            pool: RwLock::new(pool(server)?),
            met_useless_server: AtomicBool::new(false),
        })
    }

    /// Begins anew, with connections to `server`: those there are may lead to one that is gone.
    pub(super) fn lead_to(&self, server: ConnectionInfo) -> Result<()> {
        *self.pool.write() = pool(server)?;
        self.met_useless_server.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Runs one command.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        in_time(async {
            let mut connection = self.connection().await?;
            self.judge(command.query_async(&mut connection).await)
        })
        .await
    }

    /// Runs several, in one round trip.
    pub(super) async fn pipeline<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T> {
        in_time(async {
            let mut connection = self.connection().await?;
            self.judge(commands.query_async(&mut connection).await)
        })
        .await
    }

    /// Runs a script, which Redis is given again where it has forgotten it.
    pub(super) async fn script<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T> {
        in_time(async {
            let mut connection = self.connection().await?;
            self.judge(call.invoke_async(&mut connection).await)
        })
        .await
    }

    /// Whether the server has turned out to be one that can do nothing for a node, since the last
    /// [`Commands::lead_to`].
    pub(super) fn met_useless_server(&self) -> bool {
        self.met_useless_server.load(Ordering::Relaxed)
    }

    fn judge<T>(&self, answer: RedisResult<T>) -> Result<T> {
        if answer.as_ref().is_err_and(is_useless_server) {
            self.met_useless_server.store(true, Ordering::Relaxed);
        }
        Ok(answer?)
    }

    async fn connection(&self) -> Result<Connection> {
        let pool = self.pool.read().clone();
        pool.get()
            .await
            .map_err(|error| Unavailable::new(error.to_string()))
    }
}

fn pool(server: ConnectionInfo) -> Result<Pool> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    Pool::builder(Manager::new_with_config(server, settings)?)
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Unavailable::new(error.to_string()))
}

/// The answer, if it comes within [`TIMEOUT`].
pub(super) async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(Unavailable::new("Redis does not answer")))
}

/// Whether the server has become one that can do nothing for a node: a replica since a failover, not yet ready, or
/// without the slot that it was asked for.
pub(super) fn is_useless_server(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        redis::ErrorKind::Server(
            ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::ClusterDown
        )
    )
}

/// Splits a script's answer into a yes or no and a list.
pub(super) fn first_and_rest<T: FromRedisValue>(answer: Vec<Value>) -> Result<(bool, Vec<T>)> {
    let mut answer = answer.into_iter();
    let first = answer
        .next()
        .ok_or_else(|| Unavailable::new("a script's answer is empty"))?;
    let read = |value| redis::from_redis_value(value).map_err(unreadable);
    Ok((
        redis::from_redis_value(first).map_err(unreadable)?,
        answer.map(read).collect::<Result<_>>()?,
    ))
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err gives")]
pub(super) fn unreadable(error: ParsingError) -> Unavailable {
    Unavailable::new(error.to_string())
}
