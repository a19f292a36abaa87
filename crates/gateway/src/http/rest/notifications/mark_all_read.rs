//! `PATCH /api/notifications/read-all/{chatboxId}/{userId}`: everything of a user in one chat is read.

use actix_web::HttpResponse;
use carillon_protocol::{chat::Pair, problem::Code};
use serde_json::json;

use super::Done;
use crate::http::{
    error::ApiError,
    openapi::Description,
    rest::{Answer, Call, under},
};

const FAILED: &str = "Failed to mark all notifications as read";
const MARKED: &str = "All notifications marked as read";
const UNKNOWN: &str = "Chatbox not found";

pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let chatbox_id = call.params.chatbox_id()?;
    let user = call.params.user("userId")?;
    call.caller.must_be(&user)?;
    let unknown = || ApiError::new(Code::NotFound, UNKNOWN);
    let Some(chat) = Pair::resolve(&chatbox_id, &user) else {
        return Err(if Pair::readings(&chatbox_id).is_empty() {
            unknown()
        } else {
            call.caller.refuse_chat()
        });
    };
    let known = call.rest.services.notifications.mark_all_read(&chat, &user).await;
    if !known.map_err(under(FAILED))? {
        return Err(unknown());
    }
    Ok(HttpResponse::Ok().json(Done::with(MARKED)))
}

pub(in crate::http::rest) fn describe() -> Description {
    Description::new(
        "markNotificationsRead",
        "Mark all notifications of a chat as read",
        "Every notification to this user that is filed under the chat is read from now on. A chat is known once there was a \
         message or a notification in it.",
    )
    .answers::<Done>(200, "They are read.", json!({ "success": true, "message": MARKED }))
    .refuses(Code::Invalid, "chatboxId is too long")
    .refuses(Code::NotFound, UNKNOWN)
    .fails(FAILED)
}
