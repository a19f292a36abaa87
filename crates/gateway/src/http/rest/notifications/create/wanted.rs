//! What the body of `POST /api/notifications/create` may hold, for the description of the routes.

use carillon_protocol::limits;
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat,
        schema::{AnyOfBuilder, Type},
    },
};

use crate::http::openapi::schemas::{NO_CONTROL_CHARACTERS, any_of_types, integer, string};

/// The notification that is asked for.
pub(super) enum WantedNotification {}

impl PartialSchema for WantedNotification {
    fn schema() -> RefOr<Schema> {
        let text = string()
            .min_length(Some(1))
            .max_length(Some(limits::MAX_NOTIFICATION_UNITS))
            .description(Some("Its text, at most 500 UTF-16 code units."));
        ObjectBuilder::new()
            .property("toUser", user("Whose it is.", false))
            .required("toUser")
            .property("fromUser", user("Who it is from.", false))
            .required("fromUser")
            .property("message", text)
            .required("message")
            .property(
                "senderId",
                user(
                    "One of the two whose chat it is filed under; else `fromUser`.",
                    true,
                ),
            )
            .property(
                "receiverId",
                user("The other one of the two; else `toUser`.", true),
            )
            .property(
                "type",
                any_of_types([Type::String, Type::Null])
                    .description(Some(
                        "`chat`, `system` or `alert`; anything else counts as `chat`.",
                    ))
                    .default(Some(json!("chat")))
                    .examples(["chat", "system", "alert"]),
            )
            .property("createdAt", time())
            .property("metadata", metadata())
            .description(Some("The notification that is asked for."))
            .into()
    }
}
impl ToSchema for WantedNotification {}

/// A user's id; one that may be missing may be `null` or `""`.
fn user(text: &str, may_be_missing: bool) -> AnyOfBuilder {
    let id = string()
        .min_length(Some(usize::from(!may_be_missing)))
        .max_length(Some(limits::MAX_USER_ID_UNITS))
        .pattern(Some(NO_CONTROL_CHARACTERS));
    let number = integer()
        .minimum(Some(i64::MIN))
        .maximum(Some(u64::MAX))
        .description(Some("Counts as its decimal text."));
    let schema = AnyOfBuilder::new().item(id).item(number).description(Some(text));
    if may_be_missing {
        schema.item(null())
    } else {
        schema
    }
}

fn time() -> AnyOfBuilder {
    let format = |format| string().format(Some(SchemaFormat::KnownFormat(format)));
    AnyOfBuilder::new()
        .item(format(KnownFormat::DateTime))
        .item(format(KnownFormat::Date))
        .item(string().max_length(Some(0)))
        .item(integer().description(Some("Milliseconds since 1970.")))
        .item(null())
        .description(Some(
            "When it came to be, now where it is missing. What lies in the future counts as now; without an offset, UTC.",
        ))
}

fn metadata() -> AnyOfBuilder {
    let id = AnyOfBuilder::new()
        .item(string().max_length(Some(limits::MAX_METADATA_ID_UNITS)))
        .item(integer().minimum(Some(0)).maximum(Some(u64::MAX)))
        .item(null())
        .description(Some("The message that it is about: any text."));
    let preview = any_of_types([Type::String, Type::Null])
        .max_length(Some(limits::MAX_PREVIEW_UNITS))
        .description(Some("The start of that message."));
    let priority = any_of_types([Type::String, Type::Null])
        .description(Some(
            "`low`, `medium` or `high`; anything else counts as `medium`.",
        ))
        .default(Some(json!("medium")));
    AnyOfBuilder::new()
        .item(
            ObjectBuilder::new()
                .property("messageId", id)
                .property("messagePreview", preview)
                .property("priority", priority),
        )
        .item(string().max_length(Some(0)))
        .item(null())
        .description(Some("What else belongs to it."))
}

fn null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null)
}
