//! Tokens for the users of a run.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;

/// How long a token is good for, in seconds.
const LIFETIME: u64 = 60 * 60;

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(rename = "userId")]
    user: &'a str,
    exp: u64,
}

/// A token of `user`, signed with `secret`.
pub(crate) fn mint(user: &str, secret: &str) -> anyhow::Result<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a program of its own, without a clock to inject"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = Claims {
        user,
        exp: now + LIFETIME,
    };
    let key = EncodingKey::from_secret(secret.as_bytes());
    Ok(encode(&Header::default(), &claims, &key)?)
}
