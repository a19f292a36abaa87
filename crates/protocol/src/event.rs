//! The events that Carillon sends, with their payloads as the client contract writes them.

use bytestring::ByteString;

use crate::{
    id::UserId,
    message::Message,
    notification::Notification,
    presence::{OnlineUser, Status},
    time::Timestamp,
    value::{Object, Value},
};

/// A name and its arguments, as a Socket.IO EVENT carries them: `args[0]` is the name.
pub type Event = Vec<Value>;

fn event(name: &'static str, payload: impl Into<Value>) -> Event {
    vec![Value::from(name), payload.into()]
}

/// `chatJoined` or `chatLeft`: payload `{chatboxId, timestamp}`.
#[must_use]
pub fn chat_moved(chatbox_id: &ByteString, at: Timestamp) -> Object {
    Object::with_capacity(2)
        .with("chatboxId", chatbox_id.clone())
        .with("timestamp", at)
}

/// `receiveMessage`, to the room of the chat.
#[must_use]
pub fn receive_message(message: &Message) -> Event {
    event(
        "receiveMessage",
        Object::with_capacity(9)
            .with("messageId", message.id)
            .with("senderId", &message.sender)
            .with("receiverId", &message.receiver)
            .with("senderName", message.sender_name.clone())
            .with("receiverName", message.receiver_name.clone())
            .with("message", message.text.clone())
            .with("timestamp", message.at)
            .with("chatboxId", message.pair().chatbox_id())
            .with("seq", message.seq),
    )
}

/// `notification` about a chat message, to all sockets of its receiver. `_id` is the stored notification's id.
#[must_use]
pub fn message_notification(message: &Message, notification: crate::id::ObjectId) -> Event {
    event(
        "notification",
        Object::with_capacity(9)
            .with("type", "chat")
            .with("fromUser", message.sender_name.clone())
            .with("fromUserId", &message.sender)
            .with("message", message.text.clone())
            .with("chatboxId", message.pair().chatbox_id())
            .with("timestamp", message.at)
            .with("messageId", message.id)
            .with("seq", message.seq)
            .with("_id", notification),
    )
}

/// `messageSent` and the ack of `sendMessage`: `{messageId, timestamp, chatboxId, seq}`.
#[must_use]
pub fn message_sent(message: &Message) -> Object {
    Object::with_capacity(4)
        .with("messageId", message.id)
        .with("timestamp", message.at)
        .with("chatboxId", message.pair().chatbox_id())
        .with("seq", message.seq)
}

/// `messageRead` and the ack of `markMessageRead`: payload `{messageId, readBy, timestamp}`.
#[must_use]
pub fn message_read(message: crate::id::ObjectId, reader: &UserId, at: Timestamp) -> Object {
    Object::with_capacity(3)
        .with("messageId", message)
        .with("readBy", reader)
        .with("timestamp", at)
}

/// `userTyping`, to the others in the room.
#[must_use]
pub fn user_typing(user: &UserId, is_typing: bool, at: Timestamp) -> Event {
    event(
        "userTyping",
        Object::with_capacity(3)
            .with("userId", user)
            .with("isTyping", is_typing)
            .with("timestamp", at),
    )
}

/// `userStatusChange`, to everyone else.
#[must_use]
pub fn user_status_change(user: &UserId, status: Status, at: Timestamp) -> Event {
    event(
        "userStatusChange",
        Object::with_capacity(3)
            .with("userId", user)
            .with("status", status.as_str())
            .with("timestamp", at),
    )
}

/// The list of `onlineUsers` and of the ack of `getOnlineUsers`: `[{userId, lastSeen}]`.
#[must_use]
pub fn online_users(users: &[OnlineUser]) -> Value {
    let line = |user: &OnlineUser| {
        Value::Object(
            Object::with_capacity(2)
                .with("userId", &user.user)
                .with("lastSeen", user.last_seen),
        )
    };
    Value::Array(users.iter().map(line).collect())
}

/// `notification` that was created over REST, to all sockets of its user:
/// `{type, fromUser, fromUserId, message, chatboxId, timestamp, notifId, metadata}` and `_id`.
#[must_use]
pub fn created_notification(notification: &Notification) -> Event {
    let content = &notification.content;
    let mut metadata = Object::with_capacity(3);
    if let Some(id) = &content.metadata.message_id {
        metadata.push("messageId", id.clone());
    }
    if let Some(preview) = &content.metadata.message_preview {
        metadata.push("messagePreview", preview.clone());
    }
    metadata.push("priority", content.metadata.priority.as_str());
    event(
        "notification",
        Object::with_capacity(9)
            .with("type", content.kind.as_str())
            .with("fromUser", &content.from_user)
            .with("fromUserId", &content.from_user)
            .with("message", content.text.clone())
            .with("chatboxId", content.pair.chatbox_id())
            .with("timestamp", content.created_at)
            .with("notifId", content.id)
            .with("metadata", metadata)
            .with("_id", content.id),
    )
}
