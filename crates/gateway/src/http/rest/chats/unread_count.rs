//! `GET /api/chat/user/{userId}/unread-count`: how many messages wait for a user.

use actix_web::HttpResponse;
use serde_json::json;

use crate::http::rest::{Answer, Call, under};

pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let user = call.params.user("userId")?;
    call.caller.must_be(&user)?;
    let count = call.rest.services.chats.unread_count(&user).await;
    let count = count.map_err(under("Failed to get unread message count"))?;
    Ok(HttpResponse::Ok().json(json!({ "unreadCount": count })))
}
