//! Messages: sent once, read in order.

mod announce;

use std::sync::Arc;

use bytestring::ByteString;
use carillon_backplane::Backplane;
use carillon_protocol::{
    chat::Pair,
    event,
    id::{ObjectId, Room, UserId},
    limits,
    message::{Message, NewMessage},
    notification::{Metadata, NewNotification, NotificationKind, Priority},
    problem::{Code, Problem},
    text,
    time::Timestamp,
    value::Value,
};
use carillon_store::{
    Store,
    messages::{AppendOutcome, HistoryPage, MarkOutcome},
};
use tokio::time::Instant;
use tracing::Instrument as _;

use self::announce::Local;
use super::{Measures, Result, backlog::Backlog, broadcast, lanes::Lanes, store_problem};
use crate::{
    clock::Clock,
    gaps::Gaps,
    telemetry::{
        metrics::{NotificationOutcome, SendOutcome},
        traces,
    },
};

/// What `sendMessage` asks for, validated.
#[derive(Debug, Clone)]
pub struct SendRequest {
    /// Who receives.
    pub receiver: UserId,
    /// The trimmed text, 1 to 1000 code units.
    pub text: ByteString,
    /// The sender's display name.
    pub sender_name: ByteString,
    /// The receiver's display name.
    pub receiver_name: ByteString,
    /// The sender's own id for it.
    pub client_message_id: Option<ByteString>,
}

/// Sending, reading and marking messages.
pub struct Messages {
    store: Arc<dyn Store>,
    backplane: Arc<dyn Backplane>,
    clock: Arc<dyn Clock>,
    /// A chat's sends on this node are stored and announced one after the other; across nodes the backplane keeps order.
    sends: Lanes<Pair>,
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
    /// Over a store, a backplane and a clock. As long as only this node's sockets have something there is one of `gaps`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        backplane: Arc<dyn Backplane>,
        clock: Arc<dyn Clock>,
        gaps: Gaps,
        measures: Measures,
    ) -> Self {
        Self {
            store,
            backplane,
            clock,
            sends: Lanes::default(),
            local: Backlog::new(gaps),
            measures,
        }
    }

    /// Stores a message and its notification, then announces both: `receiveMessage` to the chat's room, `notification`
    /// to the receiver's sockets. A resend under the same `client_message_id` stores nothing and is announced only where
    /// the first never was. Messages of one chat are announced in the order of `seq`, whichever nodes they are sent by.
    /// Where the backplane fails the message is stored all the same, and a resend announces it. Where the other nodes are out
    /// of reach this node's sockets are given it, and the others' by [`Services::announce_backlog`](super::Services::announce_backlog).
    ///
    /// # Errors
    /// `unavailable` or `internal` where the store fails; nothing was stored then.
    pub async fn send(&self, sender: &UserId, request: SendRequest) -> Result<Message> {
        let (accepted_at, bytes) = (Instant::now(), request.text.len());
        let sent = self.store_and_announce(sender, request, accepted_at).await;
        let outcome = match sent.as_ref().map(|(_, outcome)| outcome) {
            Ok(AppendOutcome::Stored) => SendOutcome::Ok,
            Ok(AppendOutcome::Duplicate | AppendOutcome::DuplicateUnannounced) => SendOutcome::Duplicate,
            Err(_) => SendOutcome::ServerError,
        };
        let events = &self.measures.metrics.events;
        events.sent(outcome, bytes, accepted_at.elapsed());
        match outcome {
            SendOutcome::Ok => events.notified(NotificationOutcome::Live),
            SendOutcome::ServerError => events.notified(NotificationOutcome::Failed),
            SendOutcome::Duplicate | SendOutcome::ClientError => {}
        }
        sent.map(|(message, _)| message)
    }

    async fn store_and_announce(
        &self,
        sender: &UserId,
        request: SendRequest,
        accepted_at: Instant,
    ) -> Result<(Message, AppendOutcome)> {
        let chat = Pair::new(sender.clone(), request.receiver.clone());
        let place = self.sends.join(&chat);
        let _turn = place.turn().await;

        let new = self.new_message(sender, request);
        let appended = self.store.append_message(new).await.map_err(store_problem)?;
        match appended.outcome {
            AppendOutcome::Duplicate => {}
            // This node's sockets have it, and the others get it when they are in reach.
            AppendOutcome::DuplicateUnannounced if self.is_local(&appended.message) => {}
            AppendOutcome::Stored | AppendOutcome::DuplicateUnannounced => {
                let (id, span) = (appended.message.id, traces::publish_span());
                let _on_its_way = span.in_scope(|| self.measures.accepted.announce(id, accepted_at));
                self.announce(&appended).instrument(span.clone()).await;
            }
        }
        Ok((appended.message, appended.outcome))
    }

    fn new_message(&self, sender: &UserId, request: SendRequest) -> NewMessage {
        let (id, at) = (self.clock.new_id(), self.clock.now());
        let notification = NewNotification {
            id: self.clock.new_id(),
            to_user: request.receiver.clone(),
            from_user: sender.clone(),
            pair: Pair::new(sender.clone(), request.receiver.clone()),
            text: notification_text(&request),
            kind: NotificationKind::Chat,
            created_at: at,
            metadata: Metadata {
                message_id: Some(id.to_string().into()),
                message_preview: None,
                priority: Priority::Medium,
            },
        };
        NewMessage {
            id,
            sender: sender.clone(),
            receiver: request.receiver,
            sender_name: request.sender_name,
            receiver_name: request.receiver_name,
            text: request.text,
            client_message_id: request.client_message_id,
            at,
            notification,
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

/// `New message from <senderName>: <start of the text>`, with `...` where the text goes on.
fn notification_text(request: &SendRequest) -> ByteString {
    let quote = text::prefix(&request.text, limits::NOTIFICATION_QUOTE_UNITS);
    let dots = if quote.len() < request.text.len() {
        "..."
    } else {
        ""
    };
    format!("New message from {}: {quote}{dots}", request.sender_name).into()
}

#[cfg(test)]
mod tests;
