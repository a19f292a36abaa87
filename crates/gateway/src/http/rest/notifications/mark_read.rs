//! `PATCH /api/notifications/read/{chatboxId}/{notifId}`: one notification is read, now or before.

use actix_web::HttpResponse;
use carillon_protocol::{
    chat::Pair,
    id::UserId,
    notification::{ChatActivity, Notification},
    problem::Code,
    time::Timestamp,
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::NotificationView;
use crate::http::{
    error::ApiError,
    openapi::{Description, schemas},
    rest::{Answer, Call, under},
};

const MARKED: &str = "Notification marked as read";

const FAILED: &str = "Failed to mark notification as read";
const UNKNOWN: &str = "Notification not found";

/// The notification is read.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationMarked)]
struct Marked<'n> {
    #[schema(value_type = schemas::True)]
    success: bool,
    /// Says so.
    message: &'static str,
    notification: Envelope<'n>,
}

/// The shape in which notifications once were stored, all of a chat together. Only the caller's own is shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NotificationEnvelope)]
struct Envelope<'n> {
    #[schema(value_type = schemas::ChatboxId)]
    chatbox_id: String,
    /// The two users of the chat, sorted.
    #[schema(value_type = Vec<schemas::UserId>, min_items = 2, max_items = 2)]
    users: [&'n UserId; 2],
    /// The notification, and no other.
    #[schema(value_type = Vec<NotificationView<'n>>, min_items = 1, max_items = 1)]
    notifications: [NotificationView<'n>; 1],
    /// When the newest notification of the chat came to be.
    #[schema(value_type = schemas::Timestamp)]
    last_notification_at: Timestamp,
    #[schema(value_type = schemas::True)]
    is_active: bool,
    /// When the first one came to be.
    #[schema(value_type = schemas::Timestamp)]
    created_at: Timestamp,
    /// When any of them changed last.
    #[schema(value_type = schemas::Timestamp)]
    updated_at: Timestamp,
}

impl<'n> Envelope<'n> {
    fn around(notification: &'n Notification, activity: ChatActivity) -> Self {
        let pair: &Pair = &notification.content.pair;
        Self {
            chatbox_id: pair.chatbox_id(),
            users: [pair.first(), pair.second()],
            notifications: [NotificationView::from(notification)],
            last_notification_at: activity.last_notification_at,
            is_active: true,
            created_at: activity.created_at,
            updated_at: activity.updated_at,
        }
    }
}

pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let named = super::named(call, UNKNOWN, FAILED).await?.content;
    let marked = call
        .rest
        .services
        .notifications
        .mark_read(&named.pair, named.id, &named.to_user)
        .await;
    // It may have been deleted since it was found.
    let Some((notification, activity)) = marked.map_err(under(FAILED))? else {
        return Err(ApiError::new(Code::NotFound, UNKNOWN));
    };
    Ok(HttpResponse::Ok().json(Marked {
        success: true,
        message: MARKED,
        notification: Envelope::around(&notification, activity),
    }))
}

pub(in crate::http::rest) fn describe() -> Description {
    let mut read = super::example();
    if let Some(read) = read.as_object_mut() {
        read.insert("read".to_owned(), true.into());
        read.insert("readAt".to_owned(), "2026-09-21T14:13:25.000Z".into());
    }
    let envelope = json!({
        "chatboxId": "alice_bob",
        "users": ["alice", "bob"],
        "notifications": [read],
        "lastNotificationAt": "2026-09-21T14:13:20.000Z",
        "isActive": true,
        "createdAt": "2026-09-21T14:13:20.000Z",
        "updatedAt": "2026-09-21T14:13:25.000Z",
    });
    Description::new(
        "markNotificationRead",
        "Mark a notification as read",
        "The notification's user or an admin may, also a second time; it keeps the time of the first.",
    )
    .answers::<Marked<'_>>(
        200,
        "It is read.",
        json!({ "success": true, "message": MARKED, "notification": envelope }),
    )
    .refuses(Code::Invalid, "chatboxId is too long")
    .refuses(Code::NotFound, UNKNOWN)
    .fails(FAILED)
}
