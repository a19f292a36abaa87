//! `GET /api/chat/user/{userId}/unread-count`: how many messages wait for a user.

use actix_web::HttpResponse;
use carillon_protocol::problem::Code;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::{
    openapi::{Description, schemas},
    rest::{Answer, Call, under},
};

const FAILED: &str = "Failed to get unread message count";

/// How many messages a user has not read.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Unread {
    /// Over all chats; never the user's own messages.
    #[schema(value_type = schemas::Count)]
    unread_count: u64,
}

pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let user = call.params.user("userId")?;
    call.caller.must_be(&user)?;
    let count = call.rest.services.chats.unread_count(&user).await;
    let unread_count = count.map_err(under(FAILED))?;
    Ok(HttpResponse::Ok().json(Unread { unread_count }))
}

pub(in crate::http::rest) fn describe() -> Description {
    Description::new(
        "countUnreadMessages",
        "Count a user's unread messages",
        "Incoming messages that the user has not read, over all chats.",
    )
    .answers::<Unread>(200, "The count.", json!({ "unreadCount": 2 }))
    .refuses(Code::Invalid, "userId: a user id has no control characters")
    .fails(FAILED)
}
