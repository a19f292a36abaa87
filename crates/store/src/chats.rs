//! Chats as their participants see them: the list, unread counts, contacts.

use async_trait::async_trait;
use carillon_protocol::{
    chat::{ChatSummary, Pair},
    id::UserId,
};

use crate::Result;

/// What is kept per chat.
#[async_trait]
pub trait Chats: Send + Sync {
    /// `user`'s chats that hold a message, latest activity first, at most `limit`.
    async fn chats_of(&self, user: &UserId, limit: u32) -> Result<Vec<ChatSummary>>;

    /// How many messages wait unread for `user`, over all chats.
    async fn unread_count(&self, user: &UserId) -> Result<u64>;

    /// Whether a message or notification was ever stored in `chat`, also where it has been deleted since.
    async fn chat_is_known(&self, chat: &Pair) -> Result<bool>;

    /// Whether both participants of `chat` have written to each other; in a chat with oneself, whether one has written.
    async fn are_contacts(&self, chat: &Pair) -> Result<bool>;

    /// Everyone with whom `user` has exchanged messages in both directions. Not `user` itself.
    async fn contacts(&self, user: &UserId) -> Result<Vec<UserId>>;

    /// Answers if the store can be written to now.
    async fn ping(&self) -> Result<()>;

    /// Waits until everything accepted is durable; for the end of a process.
    async fn flush(&self) -> Result<()>;
}
