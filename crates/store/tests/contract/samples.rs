//! Users, messages and notifications to store.

use std::sync::atomic::{AtomicU64, Ordering};

use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    message::NewMessage,
    notification::{Metadata, NewNotification, NotificationKind, Priority},
    time::Timestamp,
};

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id.to_owned()).unwrap()
}

pub(crate) fn pair(one: &str, other: &str) -> Pair {
    Pair::new(user(one), user(other))
}

/// `millis` after some moment.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + millis)
}

/// An id that no other call gives, in no other process either, larger than those before.
pub(crate) fn new_id() -> ObjectId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&std::process::id().to_be_bytes());
    bytes[4..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    ObjectId::from_bytes(bytes)
}

pub(crate) fn message(sender: &str, receiver: &str, text: &str, millis: i64) -> NewMessage {
    let id = new_id();
    NewMessage {
        id,
        sender: user(sender),
        receiver: user(receiver),
        sender_name: format!("{sender}'s name").into(),
        receiver_name: format!("{receiver}'s name").into(),
        text: text.to_owned().into(),
        client_message_id: None,
        at: at(millis),
        notification: NewNotification {
            text: format!("New message from {sender}'s name: {text}").into(),
            metadata: Metadata {
                message_id: Some(id.to_string().into()),
                ..Metadata::default()
            },
            ..notification(sender, receiver, millis)
        },
    }
}

pub(crate) fn resendable(sender: &str, receiver: &str, client_message_id: &str, millis: i64) -> NewMessage {
    let mut message = message(sender, receiver, client_message_id, millis);
    message.client_message_id = Some(client_message_id.to_owned().into());
    message
}

pub(crate) fn notification(from_user: &str, to_user: &str, millis: i64) -> NewNotification {
    NewNotification {
        id: new_id(),
        to_user: user(to_user),
        from_user: user(from_user),
        pair: pair(from_user, to_user),
        text: "a notification".into(),
        kind: NotificationKind::Chat,
        created_at: at(millis),
        metadata: Metadata {
            message_id: None,
            message_preview: None,
            priority: Priority::Medium,
        },
    }
}
