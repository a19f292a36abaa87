//! Numbering and inserting a group's messages.

use std::time::Duration;

use backon::BackoffBuilder;
use futures_util::future::{join_all, try_join_all};
use mongodb::bson::{RawDocumentBuf, serialize_to_raw_document_buf};

use super::{
    Flight,
    known::{self, Found},
};
use crate::mongo::{
    commands::{self, Fault, Order},
    documents::StoredMessage,
    error::{Cause, Failure},
    retry,
    schema::{Collections, MESSAGES},
};

/// With up to this many messages a chat takes part in the command that many chats share, one by one; with more it gets
/// a command of its own.
const FEW: usize = 3;

/// Messages of one chat, numbered one after the other.
struct Attempt {
    /// Its place in the flight.
    chat: usize,
    messages: Vec<StoredMessage>,
}

/// One command.
struct Batch {
    order: Order,
    attempts: Vec<Attempt>,
}

/// An attempt of which it is not known how much is stored.
struct Doubt {
    chat: usize,
    /// How many of those that wait first.
    messages: usize,
}

impl Batch {
    async fn insert(&self, collections: &Collections) -> Result<Vec<Fault>, Failure> {
        let messages = self.attempts.iter().flat_map(|attempt| &attempt.messages);
        let documents: Vec<RawDocumentBuf> = messages
            .map(serialize_to_raw_document_buf)
            .collect::<Result<_, _>>()?;
        commands::insert(&collections.database, MESSAGES, &documents, self.order).await
    }
}

impl Flight {
    /// Inserts everything that waits.
    pub(super) async fn insert(&mut self) -> Result<(), Failure> {
        let mut pauses = retry::pauses().without_max_times().build();
        loop {
            let batches = self.batches();
            if batches.is_empty() {
                return Ok(());
            }
            let inserted = join_all(batches.iter().map(|batch| batch.insert(&self.collections))).await;
            let mut doubts = Vec::new();
            for (batch, outcome) in batches.into_iter().zip(inserted) {
                self.take_in(batch, outcome, &mut doubts)?;
            }
            if !doubts.is_empty() && !self.clear_up(&doubts).await? {
                // What was in the way is not to be seen yet.
                tokio::time::sleep(pauses.next().unwrap_or(Duration::from_millis(200))).await;
            }
        }
    }

    /// Numbers the next messages of every chat.
    fn batches(&self) -> Vec<Batch> {
        let mut shared = Vec::new();
        let mut batches = Vec::new();
        for (index, chat) in self.chats.iter().enumerate() {
            if chat.waiting.is_empty() {
                continue;
            }
            let few = chat.waiting.len() <= FEW;
            let mut newest = chat.newest;
            let next = chat.waiting.iter().take(if few { 1 } else { usize::MAX });
            let messages = next.map(|append| {
                let message = StoredMessage::new(&append.message, newest.seq.saturating_add(1), newest.at);
                newest.see(&message);
                message
            });
            let attempt = Attempt {
                chat: index,
                messages: messages.collect(),
            };
            if few {
                shared.push(attempt);
            } else {
                batches.push(Batch {
                    order: Order::Ordered,
                    attempts: vec![attempt],
                });
            }
        }
        if !shared.is_empty() {
            batches.push(Batch {
                order: Order::Unordered,
                attempts: shared,
            });
        }
        batches
    }

    /// Notes what a command stored.
    fn take_in(
        &mut self,
        batch: Batch,
        outcome: Result<Vec<Fault>, Failure>,
        doubts: &mut Vec<Doubt>,
    ) -> Result<(), Failure> {
        let mut faults = match outcome {
            Ok(faults) => faults,
            Err(failure) if failure.passes() => {
                doubts.extend(batch.attempts.iter().map(|attempt| Doubt {
                    chat: attempt.chat,
                    messages: attempt.messages.len(),
                }));
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        let mut first = 0;
        for Attempt { chat, messages } in batch.attempts {
            let end = first + messages.len();
            let fault = faults
                .extract_if(.., |fault| (first..end).contains(&fault.index))
                .next();
            let stored = fault.as_ref().map_or(messages.len(), |fault| fault.index - first);
            first = end;
            let Some(chat_state) = self.chats.get_mut(chat) else {
                continue;
            };
            for (append, message) in chat_state.waiting.drain(..stored).zip(messages) {
                chat_state.newest.see(&message);
                self.stored.push((append, message));
            }
            match fault.map(|fault| fault.failure) {
                Some(failure) if failure.passes() || failure.cause == Cause::Taken => {
                    doubts.push(Doubt { chat, messages: 1 });
                }
                Some(failure) => {
                    if let Some(append) = chat_state.waiting.pop_front() {
                        append.failed(failure);
                    }
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Finds out which messages of doubtful attempts are stored, and what is the newest in their chats now. Answers
    /// whether anything came of it.
    async fn clear_up(&mut self, doubts: &[Doubt]) -> Result<bool, Failure> {
        let mut suspects = Vec::new();
        for doubt in doubts {
            if let Some(chat) = self.chats.get_mut(doubt.chat) {
                let first = chat.waiting.drain(..doubt.messages.min(chat.waiting.len()));
                suspects.extend(first.map(|append| (doubt.chat, append)));
            }
        }
        let appends = suspects.iter().map(|(_, append)| append);
        let found = Found::look_up(&self.collections, &self.announcements, appends).await?;
        let mut cleared = false;
        for (chat, append) in suspects.into_iter().rev() {
            match self.sort_out(append, &found) {
                Some(append) => {
                    if let Some(chat) = self.chats.get_mut(chat) {
                        chat.waiting.push_front(append);
                    }
                }
                None => cleared = true,
            }
        }
        let collections = &self.collections;
        let chats = doubts
            .iter()
            .filter_map(|doubt| Some((doubt.chat, self.chats.get(doubt.chat)?)));
        let newer = chats.map(|(index, chat)| async move {
            let newer = known::newer(collections, &chat.key, chat.newest).await?;
            Ok::<_, Failure>((index, newer))
        });
        for (index, newer) in try_join_all(newer).await? {
            if let (Some(chat), Some(newer)) = (self.chats.get_mut(index), newer) {
                chat.newest = newer;
                cleared = true;
            }
        }
        Ok(cleared)
    }
}
