//! Messages: sent once, read in order.

mod announce;
mod sending;

use std::sync::Arc;

use carillon_backplane::Backplane;
use carillon_protocol::{
    chat::Pair,
    event,
    id::{ObjectId, Room, UserId},
    message::Message,
    problem::{Code, Problem},
    time::Timestamp,
    value::Value,
};
use carillon_store::{
    Store,
    messages::{HistoryPage, MarkOutcome},
};
use tokio_util::task::TaskTracker;

pub use self::sending::SendRequest;
use self::{announce::Local, sending::Sending};
use super::{Measures, Result, backlog::Backlog, batches::Batches, broadcast, lanes::Lanes, store_problem};
use crate::{clock::Clock, gaps::Gaps};

/// Sending, reading and marking messages.
pub struct Messages {
    store: Arc<dyn Store>,
    backplane: Arc<dyn Backplane>,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    /// A chat's sends on this node are stored batch by batch.
    sends: Arc<Batches<Pair, Sending>>,
    /// A chat's messages on this node are announced one after the other; across nodes the backplane keeps order.
    announcements: Lanes<Pair>,
    /// What only this node's sockets have.
    local: Backlog<Pair, Local>,
    measures: Measures,
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}

impl Messages {
    /// Over a store, a backplane and a clock. As long as only this node's sockets have something there is one of `gaps`. `tasks`
    /// owns what stores and announces.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        backplane: Arc<dyn Backplane>,
        clock: Arc<dyn Clock>,
        gaps: Gaps,
        tasks: TaskTracker,
        measures: Measures,
    ) -> Self {
        Self {
            store,
            backplane,
            clock,
            tasks,
            sends: Arc::default(),
            announcements: Lanes::default(),
            local: Backlog::new(gaps),
            measures,
        }
    }

    /// Marks one message as read by its receiver and tells the chat's room, except the sockets in room `except`, every
    /// time it is asked. Answers with the time that is announced: now, also where it was read before.
    ///
    /// # Errors
    /// `not_found` for an unknown message, `forbidden` for anyone but its receiver; where the store fails.
    pub async fn mark_read(
        &self,
        reader: &UserId,
        chat: &Pair,
        message: ObjectId,
        except: Option<Room>,
    ) -> Result<Timestamp> {
        let now = self.clock.now();
        let outcome = self
            .store
            .mark_message_read(chat, message, reader, now)
            .await
            .map_err(store_problem)?;
        match outcome {
            MarkOutcome::Marked(_) => {}
            MarkOutcome::Unknown => return Err(Problem::new(Code::NotFound, "no such message in this chat")),
            MarkOutcome::NotReceiver => {
                return Err(Problem::new(
                    Code::Forbidden,
                    "only its receiver marks a message as read",
                ));
            }
        }

        let event = vec![
            Value::from("messageRead"),
            event::message_read(message, reader, now).into(),
        ];
        let announced = self
            .backplane
            .publish(broadcast(event, vec![chat.room()], except.into_iter().collect()))
            .await;
        if let Err(error) = announced {
            tracing::warn!(%message, reason = error.reason, "message marked as read but not announced");
        }
        Ok(now)
    }

    /// Page `page` (from 1) of a history, newest first.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn history(&self, chat: &Pair, page: u64, limit: u32) -> Result<HistoryPage> {
        self.store
            .history_page(chat, page, limit)
            .await
            .map_err(store_problem)
    }

    /// What came after `seq`, oldest first, and whether there is more.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn history_after(&self, chat: &Pair, seq: u64, limit: u32) -> Result<(Vec<Message>, bool)> {
        let one_more = limit.saturating_add(1);
        let mut messages = self
            .store
            .history_after(chat, seq, one_more)
            .await
            .map_err(store_problem)?;
        let page = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = messages.len() > page;
        messages.truncate(page);
        Ok((messages, has_more))
    }

    /// Marks every message of the chat that waits for `reader` as read.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn mark_all_read(&self, chat: &Pair, reader: &UserId) -> Result<()> {
        let now = self.clock.now();
        self.store
            .mark_chat_read(chat, reader, now)
            .await
            .map_err(store_problem)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
