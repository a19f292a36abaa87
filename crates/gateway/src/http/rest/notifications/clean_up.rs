//! `DELETE /api/notifications/cleanup`: removes what is old, of everybody; for admins and services.

use actix_web::HttpResponse;
use carillon_protocol::problem::Code;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::{
    error::ApiError,
    openapi::{
        Description,
        schemas::{self, integer},
    },
    rest::{Answer, Call, under},
};

const FAILED: &str = "Failed to clean up notifications";

/// How old a notification is that goes, where the caller does not say, in days.
const DEFAULT_DAYS: u64 = 30;

/// What a cleanup removed.
#[derive(Serialize, ToSchema)]
struct CleanedUp {
    #[schema(value_type = schemas::True)]
    success: bool,
    /// What was done.
    message: String,
    result: Removed,
}

/// What the first implementation's database told, each count the number removed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Removed {
    #[schema(value_type = schemas::True)]
    acknowledged: bool,
    #[schema(value_type = schemas::Count)]
    matched_count: u64,
    #[schema(value_type = schemas::Count)]
    modified_count: u64,
    #[schema(value_type = schemas::Count)]
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
    let removed = removed.map_err(under(FAILED))?;
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

pub(in crate::http::rest) fn describe() -> Description {
    Description::new(
        "cleanUpNotifications",
        "Remove old notifications",
        "Those of everybody, read and unread alike. For the roles `admin` and `service` alone. Any other key of the query is \
         refused.",
    )
    .query(
        "daysOld",
        "How many days old a notification must be to be removed.",
        integer().minimum(Some(1)).default(Some(DEFAULT_DAYS.into())),
    )
    .answers::<CleanedUp>(
        200,
        "They are removed.",
        json!({
            "success": true,
            "message": "Cleaned up notifications older than 30 days",
            "result": { "acknowledged": true, "matchedCount": 7, "modifiedCount": 7, "deletedCount": 7 },
        }),
    )
    .refuses(Code::Invalid, "daysOld must be a positive integer")
    .fails(FAILED)
}
