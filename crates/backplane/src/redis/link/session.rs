//! The connections of one run of the link: two to each server, one for what comes and one for what goes out.

use std::sync::Arc;

use bytestring::ByteString;
use carillon_protocol::id::Room;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, aio::MultiplexedConnection};
use tokio_util::sync::CancellationToken;

use crate::{
    Result,
    redis::{
        RedisBackplane,
        commands::{TIMEOUT, in_time},
        receiver::Receiver,
        shards::Shards,
    },
};

/// Channels in one pipeline.
const BATCH: usize = 500;

/// It ends with the value, and everything that belongs to it with it.
pub(in crate::redis) struct Session {
    pub(super) shards: Arc<Shards>,
    /// One for each server.
    subscribers: Vec<MultiplexedConnection>,
    /// Cancelled when one of the connections ends.
    pub(super) lost: CancellationToken,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.lost.cancel();
    }
}

impl RedisBackplane {
    /// Connects to all servers. What comes is handed over under the number `session`.
    pub(super) async fn open_session(self: &Arc<Self>, session: u64, shards: Arc<Shards>) -> Result<Session> {
        let mut opened = Session {
            shards: Arc::clone(&shards),
            subscribers: Vec::new(),
            lost: CancellationToken::new(),
        };
        let mut outgoing = Vec::new();
        for server in shards.servers() {
            let receiver = Receiver {
                backplane: Arc::clone(self),
                session,
                lost: opened.lost.clone(),
            };
            let settings = server.redis_settings().clone();
            let incoming = server
                .clone()
                .set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3));
            let config = connection_config().set_push_sender(receiver);
            opened.subscribers.push(connect(&incoming, &config).await?);
            outgoing.push(connect(server, &connection_config()).await?);
        }
        for outlet in self.publisher.open(outgoing) {
            let lost = opened.lost.clone();
            let work = async move {
                tokio::select! {
                    error = outlet.run() => tracing::debug!(%error, "nothing goes out any more"),
                    () = lost.cancelled() => (),
                }
                lost.cancel();
            };
            if let Some(tasks) = self.tasks.get() {
                tasks.spawn(work);
            }
        }
        Ok(opened)
    }

    /// Subscribes to all that this node has to hear.
    pub(super) async fn subscribe_all(&self, session: &mut Session, probes: Vec<String>) -> Result<()> {
        let mut channels = self.codec.fixed_channels(&self.keyring.ring().identity);
        channels.push(self.own_channel.as_str().into());
        channels.push(self.membership_channel.as_str().into());
        channels.extend(probes.into_iter().map(ByteString::from));
        session.change(self.codec.subscribing(), &channels).await?;
        if let (Some(pattern), Some(subscriber)) = (
            self.codec.private_rooms(&self.tag),
            session.subscribers.first_mut(),
        ) {
            in_time(async { Ok(subscriber.psubscribe(&*pattern).await?) }).await?;
        }
        self.subscriptions.lose();
        self.subscribe_wanted(session).await
    }

    /// Subscribes to the rooms that have got sockets.
    pub(super) async fn subscribe_wanted(&self, session: &mut Session) -> Result<()> {
        loop {
            let rooms = self.subscriptions.take_wanted(BATCH);
            if rooms.is_empty() {
                return Ok(());
            }
            session
                .change(self.codec.subscribing(), &self.channels_of(&rooms))
                .await?;
            self.subscriptions.confirm(&rooms);
        }
    }

    /// Ends the subscriptions to rooms without sockets.
    pub(super) async fn unsubscribe_abandoned(&self, session: &mut Session) -> Result<()> {
        let rooms = self.subscriptions.take_abandoned(BATCH);
        session
            .change(self.codec.unsubscribing(), &self.channels_of(&rooms))
            .await
    }

    fn channels_of(&self, rooms: &[Room]) -> Vec<ByteString> {
        rooms
            .iter()
            .filter_map(|room| self.codec.channel_of(room))
            .collect()
    }
}

impl Session {
    /// One command for each channel: each is confirmed once, whichever the dialect.
    async fn change(&mut self, command: &str, channels: &[ByteString]) -> Result<()> {
        for (number, subscriber) in self.subscribers.iter_mut().enumerate() {
            let mut pipeline = redis::Pipeline::new();
            for channel in channels
                .iter()
                .filter(|channel| self.shards.of(channel) == number)
            {
                pipeline.cmd(command).arg(&**channel).ignore();
            }
            if !pipeline.is_empty() {
                in_time(async { Ok(pipeline.query_async::<()>(subscriber).await?) }).await?;
            }
        }
        Ok(())
    }
}

async fn connect(server: &ConnectionInfo, config: &AsyncConnectionConfig) -> Result<MultiplexedConnection> {
    in_time(async {
        let client = Client::open(server.clone())?;
        Ok(client
            .get_multiplexed_async_connection_with_config(config)
            .await?)
    })
    .await
}

/// Answers may take longer than probes: it is those that tell whether Redis is frozen.
fn connection_config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT * 4))
}
