//! `GET /api/chat/messages/{chatboxId}`: a page of a history, or what came after a `seq`.

use actix_web::HttpResponse;
use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    limits,
    message::{Message, MessageKind},
    problem::Code,
    time::Timestamp,
};
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

const FAILED: &str = "Failed to retrieve messages";

/// A message as clients see it; keys without a value are left out.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Message)]
struct MessageView<'m> {
    #[serde(rename = "_id")]
    #[schema(value_type = schemas::ObjectId)]
    id: ObjectId,
    /// Its text, as it was sent and trimmed.
    message: &'m str,
    #[schema(value_type = schemas::Timestamp)]
    timestamp: Timestamp,
    /// Who sent it, as shown.
    sender_name: &'m str,
    /// Who receives it, as shown.
    receiver_name: &'m str,
    #[schema(value_type = schemas::UserId)]
    sender_id: &'m UserId,
    #[schema(value_type = schemas::UserId)]
    receiver_id: &'m UserId,
    #[schema(value_type = schemas::Seq)]
    seq: u64,
    /// Whether its receiver has read it.
    read: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schemas::Timestamp)]
    read_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schemas::UserId)]
    read_by: Option<&'m UserId>,
    #[schema(value_type = schemas::MessageType)]
    message_type: MessageKind,
    /// Whether its text was changed, for messages from an import.
    edited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = schemas::Timestamp)]
    edited_at: Option<Timestamp>,
}

impl<'m> From<&'m Message> for MessageView<'m> {
    fn from(message: &'m Message) -> Self {
        Self {
            id: message.id,
            message: &message.text,
            timestamp: message.at,
            sender_name: &message.sender_name,
            receiver_name: &message.receiver_name,
            sender_id: &message.sender,
            receiver_id: &message.receiver,
            seq: message.seq,
            read: message.read_at.is_some(),
            read_at: message.read_at,
            read_by: message.read_at.map(|_| &message.receiver),
            message_type: message.kind,
            edited: message.edited_at.is_some(),
            edited_at: message.edited_at,
        }
    }
}

/// A page of a history.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessagePage)]
struct Page<'m> {
    /// Newest first.
    messages: Vec<MessageView<'m>>,
    #[schema(value_type = schemas::Count)]
    total_pages: u64,
    /// The page that was asked for.
    #[schema(value_type = schemas::Count)]
    current_page: u64,
    #[schema(value_type = schemas::Count)]
    total_messages: u64,
    /// Whether there is a page after this one, with older messages.
    has_more: bool,
}

/// The page of a chat without messages.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EmptyMessagePage)]
struct EmptyPage {
    /// None.
    #[schema(value_type = Vec<String>, max_items = 0)]
    messages: [(); 0],
    /// 0.
    #[schema(value_type = schemas::Count)]
    total_pages: u64,
    /// The page that was asked for.
    #[schema(value_type = schemas::Count)]
    current_page: u64,
}

/// What came after a `seq`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LaterMessages)]
struct Later<'m> {
    /// Oldest first.
    messages: Vec<MessageView<'m>>,
    /// Whether there are more, after the last of these.
    has_more: bool,
}

/// `?page=1&limit=50`, or `?afterSeq=0&limit=50` to catch up.
pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let chatbox_id = call.params.chatbox_id()?;
    let chat = call.caller.chat(&chatbox_id, &call.query)?;
    let limit = call
        .query
        .limit(limits::DEFAULT_PAGE_LIMIT, limits::MAX_PAGE_LIMIT)?;
    let page = call.query.positive("page")?.unwrap_or(1);
    match call.query.natural("afterSeq")? {
        Some(seq) => later(call, chat.as_ref(), seq, limit).await,
        None => one_page(call, chat.as_ref(), page, limit).await,
    }
}

async fn one_page(call: &Call<'_>, chat: Option<&Pair>, page: u64, limit: u32) -> Answer {
    let empty = || {
        HttpResponse::Ok().json(EmptyPage {
            messages: [],
            total_pages: 0,
            current_page: page,
        })
    };
    let Some(chat) = chat else {
        return Ok(empty());
    };
    let found = call
        .rest
        .services
        .messages
        .history(chat, page, limit)
        .await
        .map_err(under(FAILED))?;
    if found.total == 0 {
        return Ok(empty());
    }
    let total_pages = found.total.div_ceil(limit.into());
    Ok(HttpResponse::Ok().json(Page {
        messages: found.messages.iter().map(MessageView::from).collect(),
        total_pages,
        current_page: page,
        total_messages: found.total,
        has_more: page < total_pages,
    }))
}

async fn later(call: &Call<'_>, chat: Option<&Pair>, seq: u64, limit: u32) -> Answer {
    let (messages, has_more) = match chat {
        Some(chat) => call
            .rest
            .services
            .messages
            .history_after(chat, seq, limit)
            .await
            .map_err(under(FAILED))?,
        None => (Vec::new(), false),
    };
    Ok(HttpResponse::Ok().json(Later {
        messages: messages.iter().map(MessageView::from).collect(),
        has_more,
    }))
}

pub(in crate::http::rest) fn describe() -> Description {
    let message = json!({
        "_id": "68d00a1c5f1e2a0007b3c9d4",
        "message": "Hello!",
        "timestamp": "2026-09-21T14:13:20.000Z",
        "senderName": "Bob",
        "receiverName": "Alice",
        "senderId": "bob",
        "receiverId": "alice",
        "seq": 1,
        "read": true,
        "readAt": "2026-09-21T14:13:25.000Z",
        "readBy": "alice",
        "messageType": "text",
        "edited": false,
    });
    let page = json!({
        "messages": [message],
        "totalPages": 1,
        "currentPage": 1,
        "totalMessages": 1,
        "hasMore": false,
    });
    Description::new(
        "getMessages",
        "Read a chat's history",
        "A page, newest message first; or with `afterSeq` what came after a message, oldest first, for a client that catches \
         up. The caller is one of the two, or an admin. A chat without messages is an empty page.",
    )
    .query(
        "page",
        "Which page, the newest messages being on the first. With `afterSeq` it does not count.",
        integer().minimum(Some(1)).default(Some(1.into())),
    )
    .query(
        "limit",
        "Most messages that are answered; more than 100 count as 100.",
        integer()
            .minimum(Some(1))
            .default(Some(limits::DEFAULT_PAGE_LIMIT.into())),
    )
    .query(
        "afterSeq",
        "The `seq` of the last message that the client has, 0 where it has none.",
        integer().minimum(Some(0)),
    )
    .query_of::<schemas::UserId>(
        "userId",
        "For an admin: whose chat, where the ids of its users contain `_` and several chats have this name.",
    )
    .answers_any::<Page<'_>, EmptyPage, Later<'_>>(200, "Messages.", page)
    .refuses(Code::Invalid, "page must be a positive integer")
    .fails(FAILED)
}
