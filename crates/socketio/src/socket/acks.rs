//! The answers that a socket owes the server.

use std::{collections::HashMap, time::Duration};

use carillon_protocol::value::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Most acks that one socket may owe the server.
const MAX_PENDING_ACKS: usize = 1_000;

/// Why an ack did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// Not within the time given.
    #[error("no ack in time")]
    Timeout,
    /// The socket is gone.
    #[error("the socket is gone")]
    Closed,
    /// Too many acks are awaited from this socket already.
    #[error("too many acks are pending")]
    TooMany,
}

/// Who waits for an ack.
#[derive(Debug)]
pub(super) enum Waiting {
    /// For the whole of it.
    Alone(oneshot::Sender<Vec<Value>>),
    /// For its first argument, as for that of other sockets.
    Among(mpsc::Sender<Value>),
}

impl Waiting {
    fn has_given_up(&self) -> bool {
        match self {
            Self::Alone(sender) => sender.is_closed(),
            Self::Among(sender) => sender.is_closed(),
        }
    }

    fn answer(self, args: Vec<Value>) {
        // Who waited may have given up.
        let _gone = match self {
            Self::Alone(sender) => sender.send(args).is_ok(),
            Self::Among(sender) => sender
                .try_send(args.into_iter().next().unwrap_or_default())
                .is_ok(),
        };
    }
}

#[derive(Debug, Default)]
pub(super) struct Acks {
    next: u64,
    pending: HashMap<u64, Waiting>,
}

impl Acks {
    /// The id under which the ack is to come; `None` where too many are awaited already.
    pub(super) fn expect(&mut self, waiting: Waiting) -> Option<u64> {
        self.pending.retain(|_, waiting| !waiting.has_given_up());
        if self.pending.len() >= MAX_PENDING_ACKS {
            return None;
        }
        let id = self.next;
        self.next += 1;
        self.pending.insert(id, waiting);
        Some(id)
    }

    pub(super) fn acknowledge(&mut self, id: u64, args: Vec<Value>) {
        if let Some(waiting) = self.pending.remove(&id) {
            waiting.answer(args);
        }
    }

    /// The ack will not come.
    pub(super) fn forget(&mut self, id: u64) {
        self.pending.remove(&id);
    }

    /// The id of the next event that is to be answered.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Goes on with this id.
    pub(super) const fn go_on(&mut self, next: u64) {
        self.next = next;
    }

    /// No ack will come.
    pub(super) fn clear(&mut self) {
        self.pending.clear();
    }
}

/// An event that many sockets are to answer.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(super) args: &'a [Value],
    pub(super) sender: mpsc::Sender<Value>,
    pub(super) asked: usize,
    receiver: mpsc::Receiver<Value>,
}

impl<'a> Question<'a> {
    /// For at most `sockets` sockets.
    pub(crate) fn new(args: &'a [Value], sockets: usize) -> Self {
        // There is room for all answers: nobody waits to give one.
        let (sender, receiver) = mpsc::channel(sockets.max(1));
        Self {
            args,
            sender,
            asked: 0,
            receiver,
        }
    }

    pub(crate) fn answers(self, timeout: Duration) -> Answers {
        Answers {
            count: self.asked,
            receiver: self.receiver,
            deadline: Instant::now() + timeout,
        }
    }
}

/// What sockets answer to an event of [`Hub::ask`](crate::Hub::ask).
#[derive(Debug)]
pub struct Answers {
    count: usize,
    receiver: mpsc::Receiver<Value>,
    deadline: Instant,
}

impl Answers {
    /// How many sockets were asked.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The next answer: the first argument of an ack, `Null` where it has none. `None` once all have answered or gone, or
    /// the time is over.
    pub async fn next(&mut self) -> Option<Value> {
        let next = tokio::time::timeout_at(self.deadline, self.receiver.recv()).await;
        if next.is_err() {
            // What comes later is too late.
            self.receiver.close();
        }
        next.ok().flatten()
    }
}
