//! `DELETE /api/notifications/{chatboxId}/{notifId}`.

use actix_web::HttpResponse;
use carillon_protocol::problem::Code;

use super::Done;
use crate::http::{
    error::ApiError,
    rest::{Answer, Call, under},
};

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
    Ok(HttpResponse::Ok().json(Done::with("Notification deleted successfully")))
}
