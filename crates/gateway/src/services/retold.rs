//! What is stored, as it is told: live, and to those who could not be told then.

use carillon_protocol::{
    adapter::Broadcast,
    event,
    id::{ObjectId, Room},
    message::Message,
    notification::Notification,
};

use super::broadcast;

/// `receiveMessage`, to the chat's room.
pub(crate) fn message(message: &Message) -> Broadcast {
    broadcast(
        event::receive_message(message),
        vec![message.pair().room()],
        Vec::new(),
    )
}

/// All that is told of a message: `receiveMessage`, and `notification` to the receiver's sockets, where the stored
/// notification is to be told of.
pub(crate) fn events(of: &Message, notification: Option<ObjectId>) -> Vec<Broadcast> {
    let notify = notification.map(|id| message_notification(of, id));
    std::iter::once(message(of)).chain(notify).collect()
}

/// `notification`, to the sockets of its user: as its message told it, where that is among `messages`.
pub(crate) fn notification(notification: &Notification, messages: &[Message]) -> Broadcast {
    let content = &notification.content;
    match message_of(notification, messages) {
        Some(message) => message_notification(message, content.id),
        None => broadcast(
            event::created_notification(notification),
            vec![Room::of_user(&content.to_user)],
            Vec::new(),
        ),
    }
}

/// The one of `messages` that `notification` was stored with. What is created over REST may name any message.
pub(crate) fn message_of<'a>(notification: &Notification, messages: &'a [Message]) -> Option<&'a Message> {
    let content = &notification.content;
    let about = content.metadata.message_id.as_deref().and_then(ObjectId::parse)?;
    messages.iter().find(|message| {
        message.id == about && message.receiver == content.to_user && message.at == content.created_at
    })
}

fn message_notification(message: &Message, notification: ObjectId) -> Broadcast {
    broadcast(
        event::message_notification(message, notification),
        vec![Room::of_user(&message.receiver)],
        Vec::new(),
    )
}
