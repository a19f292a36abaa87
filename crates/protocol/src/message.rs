//! A chat message as it is stored and shown.

use bytestring::ByteString;
use serde::Serialize;

use crate::{
    chat::Pair,
    id::{ObjectId, UserId},
    notification::NewNotification,
    time::Timestamp,
};

/// What `sendMessage` asks to store, with the notification for its receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// The id it gets if it is the first with its `client_message_id`.
    pub id: ObjectId,
    /// Who sends.
    pub sender: UserId,
    /// Who receives; may be the sender.
    pub receiver: UserId,
    /// The sender's display name, as given.
    pub sender_name: ByteString,
    /// The receiver's display name, as given.
    pub receiver_name: ByteString,
    /// The text, trimmed.
    pub text: ByteString,
    /// The sender's own id for it, unique per sender and chat.
    pub client_message_id: Option<ByteString>,
    /// When it was accepted; the store moves it forward where the chat's newest message is later.
    pub at: Timestamp,
    /// What is stored for the receiver in the same commit (its `created_at` follows the message's time).
    pub notification: NewNotification,
}

impl NewMessage {
    /// The chat it belongs to.
    #[must_use]
    pub fn pair(&self) -> Pair {
        Pair::new(self.sender.clone(), self.receiver.clone())
    }
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: ObjectId,
    /// Its place in the chat: 1, 2, 3 … without a hole.
    pub seq: u64,
    /// Who sent it.
    pub sender: UserId,
    /// Who receives it.
    pub receiver: UserId,
    /// The sender's display name.
    pub sender_name: ByteString,
    /// The receiver's display name.
    pub receiver_name: ByteString,
    /// The text.
    pub text: ByteString,
    /// What kind it is.
    pub kind: MessageKind,
    /// When it was accepted; never decreases along `seq`.
    pub at: Timestamp,
    /// When its receiver read it first.
    pub read_at: Option<Timestamp>,
    /// The sender's own id for it.
    pub client_message_id: Option<ByteString>,
    /// When its text was changed last, for messages from an import.
    pub edited_at: Option<Timestamp>,
}

impl Message {
    /// The chat it belongs to.
    #[must_use]
    pub fn pair(&self) -> Pair {
        Pair::new(self.sender.clone(), self.receiver.clone())
    }
}

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// What `sendMessage` sends.
    Text,
    /// From an import.
    Image,
    /// From an import.
    File,
}
