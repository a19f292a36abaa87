//! Sending: what is sent in a chat while its last messages are being stored is stored together, and announced in the order
//! of `seq`. A task of the node does it, so that a sender who goes leaves neither a message unannounced nor others waiting.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use bytestring::ByteString;
use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    limits,
    message::{Message, NewMessage},
    notification::{Metadata, NewNotification, NotificationKind, Priority},
    problem::{Code, Problem},
    text,
};
use carillon_store::messages::{AppendOutcome, Appended};
use futures_util::future::{MaybeDone, join_all, maybe_done};
use tokio::{sync::oneshot, time::Instant};
use tracing::{Instrument as _, Span};

use super::Messages;
use crate::{
    services::{
        RETRY_UNAVAILABLE_MS, Result,
        batches::{Added, Work},
        store_problem,
    },
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

/// A message on its way into its chat, and who waits for it.
#[derive(Debug)]
pub(super) struct Sending {
    sender: UserId,
    request: SendRequest,
    accepted_at: Instant,
    /// What the sender asked for it in.
    span: Span,
    reply: oneshot::Sender<Sent>,
}

type Sent = Result<(Message, AppendOutcome)>;

impl Messages {
    /// Stores a message and its notification, then announces both: `receiveMessage` to the chat's room, `notification`
    /// to the receiver's sockets. A resend under the same `client_message_id` stores nothing and is announced only where
    /// the first never was. Messages of one chat are announced in the order of `seq`, whichever nodes they are sent by.
    /// Where the backplane fails the message is stored all the same, and a resend announces it. Where the other nodes are out
    /// of reach this node's sockets are given it, and the others' by
    /// [`Services::announce_backlog`](crate::services::Services::announce_backlog).
    ///
    /// Where this is dropped the message is not stored, or stored and announced.
    ///
    /// # Errors
    /// `unavailable` or `internal` where the store fails, or where too many wait in this chat: nothing was stored then.
    /// `unavailable` also where the node ends meanwhile, and then it may have been: a resend under its
    /// `client_message_id` tells.
    pub async fn send(self: &Arc<Self>, sender: &UserId, request: SendRequest) -> Result<Message> {
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
        self: &Arc<Self>,
        sender: &UserId,
        request: SendRequest,
        accepted_at: Instant,
    ) -> Sent {
        let chat = Pair::new(sender.clone(), request.receiver.clone());
        let (reply, answer) = oneshot::channel();
        let sending = Sending {
            sender: sender.clone(),
            request,
            accepted_at,
            span: Span::current(),
            reply,
        };
        match self.sends.add(chat.clone(), sending) {
            Added::First(work) => {
                let messages = Arc::clone(self);
                self.tasks
                    .spawn(async move { messages.work_off(&chat, work).await });
            }
            Added::Waits => {}
            Added::Refused => return Err(unavailable("too many messages wait in this chat")),
        }
        answer
            .await
            .unwrap_or_else(|_| Err(unavailable("the message was given up")))
    }

    /// Stores and announces what is sent in a chat, until nothing is.
    async fn work_off(&self, chat: &Pair, mut work: Work<Pair, Sending>) {
        while let Some(mut batch) = work.next() {
            let place = self.announcements.join(chat);
            let _turn = place.turn().await;
            // What nobody waits for any more has not been tried: it is as if it had never come.
            batch.retain(|sending| !sending.reply.is_closed());
            self.send_batch(batch).await;
        }
    }

    async fn send_batch(&self, batch: Vec<Sending>) {
        let (appends, waiting): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|sending| self.append(sending)).unzip();
        // Those that a resend in the same batch is not to announce again.
        let mut announced: Vec<ObjectId> = Vec::new();
        for (appended, waiting) in all_begun_in_order(appends).await.into_iter().zip(waiting) {
            let sent = match appended {
                Ok(appended) => {
                    let message = &appended.message;
                    if !announced.contains(&message.id)
                        && self.is_to_be_announced(&appended)
                        && self.announce_sent(&appended, &waiting).await
                        && message.client_message_id.is_some()
                    {
                        announced.push(message.id);
                    }
                    Ok((appended.message, appended.outcome))
                }
                Err(error) => Err(store_problem(error)),
            };
            // Who has gone meanwhile needs no answer.
            let _ = waiting.reply.send(sent);
        }
    }

    /// Stores a message, once this is polled; and who waits for that.
    fn append(
        &self,
        sending: Sending,
    ) -> (
        impl Future<Output = carillon_store::Result<Appended>> + Send,
        Waiting,
    ) {
        let Sending {
            sender,
            request,
            accepted_at,
            span,
            reply,
        } = sending;
        let append = self.store.append_message(self.new_message(&sender, request));
        let waiting = Waiting {
            accepted_at,
            span: span.clone(),
            reply,
        };
        (append.instrument(span), waiting)
    }

    fn is_to_be_announced(&self, appended: &Appended) -> bool {
        match appended.outcome {
            AppendOutcome::Stored => true,
            AppendOutcome::Duplicate => false,
            // What this node's sockets have, the others get when they are in reach.
            AppendOutcome::DuplicateUnannounced => !self.is_local(&appended.message),
        }
    }

    /// Announces a message within its sender's trace. Answers whether that was done.
    async fn announce_sent(&self, appended: &Appended, waiting: &Waiting) -> bool {
        let span = waiting.span.in_scope(traces::publish_span);
        let _on_its_way = span.in_scope(|| {
            let accepted = &self.measures.accepted;
            accepted.announce(appended.message.id, waiting.accepted_at)
        });
        self.announce(appended).instrument(span.clone()).await
    }

    pub(super) fn new_message(&self, sender: &UserId, request: SendRequest) -> NewMessage {
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
}

/// Who waits for a message.
struct Waiting {
    accepted_at: Instant,
    span: Span,
    reply: oneshot::Sender<Sent>,
}

fn unavailable(detail: &'static str) -> Problem {
    Problem::new(Code::Unavailable, detail).retry_after(RETRY_UNAVAILABLE_MS)
}

/// Polls all once, one after the other, so that they begin in their order, and waits for all.
async fn all_begun_in_order<F: Future>(work: Vec<F>) -> Vec<F::Output> {
    let mut work: Vec<Pin<Box<MaybeDone<F>>>> = work.into_iter().map(maybe_done).map(Box::pin).collect();
    poll_fn(|context| {
        for one in &mut work {
            let _ = one.as_mut().poll(context);
        }
        Poll::Ready(())
    })
    .await;
    join_all(&mut work).await;
    work.iter_mut()
        .filter_map(|one| one.as_mut().take_output())
        .collect()
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
