//! `PATCH /api/chat/chatbox/{chatboxId}/mark-read/{userId}`: everything in a chat that waits for a user is read.

use actix_web::HttpResponse;
use carillon_protocol::{chat::Pair, problem::Code};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::{
    openapi::Description,
    rest::{Answer, Call, under},
};

const FAILED: &str = "Failed to mark messages as read";
const MARKED: &str = "Messages marked as read";

/// It was done.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatMarked)]
struct Marked {
    /// Says so.
    message: &'static str,
}

pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let chatbox_id = call.params.chatbox_id()?;
    let user = call.params.user("userId")?;
    call.caller.must_be(&user)?;
    let Some(chat) = Pair::resolve(&chatbox_id, &user) else {
        return Err(call.caller.refuse_chat());
    };
    let marked = call.rest.services.messages.mark_all_read(&chat, &user).await;
    marked.map_err(under(FAILED))?;
    Ok(HttpResponse::Ok().json(Marked { message: MARKED }))
}

pub(in crate::http::rest) fn describe() -> Description {
    Description::new(
        "markChatRead",
        "Mark a chat as read",
        "Every message of the chat to this user is read from now on; the user's own messages are left alone. The user is one \
         of the two. It may be done before the first message, and again.",
    )
    .answers::<Marked>(200, "They are read.", json!({ "message": MARKED }))
    .refuses(Code::Invalid, "chatboxId is too long")
    .fails(FAILED)
}
