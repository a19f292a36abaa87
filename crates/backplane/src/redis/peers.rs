//! What this node asks of all servers, Node servers among them, and their answers.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::{
        Broadcast,
        cluster::{Answer, ClusterRequest, ClusterResponse, Operation, RemoteSocket, Target},
    },
    event::Event,
    id::Room,
    value::Value,
};
use dashmap::DashMap;
use rand::distr::{Alphanumeric, SampleString};
use tokio::{sync::mpsc, time::Instant};

use super::{RedisBackplane, commands::unreadable};
use crate::{Asked, Peers, Result, Selection, SocketSummary, Unavailable};

/// How long servers may take to answer, as with Node's adapter.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Most questions that wait for answers.
const MAX_QUESTIONS: usize = 1_024;

/// Most answers to one question that wait to be read.
const MAX_ANSWERS: usize = 4_096;

/// Questions that wait for answers, by the id that answers name.
#[derive(Debug, Default)]
pub(super) struct Questions(Arc<DashMap<ByteString, mpsc::Sender<Answer>>>);

/// A question that waits for answers. Dropped, it does not.
struct Question {
    all: Arc<DashMap<ByteString, mpsc::Sender<Answer>>>,
    id: ByteString,
    answers: mpsc::Receiver<Answer>,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.all.remove(&self.id);
    }
}

impl Questions {
    fn ask(&self) -> Result<Question> {
        if self.0.len() >= MAX_QUESTIONS {
            return Err(Unavailable::new("too many questions to all servers wait"));
        }
        let id = ByteString::from(Alphanumeric.sample_string(&mut rand::rng(), 12));
        let (sender, answers) = mpsc::channel(MAX_ANSWERS);
        self.0.insert(id.clone(), sender);
        Ok(Question {
            all: Arc::clone(&self.0),
            id,
            answers,
        })
    }

    /// An answer has come, perhaps to another server's question.
    pub(super) fn take(&self, response: ClusterResponse) {
        if let Some(waiting) = self.0.get(&response.request_id) {
            // Who has too many answers to read misses one, as after its timeout.
            let _ = waiting.try_send(response.answer);
        }
    }
}

#[async_trait]
impl Peers for RedisBackplane {
    async fn server_count(&self) -> Result<usize> {
        self.reachable()?;
        let (channel, command) = self.codec.count_servers();
        let shard = self.shards.read().of(channel);
        let counted = self.publisher.call(shard, None, command).await?;
        let (_, servers): (String, usize) = redis::from_redis_value(counted).map_err(unreadable)?;
        Ok(servers.max(1))
    }

    async fn fetch_sockets(&self, selection: &Selection) -> Result<Vec<SocketSummary>> {
        let others = self.server_count().await? - 1;
        let mut sockets = self
            .node
            .get()
            .map_or_else(Vec::new, |node| node.sockets(selection));
        if others == 0 {
            return Ok(sockets);
        }
        let mut question = self.questions.ask()?;
        self.send_request(Some(question.id.clone()), Operation::Fetch(target(selection)))?;
        let deadline = Instant::now() + TIMEOUT;
        let mut answered = 0;
        while answered < others {
            let Ok(Some(answer)) = tokio::time::timeout_at(deadline, question.answers.recv()).await else {
                return Err(Unavailable::new("a server did not say which sockets it has"));
            };
            if let Answer::Sockets(theirs) = answer {
                sockets.extend(theirs.into_iter().map(summary));
                answered += 1;
            }
        }
        Ok(sockets)
    }

    async fn join(&self, selection: &Selection, rooms: &[Room]) -> Result<()> {
        if let Some(node) = self.node.get() {
            node.join(selection, rooms);
        }
        let operation = Operation::Join {
            target: target(selection),
            rooms: rooms.to_vec(),
        };
        self.send_request(None, operation)
    }

    async fn leave(&self, selection: &Selection, rooms: &[Room]) -> Result<()> {
        if let Some(node) = self.node.get() {
            node.leave(selection, rooms);
        }
        let operation = Operation::Leave {
            target: target(selection),
            rooms: rooms.to_vec(),
        };
        self.send_request(None, operation)
    }

    async fn disconnect(&self, selection: &Selection, close: bool) -> Result<()> {
        if let Some(node) = self.node.get() {
            node.disconnect(selection, close);
        }
        let operation = Operation::Disconnect {
            target: target(selection),
            close,
        };
        self.send_request(None, operation)
    }

    async fn ask(&self, broadcast: Broadcast, timeout: Duration) -> Result<Vec<Value>> {
        let deadline = Instant::now() + timeout;
        let others = self.server_count().await? - 1;
        let question = self.questions.ask()?;
        let operation = Operation::Broadcast {
            broadcast: broadcast.clone(),
            timeout_ms: u64::try_from(timeout.as_millis()).ok(),
        };
        self.send_request(Some(question.id.clone()), operation)?;
        let here = self.node.get().map(|node| node.ask(&broadcast, timeout));
        let (mut values, theirs) = tokio::join!(
            acks_here(here, deadline),
            acks_elsewhere(question, others, deadline)
        );
        values.extend(theirs);
        Ok(values)
    }

    async fn server_side_emit(&self, nsp: &str, args: Vec<Value>) -> Result<()> {
        self.check_namespace(nsp)?;
        self.send_request(None, Operation::ServerSideEmit(event(args)?))
    }

    async fn server_side_ask(&self, nsp: &str, args: Vec<Value>) -> Result<Vec<Value>> {
        self.check_namespace(nsp)?;
        let others = self.server_count().await? - 1;
        let mut question = self.questions.ask()?;
        self.send_request(Some(question.id.clone()), Operation::ServerSideEmit(event(args)?))?;
        let deadline = Instant::now() + TIMEOUT;
        let mut values = Vec::new();
        while values.len() < others
            && let Ok(Some(answer)) = tokio::time::timeout_at(deadline, question.answers.recv()).await
        {
            if let Answer::ServerSideEmit(value) = answer {
                values.push(value);
            }
        }
        Ok(values)
    }
}

/// Reads the acks of this node's own sockets.
async fn acks_here(here: Option<Asked>, deadline: Instant) -> Vec<Value> {
    let mut values = Vec::new();
    let Some(Asked { mut answers, .. }) = here else {
        return values;
    };
    while let Ok(Some(value)) = tokio::time::timeout_at(deadline, answers.recv()).await {
        values.push(value);
    }
    values
}

/// Reads the acks of `others` servers' sockets: each first says how many there will be.
async fn acks_elsewhere(mut question: Question, others: usize, deadline: Instant) -> Vec<Value> {
    let (mut counted, mut sockets) = (0, 0_u64);
    let mut values = Vec::new();
    while counted < others || u64::try_from(values.len()).unwrap_or(u64::MAX) < sockets {
        match tokio::time::timeout_at(deadline, question.answers.recv()).await {
            Ok(Some(Answer::ClientCount(count))) => {
                counted += 1;
                sockets = sockets.saturating_add(count);
            }
            Ok(Some(Answer::Ack(value))) => values.push(value),
            Ok(Some(_)) => (),
            Ok(None) | Err(_) => break,
        }
    }
    values
}

impl RedisBackplane {
    fn send_request(&self, id: Option<ByteString>, operation: Operation) -> Result<()> {
        self.reachable()?;
        let request = ClusterRequest {
            uid: Some(self.keyring.ring().identity.uid.clone()),
            id,
            operation,
        };
        let outgoing = self
            .codec
            .request(&request)
            .ok_or_else(|| Unavailable::new("servers with this adapter cannot be asked that"))?;
        if self.post(&outgoing.channel, &outgoing.payload) {
            return Ok(());
        }
        Err(Unavailable::new("too much waits to be sent to Redis"))
    }

    fn check_namespace(&self, nsp: &str) -> Result<()> {
        if self.options.nsp == nsp {
            return Ok(());
        }
        Err(Unavailable::new("the namespace is not served"))
    }
}

fn target(selection: &Selection) -> Target {
    Target {
        rooms: selection.rooms.clone(),
        except: selection.except.clone(),
    }
}

fn event(args: Vec<Value>) -> Result<Event> {
    match args.first() {
        Some(Value::String(_)) => Ok(args),
        _ => Err(Unavailable::new("an event begins with its name")),
    }
}

fn summary(socket: RemoteSocket) -> SocketSummary {
    SocketSummary {
        rooms: socket
            .rooms
            .into_iter()
            .filter(|room| room.as_str() != &*socket.id)
            .collect(),
        id: socket.id,
        data: Value::Object(socket.data),
        address: socket.handshake.address,
        issued: socket.handshake.issued.as_millis(),
    }
}
