//! Notifications over REST.

pub(super) mod clean_up;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod inbox;
pub(super) mod mark_all_read;
pub(super) mod mark_read;
pub(super) mod stats;

use carillon_protocol::{
    id::{ObjectId, UserId},
    notification::{Metadata, Notification, NotificationKind},
    problem::Code,
    time::Timestamp,
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Call, under};
use crate::http::{error::ApiError, openapi::schemas};

/// A notification as clients see it. Its id and its sender stand under two names each, as existing clients read either.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Notification)]
struct NotificationView<'n> {
    #[schema(value_type = schemas::ObjectId)]
    notif_id: ObjectId,
    #[serde(rename = "_id")]
    #[schema(value_type = schemas::ObjectId)]
    id: ObjectId,
    /// Whose it is.
    #[schema(value_type = schemas::UserId)]
    to_user: &'n UserId,
    #[schema(value_type = schemas::UserId)]
    from_user: &'n UserId,
    #[schema(value_type = schemas::UserId)]
    from_user_id: &'n UserId,
    /// Its text.
    message: &'n str,
    #[serde(rename = "type")]
    #[schema(value_type = schemas::NotificationType)]
    kind: NotificationKind,
    /// Whether its user has read it.
    read: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schemas::Timestamp)]
    read_at: Option<Timestamp>,
    #[schema(value_type = schemas::Timestamp)]
    created_at: Timestamp,
    /// The chat that it is filed under.
    #[schema(value_type = schemas::ChatboxId)]
    chatbox_id: String,
    #[schema(value_type = schemas::NotificationMetadata)]
    metadata: &'n Metadata,
}

impl<'n> From<&'n Notification> for NotificationView<'n> {
    fn from(notification: &'n Notification) -> Self {
        let content = &notification.content;
        Self {
            notif_id: content.id,
            id: content.id,
            to_user: &content.to_user,
            from_user: &content.from_user,
            from_user_id: &content.from_user,
            message: &content.text,
            kind: content.kind,
            read: notification.read_at.is_some(),
            read_at: notification.read_at,
            created_at: content.created_at,
            chatbox_id: content.pair.chatbox_id(),
            metadata: &content.metadata,
        }
    }
}

/// It was done.
#[derive(Serialize, ToSchema)]
struct Done {
    #[schema(value_type = schemas::True)]
    success: bool,
    /// What was done.
    message: &'static str,
}

impl Done {
    const fn with(message: &'static str) -> Self {
        Self {
            success: true,
            message,
        }
    }
}

/// An unread notification, for the description of the routes.
fn example() -> serde_json::Value {
    json!({
        "notifId": "68d00a1c5f1e2a0007b3c9d5",
        "_id": "68d00a1c5f1e2a0007b3c9d5",
        "toUser": "alice",
        "fromUser": "bob",
        "fromUserId": "bob",
        "message": "New message from Bob: Hello!",
        "type": "chat",
        "read": false,
        "createdAt": "2026-09-21T14:13:20.000Z",
        "chatboxId": "alice_bob",
        "metadata": { "messageId": "68d00a1c5f1e2a0007b3c9d4", "priority": "medium" },
    })
}

/// The notification that `{chatboxId}` and `{notifId}` name, for its user or an admin. Which of the chats of that name is
/// meant, the notification itself tells.
///
/// # Errors
/// 403 where it is somebody else's, or where the chat is; 404 with `unknown` where there is none; the route's text,
/// `failed`, where the store fails.
async fn named(
    call: &Call<'_>,
    unknown: &'static str,
    failed: &'static str,
) -> Result<Notification, ApiError> {
    let chatbox_id = call.params.chatbox_id()?;
    let id = ObjectId::parse(&call.params.text("notifId")?);
    let found = match id {
        Some(id) => call
            .rest
            .services
            .notifications
            .find(id)
            .await
            .map_err(under(failed))?,
        None => None,
    };
    match found.filter(|found| found.content.pair.chatbox_id() == *chatbox_id) {
        Some(found) => {
            call.caller.must_be(&found.content.to_user)?;
            Ok(found)
        }
        None if call.caller.is_outside(&chatbox_id) => Err(ApiError::forbidden()),
        None => Err(ApiError::new(Code::NotFound, unknown)),
    }
}
