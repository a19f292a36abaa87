//! `DELETE /api/notifications/cleanup`: removes what is old, of everybody; for admins and services.

use actix_web::HttpResponse;
use serde::Serialize;

use crate::http::{
    error::ApiError,
    rest::{Answer, Call, under},
};

/// How old a notification is that goes, where the caller does not say, in days.
const DEFAULT_DAYS: u64 = 30;

#[derive(Serialize)]
struct CleanedUp {
    success: bool,
    message: String,
    result: Removed,
}

/// What the first implementation's database told, each count the number removed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Removed {
    acknowledged: bool,
    matched_count: u64,
    modified_count: u64,
    deleted_count: u64,
}

/// `?daysOld=30`, and no other key: a slip must not run it with the default.
pub(in crate::http::rest) async fn answer(call: &Call<'_>) -> Answer {
    if !call.caller.may_act_for_anyone() {
        return Err(ApiError::forbidden());
    }
    call.query.only("daysOld")?;
    let days = call.query.positive("daysOld")?.unwrap_or(DEFAULT_DAYS);
    let removed = call
        .rest
        .services
        .notifications
        .clean_up(u32::try_from(days).unwrap_or(u32::MAX))
        .await;
    let removed = removed.map_err(under("Failed to clean up notifications"))?;
    Ok(HttpResponse::Ok().json(CleanedUp {
        success: true,
        message: format!("Cleaned up notifications older than {days} days"),
        result: Removed {
            acknowledged: true,
            matched_count: removed,
            modified_count: removed,
            deleted_count: removed,
        },
    }))
}
