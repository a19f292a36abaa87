//! `GET /api/notifications/user/{userId}`: what a user has not read yet, oldest first.

use actix_web::HttpResponse;
use carillon_protocol::limits;
use serde::Serialize;

use super::NotificationView;
use crate::http::rest::{Answer, Call, under};

#[derive(Serialize)]
struct Inbox<'n> {
    success: bool,
    notifications: Vec<NotificationView<'n>>,
    count: usize,
}

/// `?limit=1000`: the newest ones.
pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let user = call.params.user("userId")?;
    call.caller.must_be(&user)?;
    let limit = call.query.limit(limits::MAX_LIST, limits::MAX_LIST)?;
    let found = call.rest.services.notifications.unread(&user, limit).await;
    let found = found.map_err(under("Failed to retrieve notifications"))?;
    let notifications = found.iter().map(NotificationView::from).collect();
    Ok(HttpResponse::Ok().json(Inbox {
        success: true,
        notifications,
        count: found.len(),
    }))
}
