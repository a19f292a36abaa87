//! What the claims of a token say, once its signature is known to be good.

use carillon_protocol::{id::UserId, time::Timestamp, value::Value};
use serde_json::{Map, Value as Json};

use super::{Identity, LEEWAY_MS, Role, TokenError};
use crate::settings::AuthSettings;

/// A token's claims.
pub(super) type Claims = Map<String, Json>;

/// Who the claims name, if the token is for this node and its time has come and is not over.
pub(super) fn identify(
    claims: &Claims,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Identity, TokenError> {
    let expires_at = date(claims, "exp")?;
    if expires_at.is_none() && settings.require_exp {
        return Err(TokenError::Invalid);
    }
    if date(claims, "nbf")?.is_some_and(|not_before| now.plus_millis(LEEWAY_MS) < not_before) {
        return Err(TokenError::Invalid);
    }
    if !names(claims, "aud", settings.audience.as_deref()) || !is(claims, "iss", settings.issuer.as_deref()) {
        return Err(TokenError::Invalid);
    }
    let identity = Identity {
        user: user(claims, &settings.user_claim)?,
        role: role(claims, settings),
        expires_at,
    };
    // Last, so that only a token that is good in all else is called expired.
    if expires_at.is_some_and(|end| end.plus_millis(LEEWAY_MS) <= now) {
        return Err(TokenError::Expired);
    }
    Ok(identity)
}

/// A time in seconds since the epoch, whole or not. What lies beyond the years 0 to 9999 counts as their end.
fn date(claims: &Claims, name: &str) -> Result<Option<Timestamp>, TokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let Json::Number(number) = value else {
        return Err(TokenError::Invalid);
    };
    let millis = match (number.as_i64(), number.as_f64()) {
        (Some(seconds), _) => seconds.saturating_mul(1_000),
        (None, Some(seconds)) => truncate(seconds * 1_000.0),
        (None, None) => return Err(TokenError::Invalid),
    };
    Ok(Some(Timestamp::from_millis(millis)))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and the fraction of a millisecond may go"
)]
const fn truncate(millis: f64) -> i64 {
    millis as i64
}

/// The user: the claim, or `sub` where it is absent. What is there must be an id.
fn user(claims: &Claims, claim: &str) -> Result<Option<UserId>, TokenError> {
    let Some(id) = claims.get(claim).or_else(|| claims.get("sub")) else {
        return Ok(None);
    };
    UserId::from_value(&scalar(id))
        .map(Some)
        .map_err(|_| TokenError::Invalid)
}

/// Text and numbers as the wire has them; the rest, which is no id, as nothing.
fn scalar(json: &Json) -> Value {
    match json {
        Json::String(text) => Value::from(text.clone()),
        Json::Number(number) => {
            let whole = number
                .as_i64()
                .map(Value::from)
                .or_else(|| number.as_u64().map(Value::from));
            whole
                .or_else(|| number.as_f64().map(Value::from))
                .unwrap_or_default()
        }
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => Value::Null,
    }
}

fn role(claims: &Claims, settings: &AuthSettings) -> Role {
    let has = |role: &Option<String>| {
        role.as_deref()
            .is_some_and(|role| names(claims, &settings.role_claim, Some(role)))
    };
    if has(&settings.admin_role) {
        Role::Admin
    } else if has(&settings.service_role) {
        Role::Service
    } else {
        Role::User
    }
}

/// Whether a claim is the text or a list with it; anything is right where none is wanted.
fn names(claims: &Claims, claim: &str, wanted: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    match claims.get(claim) {
        Some(Json::Array(texts)) => texts.iter().any(|text| text == wanted),
        claim => claim.is_some_and(|text| text == wanted),
    }
}

/// Whether a claim is the text; anything is right where none is wanted.
fn is(claims: &Claims, claim: &str, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| claims.get(claim).is_some_and(|text| text == wanted))
}
