//! A message that is to be stored, and who waits for it.

use carillon_protocol::message::NewMessage;
use mongodb::bson::{Document, doc};
use tokio::sync::oneshot;

use super::admission::Ticket;
use crate::{
    Result, StoreError,
    messages::{AppendOutcome, Appended},
    mongo::{
        documents::{StoredMessage, object_id, oid},
        error::Failure,
        repair::Noted,
    },
};

/// A message on its way into the database.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) message: NewMessage,
    reply: oneshot::Sender<Result<Appended>>,
    _ticket: Ticket,
}

impl Append {
    pub(super) const fn new(
        message: NewMessage,
        reply: oneshot::Sender<Result<Appended>>,
        ticket: Ticket,
    ) -> Self {
        Self {
            message,
            reply,
            _ticket: ticket,
        }
    }

    /// The key of its chat.
    pub(super) fn chat(&self) -> String {
        self.message.pair().key()
    }

    /// Whether nobody waits any more. What has not been tried then is better not stored.
    pub(super) fn is_given_up(&self) -> bool {
        self.reply.is_closed()
    }

    /// What its group notes of it.
    pub(super) fn noted(&self) -> Noted {
        let NewMessage {
            sender,
            receiver,
            notification,
            ..
        } = &self.message;
        let mut users = vec![sender.text().clone(), receiver.text().clone()];
        if !users.contains(notification.to_user.text()) {
            users.push(notification.to_user.text().clone());
        }
        Noted {
            id: oid(self.message.id),
            chat: self.chat().into(),
            users,
        }
    }

    /// What finds the first message under its `client_message_id`.
    pub(super) fn earlier(&self) -> Option<Document> {
        let id = self.message.client_message_id.as_ref()?;
        Some(doc! {
            "_id.chat": self.chat(),
            "sender": self.message.sender.as_str(),
            "clientMessageId": &**id,
        })
    }

    /// Whether `stored` was sent by the same sender under the same `client_message_id`.
    pub(super) fn is_resend_of(&self, stored: &StoredMessage) -> bool {
        self.message.client_message_id.is_some()
            && self.message.client_message_id == stored.client_message_id
            && self.message.sender.as_str() == &*stored.sender
            && *stored.place.chat == *self.chat()
    }

    /// Answers with the stored message.
    pub(super) fn stored(self, stored: &StoredMessage, outcome: AppendOutcome) {
        let appended = stored.message().map(|message| Appended {
            message,
            notification: object_id(stored.notification.id),
            outcome,
        });
        self.answer(appended.map_err(StoreError::from));
    }

    /// Answers that it was not stored.
    pub(super) fn failed(self, failure: Failure) {
        self.answer(Err(failure.into()));
    }

    fn answer(self, answer: Result<Appended>) {
        // Who no longer waits has no use for the answer.
        let _ = self.reply.send(answer);
    }
}
