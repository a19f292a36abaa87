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

use super::NotificationView;
use crate::http::{
    error::ApiError,
    rest::{Answer, Call, under},
};

const FAILED: &str = "Failed to mark notification as read";
const UNKNOWN: &str = "Notification not found";

#[derive(Serialize)]
struct Marked<'n> {
    success: bool,
    message: &'static str,
    notification: Envelope<'n>,
}

/// The shape in which notifications once were stored, all of a chat together. Only the caller's own is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'n> {
    chatbox_id: String,
    users: [&'n UserId; 2],
    notifications: [NotificationView<'n>; 1],
    last_notification_at: Timestamp,
    is_active: bool,
    created_at: Timestamp,
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
        message: "Notification marked as read",
        notification: Envelope::around(&notification, activity),
    }))
}
