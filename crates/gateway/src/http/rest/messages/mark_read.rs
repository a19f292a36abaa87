//! `PATCH /api/chat/chatbox/{chatboxId}/mark-read/{userId}`: everything in a chat that waits for a user is read.

use actix_web::HttpResponse;
use carillon_protocol::chat::Pair;
use serde_json::json;

use crate::http::rest::{Answer, Call, under};

pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let chatbox_id = call.params.chatbox_id()?;
    let user = call.params.user("userId")?;
    call.caller.must_be(&user)?;
    let Some(chat) = Pair::resolve(&chatbox_id, &user) else {
        return Err(call.caller.refuse_chat());
    };
    let marked = call.rest.services.messages.mark_all_read(&chat, &user).await;
    marked.map_err(under("Failed to mark messages as read"))?;
    Ok(HttpResponse::Ok().json(json!({ "message": "Messages marked as read" })))
}
