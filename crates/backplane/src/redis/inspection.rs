//! A look at a Redis before a node depends on it: whether it answers, does what nodes need of it, and is set up for them.

use std::{sync::Arc, time::Duration};

use rand::distr::{Alphanumeric, SampleString};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, PushInfo,
    PushKind, Value, aio::MultiplexedConnection, cmd,
};
use tokio::{sync::Notify, time::Instant};

use super::{
    RedisOptions,
    channels::Names,
    codec::Codec,
    commands::{TIMEOUT, in_time, unreadable},
    shards::Shards,
};
use crate::{Result, Unavailable};

/// How long what a look writes stays, in milliseconds.
const MARK_MS: u64 = 1_000;
/// Writes a key as nodes do, by a script.
const MARK: &str = "return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])";

/// What was found. What a server does not tell (hosted ones hide their configuration) is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Its version.
    pub version: String,
    /// How many servers it is made of: more than one, or one of a Redis Cluster that is as small.
    pub servers: usize,
    /// Whether it is a Redis Cluster.
    pub is_cluster: bool,
    /// Its clock, in milliseconds since 1970.
    pub time_ms: i64,
    /// How long an event took from here to Redis and back.
    pub echo: Duration,
    /// What it does when its memory is used up: `noeviction`, `allkeys-lru` …
    pub eviction: Option<String>,
    /// How far a subscriber may lag behind before Redis closes its connection.
    pub subscriber_buffer: Option<SubscriberBuffer>,
}

/// `client-output-buffer-limit pubsub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriberBuffer {
    /// More bytes than that close the connection at once; 0: as many as there are.
    pub hard_bytes: u64,
    /// More bytes than that close it when they stay for [`SubscriberBuffer::soft_seconds`]; 0: none do.
    pub soft_bytes: u64,
    /// See there.
    pub soft_seconds: u64,
}

/// Looks at the Redis that `options` name: writes a key that lapses by itself, and hears what it says on a channel of its
/// own. No node of the cluster notices.
///
/// # Errors
/// Where it does not answer, or cannot be used: then with the reason.
pub async fn inspect(options: &RedisOptions) -> Result<Inspection> {
    let seed = options.url.as_str().into_connection_info()?;
    let shards = Shards::discover(std::slice::from_ref(&seed), options.wire).await?;
    let id = Alphanumeric.sample_string(&mut rand::rng(), 16);
    let channel = Names::new(&options.key).node_channel(&format!("check-{id}"));
    let server = shards.server_of(&channel)?;
    let mut connection = connect(server, &AsyncConnectionConfig::new()).await?;

    in_time(mark(&mut connection, &channel)).await?;
    let info: String = ask(&mut connection, &["INFO", "server"]).await?;
    let [seconds, micros]: [i64; 2] = ask(&mut connection, &["TIME"]).await?;
    Ok(Inspection {
        version: version(&info).unwrap_or_else(|| "of an unknown version".to_owned()),
        servers: shards.servers().len(),
        is_cluster: shards.is_cluster(),
        time_ms: seconds.saturating_mul(1_000).saturating_add(micros / 1_000),
        echo: echo(server, &mut connection, options, &channel).await?,
        eviction: setting(&mut connection, "maxmemory-policy").await,
        subscriber_buffer: setting(&mut connection, "client-output-buffer-limit")
            .await
            .and_then(|limits| subscriber_buffer(&limits)),
    })
}

async fn mark(connection: &mut MultiplexedConnection, key: &str) -> Result<()> {
    let mut script = cmd("EVAL");
    script.arg(MARK).arg(1).arg(key).arg("").arg(MARK_MS);
    Ok(script.query_async(connection).await?)
}

/// Publishes to itself, by the commands and the protocol that nodes use, and measures how long that takes.
async fn echo(
    server: &ConnectionInfo,
    outgoing: &mut MultiplexedConnection,
    options: &RedisOptions,
    channel: &str,
) -> Result<Duration> {
    let heard = Arc::new(Notify::new());
    let hearing = Arc::clone(&heard);
    let expected = Value::BulkString(channel.into());
    let receive = move |info: PushInfo| {
        if matches!(info.kind, PushKind::Message | PushKind::SMessage) && info.data.first() == Some(&expected)
        {
            hearing.notify_one();
        }
        Ok::<_, redis::aio::SendError>(())
    };
    let settings = server
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3);
    let server = server.clone().set_redis_settings(settings);
    let config = AsyncConnectionConfig::new().set_push_sender(receive);
    let mut incoming = connect(&server, &config).await?;
    let codec = Codec::new(options.wire, &options.key, options.nsp.clone());
    ask::<()>(&mut incoming, &[codec.subscribing(), channel]).await?;

    let sent = Instant::now();
    ask::<()>(outgoing, &[codec.publishing(), channel, "check"]).await?;
    let waited = tokio::time::timeout(TIMEOUT, heard.notified()).await;
    waited.map_err(|_| Unavailable::new("what is published does not come back"))?;
    Ok(sent.elapsed())
}

async fn connect(server: &ConnectionInfo, config: &AsyncConnectionConfig) -> Result<MultiplexedConnection> {
    let config = config
        .clone()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    in_time(async {
        let client = Client::open(server.clone())?;
        Ok(client
            .get_multiplexed_async_connection_with_config(&config)
            .await?)
    })
    .await
}

async fn ask<T: redis::FromRedisValue>(connection: &mut MultiplexedConnection, words: &[&str]) -> Result<T> {
    let mut command = redis::Cmd::new();
    command.arg(words);
    in_time(async { Ok(command.query_async(connection).await?) }).await
}

/// One of its settings, where it tells them.
async fn setting(connection: &mut MultiplexedConnection, name: &str) -> Option<String> {
    let answer: Value = ask(connection, &["CONFIG", "GET", name]).await.ok()?;
    let pairs: Vec<(String, String)> = redis::from_redis_value(answer).map_err(unreadable).ok()?;
    pairs.into_iter().next().map(|(_, value)| value)
}

fn version(info: &str) -> Option<String> {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))?;
    Some(line.trim().to_owned())
}

/// Reads `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`.
fn subscriber_buffer(limits: &str) -> Option<SubscriberBuffer> {
    let mut words = limits
        .split_whitespace()
        .skip_while(|word| *word != "pubsub")
        .skip(1);
    let mut number = || words.next()?.parse().ok();
    Some(SubscriberBuffer {
        hard_bytes: number()?,
        soft_bytes: number()?,
        soft_seconds: number()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_of_subscribers_is_found_among_the_others() {
        let told = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(
            subscriber_buffer(told),
            Some(SubscriberBuffer {
                hard_bytes: 33_554_432,
                soft_bytes: 8_388_608,
                soft_seconds: 60
            })
        );
        for odd in ["", "pubsub", "pubsub 1 2", "pubsub a b c", "normal 0 0 0"] {
            assert_eq!(subscriber_buffer(odd), None, "{odd}");
        }
    }
}
