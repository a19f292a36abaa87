//! Messages: appended once, read in pages, marked as read.

use async_trait::async_trait;
use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    message::{Message, NewMessage},
    time::Timestamp,
};

use crate::Result;

/// What `append_message` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The message as it is stored: the first one with this `client_message_id`.
    pub message: Message,
    /// The id of the notification stored with it.
    pub notification: ObjectId,
    /// Whether this call stored it.
    pub outcome: AppendOutcome,
}

/// Whether a message was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// Stored by this call.
    Stored,
    /// Stored before under the same `client_message_id`, and announced.
    Duplicate,
    /// Stored before, but its node went before `mark_announced`: it is to be announced now.
    DuplicateUnannounced,
}

/// One page of a history, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// The messages.
    pub messages: Vec<Message>,
    /// How many the chat holds in all; 0 for a chat without messages.
    pub total: u64,
}

/// The message that `mark_message_read` marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedMessage {
    /// When its receiver read it first.
    pub read_at: Timestamp,
    /// Whether this call was the first.
    pub first: bool,
}

/// What `mark_message_read` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkOutcome {
    /// Marked, now or before.
    Marked(MarkedMessage),
    /// No such message in that chat.
    Unknown,
    /// It is there, but `reader` is not its receiver.
    NotReceiver,
}

/// Messages of all chats.
#[async_trait]
pub trait Messages: Send + Sync {
    /// Stores a message under the next `seq` of its chat, with its notification, in one commit.
    ///
    /// The message's time is `message.at` or that of the chat's newest message, whichever is later; its notification
    /// gets the same. Where the sender has already stored a message in this chat under the same `client_message_id`,
    /// nothing is stored and that first one is returned. The receiver's unread count grows by one; a message to oneself
    /// is never unread, its `read_at` is its time.
    ///
    /// The messages of a chat that are stored over one store are numbered in the order in which these calls were first polled, however
    /// many are under way; they share commits. One that fails is refused alone and takes no number.
    ///
    /// An id (of the message or its notification) that is taken is [`crate::StoreError::Corrupt`], and nothing is stored. So is a
    /// notification of another chat.
    async fn append_message(&self, message: NewMessage) -> Result<Appended>;

    /// Notes that messages have been published, so that a resend of them is not announced again. Need not be durable
    /// at return, only soon; of use for messages with a `client_message_id` only.
    async fn mark_announced(&self, message: ObjectId) -> Result<()>;

    /// Page `page` (from 1) of the chat, `limit` messages a page, newest first. Costs the same for every page and length.
    async fn history_page(&self, chat: &Pair, page: u64, limit: u32) -> Result<HistoryPage>;

    /// At most `limit` messages of the chat with `seq` above `after`, oldest first.
    async fn history_after(&self, chat: &Pair, after: u64, limit: u32) -> Result<Vec<Message>>;

    /// Marks one message of `chat` as read by `reader`. The first time counts; the unread count shrinks with it.
    async fn mark_message_read(
        &self,
        chat: &Pair,
        message: ObjectId,
        reader: &UserId,
        at: Timestamp,
    ) -> Result<MarkOutcome>;

    /// Marks every unread message of `chat` whose receiver is `reader` as read; answers with how many there were.
    async fn mark_chat_read(&self, chat: &Pair, reader: &UserId, at: Timestamp) -> Result<u64>;
}
