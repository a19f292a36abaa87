//! `GET /api/chat/user/{userId}/chats`: a user's chats, latest activity first.

use actix_web::HttpResponse;
use carillon_protocol::{chat::ChatSummary, id::UserId, limits, problem::Code, time::Timestamp};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::{
    openapi::{
        Description,
        schemas::{self, integer},
    },
    rest::{Answer, Call, under},
};

const FAILED: &str = "Failed to fetch user chats";

/// A user's chats.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatList)]
struct Chats<'c> {
    /// Latest activity first.
    chats: Vec<ChatView<'c>>,
}

/// A chat, as one of the two sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Chat)]
struct ChatView<'c> {
    #[schema(value_type = schemas::ChatboxId)]
    chatbox_id: String,
    /// The other one of the two.
    #[schema(value_type = schemas::UserId)]
    other_user_id: &'c UserId,
    last_message: LastMessageView<'c>,
    /// How many messages the user has not read.
    #[schema(value_type = schemas::Count)]
    unread_count: u64,
}

/// The newest message of a chat.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LastMessage)]
struct LastMessageView<'c> {
    /// Its text.
    message: &'c str,
    #[schema(value_type = schemas::Timestamp)]
    timestamp: Timestamp,
    /// Who sent it, as shown.
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
    let found = found.map_err(under(FAILED))?;
    let chats = found.iter().map(|chat| ChatView::for_user(&user, chat)).collect();
    Ok(HttpResponse::Ok().json(Chats { chats }))
}

pub(in crate::http::rest) fn describe() -> Description {
    let chat = json!({
        "chatboxId": "alice_bob",
        "otherUserId": "bob",
        "lastMessage": { "message": "Hello!", "timestamp": "2026-09-21T14:13:20.000Z", "senderName": "Bob" },
        "unreadCount": 2,
    });
    Description::new(
        "listChats",
        "List a user's chats",
        "A chat appears with its first message; a notification alone makes none.",
    )
    .query(
        "limit",
        "Most chats that are answered; more than 1,000 count as 1,000.",
        integer().minimum(Some(1)).default(Some(limits::MAX_LIST.into())),
    )
    .answers::<Chats<'_>>(200, "The chats.", json!({ "chats": [chat] }))
    .refuses(Code::Invalid, "limit must be a positive integer")
    .fails(FAILED)
}
