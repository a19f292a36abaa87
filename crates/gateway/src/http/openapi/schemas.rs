//! Schemas of the domain's values: what the protocol's types are on the wire, under the names of those types. A field of a
//! body names one of them by `#[schema(value_type = ...)]`, so that no crate below has to know of the description.

use carillon_protocol::{
    limits,
    message::MessageKind,
    notification::{NotificationKind, Priority},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, Object, ObjectBuilder, RefOr, Schema, SchemaFormat, schema::SchemaType, schema::Type,
    },
};

/// Text without control characters, as ECMAScript writes it.
pub const NO_CONTROL_CHARACTERS: &str = r"^[^\u0000-\u001F\u007F-\u009F]*$";

/// A user's id.
#[derive(Debug)]
pub enum UserId {}

/// The name of a chat.
#[derive(Debug)]
pub enum ChatboxId {}

/// The id of a message or a notification.
#[derive(Debug)]
pub enum ObjectId {}

/// A point in time.
#[derive(Debug)]
pub enum Timestamp {}

/// The number of a message in its chat.
#[derive(Debug)]
pub enum Seq {}

/// How many there are of something.
#[derive(Debug)]
pub enum Count {}

/// `true`, and nothing else.
#[derive(Debug)]
pub enum True {}

impl PartialSchema for UserId {
    fn schema() -> RefOr<Schema> {
        string()
            .min_length(Some(1))
            .max_length(Some(limits::MAX_USER_ID_UNITS))
            .pattern(Some(NO_CONTROL_CHARACTERS))
            .description(Some(format!(
                "A user's id: any text of 1 to {} UTF-16 code units without control characters.",
                limits::MAX_USER_ID_UNITS
            )))
            .examples(["alice"])
            .into()
    }
}
impl ToSchema for UserId {}

impl PartialSchema for ChatboxId {
    fn schema() -> RefOr<Schema> {
        string()
            .min_length(Some(1))
            .max_length(Some(2 * limits::MAX_USER_ID_UNITS + 1))
            .pattern(Some(NO_CONTROL_CHARACTERS))
            .description(Some(
                "The name of a chat: the ids of the two users, sorted by UTF-16 code units and joined by `_`.",
            ))
            .examples(["alice_bob"])
            .into()
    }
}
impl ToSchema for ChatboxId {}

impl PartialSchema for ObjectId {
    fn schema() -> RefOr<Schema> {
        string()
            .pattern(Some("^[0-9a-f]{24}$"))
            .description(Some("The id of a message or a notification: 24 hex digits."))
            .examples(["68d00a1c5f1e2a0007b3c9d4"])
            .into()
    }
}
impl ToSchema for ObjectId {}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        string()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .pattern(Some(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"))
            .description(Some("A point in time: ISO 8601 with milliseconds, in UTC."))
            .examples(["2026-09-21T14:13:20.000Z"])
            .into()
    }
}
impl ToSchema for Timestamp {}

impl PartialSchema for Seq {
    fn schema() -> RefOr<Schema> {
        integer()
            .minimum(Some(1))
            .description(Some(
                "The number of a message in its chat: 1, 2, 3 … without a hole.",
            ))
            .examples([1])
            .into()
    }
}
impl ToSchema for Seq {}

impl PartialSchema for Count {
    fn schema() -> RefOr<Schema> {
        integer()
            .minimum(Some(0))
            .description(Some("How many there are."))
            .examples([2])
            .into()
    }
}
impl ToSchema for Count {}

impl PartialSchema for True {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .enum_values(Some([true]))
            .description(Some("The request was carried out."))
            .into()
    }
}
impl ToSchema for True {}

/// The kinds of messages.
#[derive(Debug)]
pub enum MessageType {}

impl PartialSchema for MessageType {
    fn schema() -> RefOr<Schema> {
        one_of([MessageKind::Text, MessageKind::Image, MessageKind::File])
            .description(Some(
                "`text` for what was sent here; `image` and `file` come from imports.",
            ))
            .into()
    }
}
impl ToSchema for MessageType {}

/// The kinds of notifications.
#[derive(Debug)]
pub enum NotificationType {}

impl PartialSchema for NotificationType {
    fn schema() -> RefOr<Schema> {
        one_of([
            NotificationKind::Chat,
            NotificationKind::System,
            NotificationKind::Alert,
        ])
        .description(Some("What a notification is about."))
        .into()
    }
}
impl ToSchema for NotificationType {}

/// What else belongs to a notification, as it is answered.
#[derive(Debug)]
pub enum NotificationMetadata {}

impl PartialSchema for NotificationMetadata {
    fn schema() -> RefOr<Schema> {
        let priority = one_of([Priority::Low, Priority::Medium, Priority::High]);
        ObjectBuilder::new()
            .property(
                "messageId",
                string()
                    .max_length(Some(limits::MAX_METADATA_ID_UNITS))
                    .description(Some("The message that it is about.")),
            )
            .property(
                "messagePreview",
                string()
                    .max_length(Some(limits::MAX_PREVIEW_UNITS))
                    .description(Some("The start of that message.")),
            )
            .property("priority", priority.description(Some("How urgent it is.")))
            .required("priority")
            .description(Some(
                "What else belongs to a notification; keys without a value are left out.",
            ))
            .into()
    }
}
impl ToSchema for NotificationMetadata {}

/// A text.
#[must_use]
pub fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A whole number.
#[must_use]
pub fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

/// A value of any of `types`.
#[must_use]
pub fn any_of_types(types: impl IntoIterator<Item = Type>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(types.into_iter().collect::<SchemaType>())
}

/// An object of any form.
#[must_use]
pub fn any_object() -> Object {
    Object::with_type(Type::Object)
}

/// One of these values, in the words in which they are written.
fn one_of(values: impl IntoIterator<Item = impl Serialize>) -> ObjectBuilder {
    string().enum_values(Some(
        values
            .into_iter()
            .map(|value| json!(value))
            .collect::<Vec<Value>>(),
    ))
}
