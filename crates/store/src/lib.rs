//! Durable state of Carillon. The traits here say what every backend does; one method is one atomic operation,
//! durable when it returns. [`sqlite`] is the embedded backend of one node, [`mongo`] the one that several share.
//!
//! The traits come in the order messages, notifications, chats, and every backend's files keep that order.

pub mod chats;
pub mod messages;
pub mod mongo;
pub mod notifications;
pub mod sqlite;

pub use chats::Chats;
pub use messages::Messages;
pub use notifications::Notifications;

/// All of a store.
pub trait Store: Messages + Notifications + Chats {}
impl<T: Messages + Notifications + Chats> Store for T {}

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is locked, full, read-only, gone or overloaded: worth a retry. Nothing was stored.
    #[error("the store is not available: {reason}")]
    Unavailable {
        /// What the backend said, for the log; never for clients.
        reason: String,
    },
    /// What is stored cannot be read, or the backend answered what it never should.
    #[error("the store failed: {reason}")]
    Corrupt {
        /// What the backend said, for the log; never for clients.
        reason: String,
    },
}

/// What a store operation answers.
pub type Result<T> = std::result::Result<T, StoreError>;

#[cfg(test)]
extern crate self as carillon_store;

#[cfg(test)]
mod test_support;
