//! Messages over REST.

pub(super) mod history;
pub(super) mod mark_read;
