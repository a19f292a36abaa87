//! A notification in a user's inbox.

use bytestring::ByteString;
use serde::Serialize;

use crate::{
    chat::Pair,
    id::{ObjectId, UserId},
    time::Timestamp,
};

/// What is asked to be stored for `to_user`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewNotification {
    /// Its id.
    pub id: ObjectId,
    /// Whose inbox it goes to, and who alone may read, mark and delete it.
    pub to_user: UserId,
    /// Who it is from.
    pub from_user: UserId,
    /// The chat it is filed under: the pair of `senderId or fromUser` and `receiverId or toUser`.
    pub pair: Pair,
    /// Its text.
    pub text: ByteString,
    /// Its kind.
    pub kind: NotificationKind,
    /// When it came to be.
    pub created_at: Timestamp,
    /// What else belongs to it.
    pub metadata: Metadata,
}

/// A stored notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// What was stored.
    pub content: NewNotification,
    /// When its user read it first; unread without.
    pub read_at: Option<Timestamp>,
}

/// The kind of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationKind {
    /// About a chat; also what an unknown kind becomes.
    Chat,
    /// From the system.
    System,
    /// An alert.
    Alert,
}

impl NotificationKind {
    /// As it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::System => "system",
            Self::Alert => "alert",
        }
    }

    /// Reads a kind; an unknown one counts as [`NotificationKind::Chat`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "system" => Self::System,
            "alert" => Self::Alert,
            _ => Self::Chat,
        }
    }
}

impl Priority {
    /// As it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Reads a priority; an unknown one counts as [`Priority::Medium`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "low" => Self::Low,
            "high" => Self::High,
            _ => Self::Medium,
        }
    }
}

/// How urgent a notification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Can wait.
    Low,
    /// The usual; also what an unknown one becomes.
    #[default]
    Medium,
    /// Urgent.
    High,
}

/// What else belongs to a notification. Keys without a value are left out where it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The message it is about: any text of up to 128 code units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<ByteString>,
    /// A preview of at most 100 code units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_preview: Option<ByteString>,
    /// How urgent it is.
    pub priority: Priority,
}

/// Counts over a user's notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NotificationStats {
    /// All of them.
    pub total: u64,
    /// Those not read.
    pub unread: u64,
    /// Chats with any notification for the user, read or not.
    pub active_chats: u64,
}

/// What the legacy envelope tells of the chat around a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatActivity {
    /// When the first notification of the chat came to be.
    pub created_at: Timestamp,
    /// When the newest notification of the chat came to be.
    pub last_notification_at: Timestamp,
    /// When any of them changed last.
    pub updated_at: Timestamp,
}
