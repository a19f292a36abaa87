//! Chats over REST.

pub(super) mod chatbox_id;
pub(super) mod list;
pub(super) mod unread_count;
