//! `GET /api/notifications/user/{userId}`: what a user has not read yet, oldest first.

use actix_web::HttpResponse;
use carillon_protocol::{limits, problem::Code};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::NotificationView;
use crate::http::{
    openapi::{
        Description,
        schemas::{self, integer},
    },
    rest::{Answer, Call, under},
};

const FAILED: &str = "Failed to retrieve notifications";

/// A user's unread notifications.
#[derive(Serialize, ToSchema)]
struct Inbox<'n> {
    #[schema(value_type = schemas::True)]
    success: bool,
    /// Oldest first.
    notifications: Vec<NotificationView<'n>>,
    /// How many these are.
    #[schema(value_type = schemas::Count)]
    count: usize,
}

/// `?limit=1000`: the newest ones.
pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let user = call.params.user("userId")?;
    call.caller.must_be(&user)?;
    let limit = call.query.limit(limits::MAX_LIST, limits::MAX_LIST)?;
    let found = call.rest.services.notifications.unread(&user, limit).await;
    let found = found.map_err(under(FAILED))?;
    let notifications = found.iter().map(NotificationView::from).collect();
    Ok(HttpResponse::Ok().json(Inbox {
        success: true,
        notifications,
        count: found.len(),
    }))
}

pub(in crate::http::rest) fn describe() -> Description {
    Description::new(
        "listNotifications",
        "List a user's unread notifications",
        "The newest ones up to `limit`, the oldest of these first.",
    )
    .query(
        "limit",
        "Most notifications that are answered; more than 1,000 count as 1,000.",
        integer().minimum(Some(1)).default(Some(limits::MAX_LIST.into())),
    )
    .answers::<Inbox<'_>>(
        200,
        "The notifications.",
        json!({ "success": true, "notifications": [super::example()], "count": 1 }),
    )
    .refuses(Code::Invalid, "limit must be a positive integer")
    .fails(FAILED)
}
