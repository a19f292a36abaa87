//! Tokens for the users of a run.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;

/// How long a token is good for, in seconds.
const LIFETIME: u64 = 60 * 60;

#[derive(Serialize)]
struct Claims<'a> {
    /// `sub`, because every server knows that claim.
    sub: &'a str,
    exp: u64,
}

/// A token of `user`, signed with `secret`.
pub(crate) fn mint(user: &str, secret: &str) -> anyhow::Result<String> {
    let claims = Claims {
        sub: user,
        exp: epoch_seconds()? + LIFETIME,
    };
    let key = EncodingKey::from_secret(secret.as_bytes());
    Ok(encode(&Header::default(), &claims, &key)?)
}

fn epoch_seconds() -> anyhow::Result<u64> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a program of its own, without a clock to inject"
    )]
    let now = SystemTime::now();
    Ok(now.duration_since(UNIX_EPOCH)?.as_secs())
}
