//! What MongoDB keeps, and how it becomes the domain's types. Everything read is checked: others can write there too.

use bytestring::ByteString;
use carillon_protocol::{
    chat::{ChatSummary, LastMessage, Pair},
    id::{ObjectId, UserId},
    message::{Message, MessageKind, NewMessage},
    notification::{Metadata, NewNotification, Notification, NotificationKind, Priority},
    text,
    time::Timestamp,
};
use mongodb::bson::{DateTime, Document, doc, oid};
use serde::{Deserialize, Serialize};

use super::error::Failure;

/// Where a message is. As the primary key it orders a history, and refuses two messages in one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    /// [`Pair::key`].
    pub(super) chat: ByteString,
    pub(super) seq: i64,
}

/// A message. Its document is what commits it, and holds all that its notification and its chat need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredMessage {
    #[serde(rename = "_id")]
    pub(super) place: Place,
    pub(super) id: oid::ObjectId,
    pub(super) sender: ByteString,
    pub(super) receiver: ByteString,
    pub(super) sender_name: ByteString,
    pub(super) receiver_name: ByteString,
    pub(super) text: ByteString,
    pub(super) kind: ByteString,
    pub(super) at: DateTime,
    /// `true` until its receiver reads it; gone then, and with it the message from the index of unread ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unread: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) read_at: Option<DateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) edited_at: Option<DateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_message_id: Option<ByteString>,
    /// `true` from its commit to its announcement, where a resend may ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unannounced: Option<bool>,
    pub(super) notification: Notice,
}

/// What a message keeps of its notification. Users and chat are there only where they are not the message's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notice {
    #[serde(rename = "_id")]
    pub(super) id: oid::ObjectId,
    pub(super) text: ByteString,
    kind: ByteString,
    priority: ByteString,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<ByteString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_preview: Option<ByteString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_user: Option<ByteString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_user: Option<ByteString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<ByteString>,
}

/// A notification. What is deleted keeps its id for a while (see [`super::notifications`]), and nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredNotification {
    #[serde(rename = "_id")]
    id: oid::ObjectId,
    /// [`Pair::key`].
    chat: ByteString,
    to_user: ByteString,
    from_user: ByteString,
    text: ByteString,
    kind: ByteString,
    priority: ByteString,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<ByteString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_preview: Option<ByteString>,
    created_at: DateTime,
    read: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_at: Option<DateTime>,
    /// When the database deletes it; never without.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime>,
}

/// A chat, under [`Pair::key`]. In chat lists from its first message on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredChat {
    #[serde(rename = "_id")]
    pub(super) key: ByteString,
    /// Both participants, sorted.
    users: (ByteString, ByteString),
    pub(super) last: Option<Last>,
    last_at: Option<DateTime>,
    first_wrote: Option<bool>,
    second_wrote: Option<bool>,
    pub(super) notified: Option<Notified>,
}

/// The newest message of a chat. `seq` comes first: of two such documents the greater one is the newer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Last {
    pub(super) seq: i64,
    pub(super) at: DateTime,
    pub(super) text: ByteString,
    pub(super) sender_name: ByteString,
}

/// What is known of a chat's notifications, deleted ones too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Notified {
    pub(super) first: Option<DateTime>,
    pub(super) last: Option<DateTime>,
    pub(super) changed: Option<DateTime>,
}

impl StoredMessage {
    /// A message that takes the place `seq` in its chat, whose newest message is of `newest`.
    pub(super) fn new(new: &NewMessage, seq: i64, newest: Option<DateTime>) -> Self {
        let at = newest.map_or(new.at, |newest| new.at.max(time(newest)));
        let to_self = new.sender == new.receiver;
        let pair = new.pair();
        Self {
            place: Place {
                chat: pair.key().into(),
                seq,
            },
            id: oid(new.id),
            sender: new.sender.text().clone(),
            receiver: new.receiver.text().clone(),
            sender_name: new.sender_name.clone(),
            receiver_name: new.receiver_name.clone(),
            text: new.text.clone(),
            kind: "text".into(),
            at: date(at),
            unread: (!to_self).then_some(true),
            read_at: to_self.then(|| date(at)),
            edited_at: None,
            client_message_id: new.client_message_id.clone(),
            unannounced: new.client_message_id.is_some().then_some(true),
            notification: Notice::new(new, &pair),
        }
    }

    /// Whether this is what `new` became when it was stored before.
    pub(super) fn is_of(&self, new: &NewMessage) -> bool {
        self.id == oid(new.id)
            && self.sender == *new.sender.text()
            && self.receiver == *new.receiver.text()
            && self.text == new.text
            && self.client_message_id == new.client_message_id
            && self.notification.id == oid(new.notification.id)
    }

    /// What is stored for its receiver.
    pub(super) fn notification(&self, age_millis: Option<i64>) -> Result<StoredNotification, Failure> {
        let notice = &self.notification;
        let or = |given: &Option<ByteString>, usual: &ByteString| given.as_ref().unwrap_or(usual).clone();
        let notification = NewNotification {
            id: object_id(notice.id),
            to_user: user(&or(&notice.to_user, &self.receiver))?,
            from_user: user(&or(&notice.from_user, &self.sender))?,
            pair: pair(&or(&notice.chat, &self.place.chat))?,
            text: notice.text.clone(),
            kind: NotificationKind::parse(&notice.kind),
            created_at: time(self.at),
            metadata: Metadata {
                message_id: notice.message_id.clone(),
                message_preview: notice.message_preview.clone(),
                priority: Priority::parse(&notice.priority),
            },
        };
        Ok(StoredNotification::new(&notification, age_millis))
    }

    /// The message as the domain knows it.
    pub(super) fn message(&self) -> Result<Message, Failure> {
        Ok(Message {
            id: object_id(self.id),
            seq: unsigned(self.place.seq)?,
            sender: user(&self.sender)?,
            receiver: user(&self.receiver)?,
            sender_name: self.sender_name.clone(),
            receiver_name: self.receiver_name.clone(),
            text: self.text.clone(),
            kind: kind(&self.kind)?,
            at: time(self.at),
            read_at: self.read_at.map(time),
            client_message_id: self.client_message_id.clone(),
            edited_at: self.edited_at.map(time),
        })
    }
}

impl Notice {
    fn new(message: &NewMessage, pair: &Pair) -> Self {
        let new = &message.notification;
        let to_user = (new.to_user != message.receiver).then(|| new.to_user.text().clone());
        let from_user = (new.from_user != message.sender).then(|| new.from_user.text().clone());
        let chat = (new.pair != *pair).then(|| new.pair.key().into());
        Self {
            id: oid(new.id),
            text: new.text.clone(),
            kind: new.kind.as_str().into(),
            priority: new.metadata.priority.as_str().into(),
            message_id: new.metadata.message_id.clone(),
            message_preview: new.metadata.message_preview.clone(),
            to_user,
            from_user,
            chat,
        }
    }
}

impl StoredNotification {
    /// An unread notification that the database deletes `age_millis` after its time.
    pub(super) fn new(new: &NewNotification, age_millis: Option<i64>) -> Self {
        Self {
            id: oid(new.id),
            chat: new.pair.key().into(),
            to_user: new.to_user.text().clone(),
            from_user: new.from_user.text().clone(),
            text: new.text.clone(),
            kind: new.kind.as_str().into(),
            priority: new.metadata.priority.as_str().into(),
            message_id: new.metadata.message_id.clone(),
            message_preview: new.metadata.message_preview.clone(),
            created_at: date(new.created_at),
            read: false,
            read_at: None,
            expires_at: age_millis.map(|age| date(new.created_at.plus_millis(age))),
        }
    }

    /// The notification as the domain knows it.
    pub(super) fn notification(&self) -> Result<Notification, Failure> {
        let content = NewNotification {
            id: object_id(self.id),
            to_user: user(&self.to_user)?,
            from_user: user(&self.from_user)?,
            pair: pair(&self.chat)?,
            text: self.text.clone(),
            kind: NotificationKind::parse(&self.kind),
            created_at: time(self.created_at),
            metadata: Metadata {
                message_id: self.message_id.clone(),
                message_preview: self.message_preview.clone(),
                priority: Priority::parse(&self.priority),
            },
        };
        Ok(Notification {
            content,
            read_at: self.read_at.map(time),
        })
    }
}

impl StoredChat {
    /// Its participants.
    pub(super) fn pair(&self) -> Result<Pair, Failure> {
        let pair = Pair::new(user(&self.users.0)?, user(&self.users.1)?);
        if pair.key() == *self.key {
            Ok(pair)
        } else {
            Err(Failure::invalid("a chat's participants are not those of its key"))
        }
    }

    /// Whether both participants wrote; in a chat with oneself, whether one did.
    pub(super) fn both_wrote(&self) -> bool {
        self.first_wrote == Some(true) && self.second_wrote == Some(true)
    }

    /// Its line in a chat list; `None` before its first message.
    pub(super) fn summary(&self, unread: u64) -> Result<Option<ChatSummary>, Failure> {
        let Some(last) = &self.last else { return Ok(None) };
        Ok(Some(ChatSummary {
            pair: self.pair()?,
            last_message: LastMessage {
                text: last.text.clone(),
                at: time(last.at),
                sender_name: last.sender_name.clone(),
            },
            unread,
        }))
    }
}

/// What finds the messages of a chat with a `seq` above `after`, up to `last`.
pub(super) fn places(chat: &str, after: i64, last: i64) -> Document {
    doc! { "_id": { "$gt": { "chat": chat, "seq": after }, "$lte": { "chat": chat, "seq": last } } }
}

/// An id as MongoDB has it.
pub(super) const fn oid(id: ObjectId) -> oid::ObjectId {
    oid::ObjectId::from_bytes(*id.as_bytes())
}

/// An id as the domain has it.
pub(super) const fn object_id(id: oid::ObjectId) -> ObjectId {
    ObjectId::from_bytes(id.bytes())
}

/// A time as MongoDB has it.
pub(super) const fn date(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millis())
}

/// A time as the domain has it.
pub(super) const fn time(at: DateTime) -> Timestamp {
    Timestamp::from_millis(at.timestamp_millis())
}

/// A number as MongoDB keeps it: what is too large for that is larger than anything stored.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that is never negative.
pub(super) fn unsigned(number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| Failure::invalid("a count is negative"))
}

fn user(id: &ByteString) -> Result<UserId, Failure> {
    UserId::parse(id.clone()).map_err(Failure::invalid)
}

/// The chat that has `key`: the first id's length in code units, `:`, both ids joined by `_`.
fn pair(key: &ByteString) -> Result<Pair, Failure> {
    let parts = || {
        let (length, ids) = key.split_once(':')?;
        let first = text::prefix(ids, length.parse().ok()?);
        let second = ids.strip_prefix(first)?.strip_prefix('_')?;
        let first = UserId::parse(first.to_owned()).ok()?;
        let second = UserId::parse(second.to_owned()).ok()?;
        Some(Pair::new(first, second))
    };
    parts()
        .filter(|pair| pair.key() == **key)
        .ok_or_else(|| Failure::invalid("a chat's key is none"))
}

fn kind(kind: &str) -> Result<MessageKind, Failure> {
    match kind {
        "text" => Ok(MessageKind::Text),
        "image" => Ok(MessageKind::Image),
        "file" => Ok(MessageKind::File),
        other => Err(Failure::invalid(format!(
            "a message is of the unknown kind {other}"
        ))),
    }
}

#[cfg(test)]
mod tests;
