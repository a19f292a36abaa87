//! What goes out: for each server one task writes all that waits as one pipeline, and the next when that is answered. So the busier a
//! node is, the less a message costs.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use parking_lot::RwLock;
use redis::{Cmd, RedisError, RedisResult, Script, ServerErrorKind, Value, aio::MultiplexedConnection};
use tokio::sync::{mpsc, oneshot};

use super::commands::{in_time, is_useless_server};
use crate::{Result, Unavailable};

/// Most commands that wait.
const MAX_WAITING: usize = 8192;

/// Most bytes that wait.
const MAX_WAITING_BYTES: usize = 32 << 20;

/// Most commands in one pipeline.
const MAX_BATCH: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Publisher {
    /// One for each server; none while there are no connections.
    queues: RwLock<Vec<mpsc::Sender<Entry>>>,
    waiting_bytes: Arc<AtomicUsize>,
    published: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    command: Cmd,
    /// The script it calls, to be loaded where Redis has forgotten it.
    script: Option<Arc<Script>>,
    answer: Option<oneshot::Sender<RedisResult<Value>>>,
    bytes: Bytes,
}

/// Bytes that wait, given back when dropped.
#[derive(Debug)]
struct Bytes {
    count: usize,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.count, Ordering::Relaxed);
    }
}

impl Publisher {
    /// Hands over an event that may be dropped: where there is no connection, or no room for it in time.
    pub(super) async fn offer(&self, shard: usize, command: Cmd) {
        let queue = self.queues.read().get(shard).cloned();
        let sent = match queue.zip(self.entry(command, None, None)) {
            Some((queue, entry)) => in_time(async { Ok(queue.send(entry).await.is_ok()) }).await,
            None => Ok(false),
        };
        let is_sent = sent.unwrap_or(false);
        let counter = if is_sent { &self.published } else { &self.dropped };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands over what nobody waits for. Answers whether it will be sent.
    pub(super) fn post(&self, shard: usize, command: Cmd) -> bool {
        let queues = self.queues.read();
        let entry = self.entry(command, None, None);
        queues
            .get(shard)
            .zip(entry)
            .is_some_and(|(queue, entry)| queue.try_send(entry).is_ok())
    }

    /// Runs a command, in order with all that was handed over before. `script` is the one that it calls, if any.
    pub(super) async fn call(
        &self,
        shard: usize,
        script: Option<&Arc<Script>>,
        command: Cmd,
    ) -> Result<Value> {
        let (sender, answer) = oneshot::channel();
        let queue = self.queues.read().get(shard).cloned();
        let entry = self.entry(command, script.cloned(), Some(sender));
        let (Some(queue), Some(entry)) = (queue, entry) else {
            return Err(Unavailable::new("there is no way out to Redis now"));
        };
        in_time(async {
            queue.send(entry).await.map_err(|_| lost())?;
            Ok(answer.await.map_err(|_| lost())??)
        })
        .await
    }

    /// Events given to Redis.
    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Counts events that went out by [`Publisher::call`].
    pub(super) fn count(&self, events: usize) {
        self.published
            .fetch_add(u64::try_from(events).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Volatile events that were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes a new connection to each server. What is handed over from now on goes out when each answer is [`Outlet::run`].
    pub(super) fn open(&self, connections: Vec<MultiplexedConnection>) -> Vec<Outlet> {
        let (queues, outlets) = connections
            .into_iter()
            .map(|connection| {
                let (sender, waiting) = mpsc::channel(MAX_WAITING);
                (sender, Outlet { connection, waiting })
            })
            .unzip();
        *self.queues.write() = queues;
        outlets
    }

    /// Takes nothing more. Who waits for an answer is told that there is none.
    pub(super) fn close(&self) {
        self.queues.write().clear();
    }

    fn entry(
        &self,
        command: Cmd,
        script: Option<Arc<Script>>,
        answer: Option<oneshot::Sender<RedisResult<Value>>>,
    ) -> Option<Entry> {
        let count = command.args_iter().map(|arg| size(&arg)).sum();
        let before = self.waiting_bytes.fetch_add(count, Ordering::Relaxed);
        let bytes = Bytes {
            count,
            waiting: Arc::clone(&self.waiting_bytes),
        };
        // One command of any size fits an empty queue.
        (before == 0 || before + count <= MAX_WAITING_BYTES).then_some(Entry {
            command,
            script,
            answer,
            bytes,
        })
    }
}

const fn size(arg: &redis::Arg<&[u8]>) -> usize {
    match arg {
        redis::Arg::Simple(bytes) => bytes.len(),
        _ => 0,
    }
}

/// The writing end of one connection.
#[derive(Debug)]
pub(super) struct Outlet {
    connection: MultiplexedConnection,
    waiting: mpsc::Receiver<Entry>,
}

impl Outlet {
    /// Writes what is handed over, until that fails or the publisher is closed.
    pub(super) async fn run(mut self) -> RedisError {
        let mut batch = Vec::new();
        loop {
            if self.waiting.recv_many(&mut batch, MAX_BATCH).await == 0 {
                return closed();
            }
            if let Err(error) = self.write(&mut batch).await {
                return error;
            }
        }
    }

    async fn write(&mut self, batch: &mut Vec<Entry>) -> RedisResult<()> {
        let mut pipeline = redis::Pipeline::with_capacity(batch.len());
        for entry in batch.iter_mut() {
            pipeline.add_command(std::mem::take(&mut entry.command));
        }
        let answers = self
            .connection
            .send_packed_commands(&pipeline, 0, batch.len())
            .await?;
        let commands = pipeline.cmd_iter();
        for ((entry, command), answer) in batch.drain(..).zip(commands).zip(answers) {
            let answer = match (answer.extract_error(), &entry.script) {
                (Err(error), Some(script)) if is_forgotten_script(&error) => {
                    script.prepare_invoke().load_async(&mut self.connection).await?;
                    self.connection
                        .send_packed_command(command)
                        .await?
                        .extract_error()
                }
                (answer, _) => answer,
            };
            if let Err(error) = &answer
                && is_useless_server(error)
            {
                return Err(error.clone());
            }
            if let Some(waiting) = entry.answer {
                // Who does not wait any more needs no answer.
                let _ = waiting.send(answer);
            }
            drop(entry.bytes);
        }
        Ok(())
    }
}

fn lost() -> Unavailable {
    Unavailable::new("the connection to Redis was lost")
}

fn closed() -> RedisError {
    RedisError::from((redis::ErrorKind::Client, "the publisher is closed"))
}

fn is_forgotten_script(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
}
