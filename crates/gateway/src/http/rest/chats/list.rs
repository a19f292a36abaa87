//! `GET /api/chat/user/{userId}/chats`: a user's chats, latest activity first.

use actix_web::HttpResponse;
use carillon_protocol::{chat::ChatSummary, id::UserId, limits, time::Timestamp};
use serde::Serialize;

use crate::http::rest::{Answer, Call, under};

#[derive(Serialize)]
struct Chats<'c> {
    chats: Vec<ChatView<'c>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChatView<'c> {
    chatbox_id: String,
    other_user_id: &'c UserId,
    last_message: LastMessageView<'c>,
    unread_count: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LastMessageView<'c> {
    message: &'c str,
    timestamp: Timestamp,
    sender_name: &'c str,
}

impl<'c> ChatView<'c> {
    fn for_user(user: &UserId, chat: &'c ChatSummary) -> Self {
        Self {
            chatbox_id: chat.pair.chatbox_id(),
            other_user_id: chat.pair.other(user),
            last_message: LastMessageView {
                message: &chat.last_message.text,
                timestamp: chat.last_message.at,
                sender_name: &chat.last_message.sender_name,
            },
            unread_count: chat.unread,
        }
    }
}

/// `?limit=1000`.
pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let user = call.params.user("userId")?;
    call.caller.must_be(&user)?;
    let limit = call.query.limit(limits::MAX_LIST, limits::MAX_LIST)?;
    let found = call.rest.services.chats.list(&user, limit).await;
    let found = found.map_err(under("Failed to fetch user chats"))?;
    let chats = found.iter().map(|chat| ChatView::for_user(&user, chat)).collect();
    Ok(HttpResponse::Ok().json(Chats { chats }))
}
