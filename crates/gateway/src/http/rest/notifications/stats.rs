//! `GET /api/notifications/user/{userId}/stats`: counts over a user's notifications.

use actix_web::HttpResponse;
use carillon_protocol::problem::Code;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::{
    openapi::{Description, schemas},
    rest::{Answer, Call, under},
};

const FAILED: &str = "Failed to get notification stats";

/// Counts over a user's notifications.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationStats)]
struct Told {
    #[schema(value_type = schemas::True)]
    success: bool,
    #[schema(inline)]
    stats: Stats,
}

/// The counts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Stats {
    #[schema(value_type = schemas::Count)]
    total_notifications: u64,
    #[schema(value_type = schemas::Count)]
    unread_count: u64,
    #[schema(value_type = schemas::Count)]
    read_count: u64,
    /// Chats with any notification for the user, read or not.
    #[schema(value_type = schemas::Count)]
    active_chatboxes: u64,
}

pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let user = call.params.user("userId")?;
    call.caller.must_be(&user)?;
    let counted = call.rest.services.notifications.stats(&user).await;
    let counted = counted.map_err(under(FAILED))?;
    let stats = Stats {
        total_notifications: counted.total,
        unread_count: counted.unread,
        read_count: counted.total.saturating_sub(counted.unread),
        active_chatboxes: counted.active_chats,
    };
    Ok(HttpResponse::Ok().json(Told { success: true, stats }))
}

pub(in crate::http::rest) fn describe() -> Description {
    let stats = json!({ "totalNotifications": 3, "unreadCount": 2, "readCount": 1, "activeChatboxes": 1 });
    Description::new(
        "getNotificationStats",
        "Count a user's notifications",
        "All of them, those read, those not read, and the chats that they are filed under.",
    )
    .answers::<Told>(200, "The counts.", json!({ "success": true, "stats": stats }))
    .refuses(Code::Invalid, "userId: a user id has no control characters")
    .fails(FAILED)
}
