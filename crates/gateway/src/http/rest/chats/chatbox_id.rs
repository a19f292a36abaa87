//! `GET /api/chat/chatbox/{senderId}/{receiverId}`: the name of the chat of two users.

use actix_web::HttpResponse;
use carillon_protocol::{chat::Pair, problem::Code};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::{
    error::ApiError,
    openapi::{Description, schemas},
    rest::{Answer, Call},
};

/// The name of a chat.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChatName {
    #[schema(value_type = schemas::ChatboxId)]
    chatbox_id: String,
}

pub(in crate::http::rest) fn answer(call: &Call<'_>) -> Answer {
    let (sender, receiver) = (call.params.user("senderId")?, call.params.user("receiverId")?);
    if !(call.caller.is_admin() || call.caller.is(&sender) || call.caller.is(&receiver)) {
        return Err(ApiError::forbidden());
    }
    let chatbox_id = Pair::new(sender, receiver).chatbox_id();
    Ok(HttpResponse::Ok().json(ChatName { chatbox_id }))
}

pub(in crate::http::rest) fn describe() -> Description {
    Description::new(
        "getChatboxId",
        "Name the chat of two users",
        "The name of a chat is the two ids, sorted and joined by `_`; their order here does not matter. The caller is one of \
         the two, or an admin. A chat needs no creating.",
    )
    .answers::<ChatName>(200, "The name.", json!({ "chatboxId": "alice_bob" }))
    .refuses(Code::Invalid, "receiverId: a user id has no control characters")
}
