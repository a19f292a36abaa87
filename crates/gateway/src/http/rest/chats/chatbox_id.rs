//! `GET /api/chat/chatbox/{senderId}/{receiverId}`: the name of the chat of two users.

use actix_web::HttpResponse;
use carillon_protocol::chat::Pair;
use serde_json::json;

use crate::http::{
    error::ApiError,
    rest::{Answer, Call},
};

pub(in crate::http::rest) fn answer(call: &Call<'_>) -> Answer {
    let (sender, receiver) = (call.params.user("senderId")?, call.params.user("receiverId")?);
    if !(call.caller.is_admin() || call.caller.is(&sender) || call.caller.is(&receiver)) {
        return Err(ApiError::forbidden());
    }
    let chatbox_id = Pair::new(sender, receiver).chatbox_id();
    Ok(HttpResponse::Ok().json(json!({ "chatboxId": chatbox_id })))
}
