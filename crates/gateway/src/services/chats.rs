//! Chats as a user sees them.

use std::sync::Arc;

use carillon_protocol::{chat::ChatSummary, id::UserId};
use carillon_store::Store;

use super::{Result, store_problem};

/// Chat lists and counts.
pub struct Chats {
    store: Arc<dyn Store>,
}

impl std::fmt::Debug for Chats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chats").finish_non_exhaustive()
    }
}

impl Chats {
    /// Over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// `user`'s chats with a message, latest activity first.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn list(&self, user: &UserId, limit: u32) -> Result<Vec<ChatSummary>> {
        self.store.chats_of(user, limit).await.map_err(store_problem)
    }

    /// How many messages wait for `user`.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn unread_count(&self, user: &UserId) -> Result<u64> {
        self.store.unread_count(user).await.map_err(store_problem)
    }
}
