//! `DELETE /api/notifications/{chatboxId}/{notifId}`.

use actix_web::HttpResponse;
use carillon_protocol::problem::Code;
use serde_json::json;

use super::Done;
use crate::http::{
    error::ApiError,
    openapi::Description,
    rest::{Answer, Call, under},
};

const DELETED: &str = "Notification deleted successfully";

const FAILED: &str = "Failed to delete notification";
const UNKNOWN: &str = "Notification or chat not found";

pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    let named = super::named(call, UNKNOWN, FAILED).await?.content;
    let deleted = call
        .rest
        .services
        .notifications
        .delete(&named.pair, named.id, &named.to_user)
        .await;
    if !deleted.map_err(under(FAILED))? {
        return Err(ApiError::new(Code::NotFound, UNKNOWN));
    }
    Ok(HttpResponse::Ok().json(Done::with(DELETED)))
}

pub(in crate::http::rest) fn describe() -> Description {
    Description::new(
        "deleteNotification",
        "Delete a notification",
        "The notification's user or an admin may.",
    )
    .answers::<Done>(200, "It is gone.", json!({ "success": true, "message": DELETED }))
    .refuses(Code::Invalid, "chatboxId is too long")
    .refuses(Code::NotFound, UNKNOWN)
    .fails(FAILED)
}
