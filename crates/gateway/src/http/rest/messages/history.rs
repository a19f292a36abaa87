//! `GET /api/chat/messages/{chatboxId}`: a page of a history, or what came after a `seq`.

use actix_web::HttpResponse;
use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    limits,
    message::{Message, MessageKind},
    time::Timestamp,
};
use serde::Serialize;

use crate::http::rest::{Answer, Call, under};

const FAILED: &str = "Failed to retrieve messages";

/// A message as clients see it; keys without a value are left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageView<'m> {
    #[serde(rename = "_id")]
    id: ObjectId,
    message: &'m str,
    timestamp: Timestamp,
    sender_name: &'m str,
    receiver_name: &'m str,
    sender_id: &'m UserId,
    receiver_id: &'m UserId,
    seq: u64,
    read: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_by: Option<&'m UserId>,
    message_type: MessageKind,
    edited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// A page, newest first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'m> {
    messages: Vec<MessageView<'m>>,
    total_pages: u64,
    current_page: u64,
    total_messages: u64,
    has_more: bool,
}

/// The page of a chat without messages.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmptyPage {
    messages: [(); 0],
    total_pages: u64,
    current_page: u64,
}

/// What came after a `seq`, oldest first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Later<'m> {
    messages: Vec<MessageView<'m>>,
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
