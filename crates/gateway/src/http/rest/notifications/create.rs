//! `POST /api/notifications/create`: files a notification for a user, who is told at once.

mod wanted;

use actix_web::{HttpRequest, HttpResponse, web};
use bytestring::ByteString;
use carillon_protocol::{
    chat::Pair,
    id::UserId,
    limits,
    notification::{Metadata, NotificationKind, Priority},
    problem::Code,
    text,
    time::Timestamp,
    value::Value,
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use self::wanted::WantedNotification;
use super::NotificationView;
use crate::{
    http::{
        body,
        error::ApiError,
        openapi::{Description, schemas},
        rest::{Answer, Call, access::Caller, under},
    },
    services::notifications::CreateRequest,
};

const MISSING: &str = "Missing required fields: toUser, fromUser, message";

const FAILED: &str = "Failed to create notification";
const CREATED: &str = "Notification created successfully";

/// The notification is stored.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationCreated)]
struct Created<'n> {
    #[schema(value_type = schemas::True)]
    success: bool,
    notification: NotificationView<'n>,
    /// Says so.
    message: &'static str,
}

pub(in crate::http::rest) async fn answer(
    call: &Call<'_>,
    request: &HttpRequest,
    mut payload: web::Payload,
) -> Answer {
    let body = body::read_json(request, &mut payload).await?;
    let wanted = read(&body, &call.caller)?;
    let created = call.rest.services.notifications.create(wanted).await;
    let created = created.map_err(under(FAILED))?;
    Ok(HttpResponse::Created().json(Created {
        success: true,
        notification: NotificationView::from(&created),
        message: CREATED,
    }))
}

/// What a body asks for: what is missing comes first, then whose it is, then the values.
pub(in crate::http::rest) fn read(body: &Value, caller: &Caller) -> Result<CreateRequest, ApiError> {
    let missing = || ApiError::invalid(MISSING);
    let (to_user, from_user) = (given(body, "toUser"), given(body, "fromUser"));
    let (to_user, from_user) = (to_user.ok_or_else(missing)?, from_user.ok_or_else(missing)?);
    let message = given(body, "message").ok_or_else(missing)?;

    let from_user = user("fromUser", from_user)?;
    let for_anyone = caller.may_act_for_anyone();
    if !for_anyone && !caller.is(&from_user) {
        return Err(ApiError::forbidden());
    }
    let to_user = user("toUser", to_user)?;
    let pair = filed_under(body, &to_user, &from_user)?;
    if !for_anyone && pair != Pair::new(from_user.clone(), to_user.clone()) {
        return Err(ApiError::forbidden());
    }
    Ok(CreateRequest {
        to_user,
        from_user,
        pair,
        text: bounded("message", message, limits::MAX_NOTIFICATION_UNITS)?,
        kind: given(body, "type").map_or(Ok(NotificationKind::Chat), kind)?,
        created_at: given(body, "createdAt").map(time).transpose()?,
        metadata: given(body, "metadata").map_or(Ok(Metadata::default()), metadata)?,
    })
}

/// The value of a key that has one: `null` and `""` are none.
fn given<'b>(body: &'b Value, key: &str) -> Option<&'b Value> {
    body.get(key)
        .filter(|value| !matches!(value, Value::Null) && value.as_text().is_none_or(|text| !text.is_empty()))
}

fn user(key: &str, value: &Value) -> Result<UserId, ApiError> {
    UserId::from_value(value).map_err(|error| ApiError::invalid(format!("{key}: {error}")))
}

/// The chat of `senderId`, else `fromUser`, and `receiverId`, else `toUser`.
fn filed_under(body: &Value, to_user: &UserId, from_user: &UserId) -> Result<Pair, ApiError> {
    let sender = given(body, "senderId")
        .map(|id| user("senderId", id))
        .transpose()?;
    let receiver = given(body, "receiverId")
        .map(|id| user("receiverId", id))
        .transpose()?;
    Ok(Pair::new(
        sender.unwrap_or_else(|| from_user.clone()),
        receiver.unwrap_or_else(|| to_user.clone()),
    ))
}

/// Text of at most `most` UTF-16 code units.
fn bounded(key: &str, value: &Value, most: usize) -> Result<ByteString, ApiError> {
    let text = value
        .as_text()
        .ok_or_else(|| ApiError::invalid(format!("{key} must be a string")))?;
    if text::utf16_len(text) > most {
        return Err(ApiError::invalid(format!(
            "{key} is too long (max {most} characters)"
        )));
    }
    Ok(text.clone())
}

fn kind(value: &Value) -> Result<NotificationKind, ApiError> {
    let kind = value
        .as_text()
        .ok_or_else(|| ApiError::invalid("type must be a string"))?;
    Ok(NotificationKind::parse(kind))
}

/// A date as text or as milliseconds since 1970, as JavaScript's `Date` takes it.
fn time(value: &Value) -> Result<Timestamp, ApiError> {
    let at = match value {
        Value::String(text) => Timestamp::parse(text),
        Value::Int(millis) => Some(Timestamp::from_millis(*millis)),
        number => number
            .as_u64()
            .map(|millis| Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))),
    };
    at.ok_or_else(|| ApiError::invalid("createdAt must be an ISO 8601 date"))
}

fn metadata(value: &Value) -> Result<Metadata, ApiError> {
    if value.as_object().is_none() {
        return Err(ApiError::invalid("metadata must be an object"));
    }
    let text = |key, most| {
        given(value, key)
            .map(|value| bounded(key, value, most))
            .transpose()
    };
    let priority = given(value, "priority").map(|priority| {
        let priority = priority
            .as_text()
            .ok_or_else(|| ApiError::invalid("priority must be a string"))?;
        Ok::<_, ApiError>(Priority::parse(priority))
    });
    Ok(Metadata {
        message_id: match given(value, "messageId").and_then(Value::as_u64) {
            Some(number) => Some(number.to_string().into()),
            None => text("messageId", limits::MAX_METADATA_ID_UNITS)?,
        },
        message_preview: text("messagePreview", limits::MAX_PREVIEW_UNITS)?,
        priority: priority.transpose()?.unwrap_or_default(),
    })
}

pub(in crate::http::rest) fn describe() -> Description {
    let wanted = json!({
        "toUser": "alice",
        "fromUser": "bob",
        "message": "New message from Bob: Hello!",
        "type": "chat",
        "metadata": { "messageId": "68d00a1c5f1e2a0007b3c9d4" },
    });
    Description::new(
        "createNotification",
        "Create a notification",
        "It is stored for `toUser` and sent to that user's sockets at once. A user may create it only as `fromUser`, and \
         filed under the chat of the two; `admin` and `service` may in any name.",
    )
    .takes::<WantedNotification>(
        "The notification. Keys with `null` or `\"\"` count as missing; unknown keys are ignored.",
        wanted,
    )
    .answers::<Created<'_>>(
        201,
        "It is stored.",
        json!({ "success": true, "notification": super::example(), "message": CREATED }),
    )
    .refuses(Code::Invalid, MISSING)
    .reads_body()
    .fails(FAILED)
}
