//! `PATCH /api/notifications/read-all/{chatboxId}/{userId}`: everything of a user in one chat is read.

use actix_web::HttpResponse;
use carillon_protocol::{chat::Pair, problem::Code};

use super::Done;
use crate::http::{
    error::ApiError,
    rest::{Answer, Call, under},
};

pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let chatbox_id = call.params.chatbox_id()?;
    let user = call.params.user("userId")?;
    call.caller.must_be(&user)?;
    let unknown = || ApiError::new(Code::NotFound, "Chatbox not found");
    let Some(chat) = Pair::resolve(&chatbox_id, &user) else {
        return Err(if Pair::readings(&chatbox_id).is_empty() {
            unknown()
        } else {
            call.caller.refuse_chat()
        });
    };
    let known = call.rest.services.notifications.mark_all_read(&chat, &user).await;
    if !known.map_err(under("Failed to mark all notifications as read"))? {
        return Err(unknown());
    }
    Ok(HttpResponse::Ok().json(Done::with("All notifications marked as read")))
}
