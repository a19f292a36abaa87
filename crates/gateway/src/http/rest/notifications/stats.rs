//! `GET /api/notifications/user/{userId}/stats`: counts over a user's notifications.

use actix_web::HttpResponse;
use serde::Serialize;

use crate::http::rest::{Answer, Call, under};

#[derive(Serialize)]
struct Told {
    success: bool,
    stats: Stats,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    total_notifications: u64,
    unread_count: u64,
    read_count: u64,
    active_chatboxes: u64,
}

pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let user = call.params.user("userId")?;
    call.caller.must_be(&user)?;
    let counted = call.rest.services.notifications.stats(&user).await;
    let counted = counted.map_err(under("Failed to get notification stats"))?;
    let stats = Stats {
        total_notifications: counted.total,
        unread_count: counted.unread,
        read_count: counted.total.saturating_sub(counted.unread),
        active_chatboxes: counted.active_chats,
    };
    Ok(HttpResponse::Ok().json(Told { success: true, stats }))
}
