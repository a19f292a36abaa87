//! Signing tokens, for trying a node: `carillon token` and the development route.

use std::time::Duration;

use carillon_protocol::{id::UserId, time::Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value as Json};

use super::Role;
use crate::settings::AuthSettings;

/// Why no token can be signed.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// There are public keys at most, which sign nothing.
    #[error("no secret to sign with: set JWT_SECRET, or let the holder of the private key sign")]
    NoSecret,
    /// The settings know no such role.
    #[error("the settings switch this role off")]
    RoleOff,
    /// The signature failed.
    #[error("the token cannot be signed")]
    Signature(#[from] jsonwebtoken::errors::Error),
}

/// An HS256 token that a [`Verifier`](super::Verifier) of the same settings takes for `ttl` from `now` on, in whole
/// seconds; with `None` it does not expire.
///
/// # Errors
/// [`MintError`], where the settings have no secret or no such role.
pub fn mint(
    settings: &AuthSettings,
    user: &UserId,
    role: Role,
    ttl: Option<Duration>,
    now: Timestamp,
) -> Result<String, MintError> {
    let secret = settings.secret.as_ref().ok_or(MintError::NoSecret)?;
    let issued_at = now.as_millis() / 1_000;
    let mut claims = Map::new();
    claims.insert(settings.user_claim.clone(), Json::from(user.as_str()));
    if let Some(role) = role_name(settings, role)? {
        claims.insert(settings.role_claim.clone(), Json::from(role));
    }
    claims.insert(String::from("iat"), Json::from(issued_at));
    if let Some(ttl) = ttl {
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        claims.insert(String::from("exp"), Json::from(issued_at.saturating_add(seconds)));
    }
    for (claim, configured) in [("aud", &settings.audience), ("iss", &settings.issuer)] {
        if let Some(text) = configured {
            claims.insert(claim.to_owned(), Json::from(text.as_str()));
        }
    }
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    Ok(jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &claims,
        &key,
    )?)
}

fn role_name(settings: &AuthSettings, role: Role) -> Result<Option<&str>, MintError> {
    let name = match role {
        Role::User => return Ok(None),
        Role::Admin => &settings.admin_role,
        Role::Service => &settings.service_role,
    };
    name.as_deref().map(Some).ok_or(MintError::RoleOff)
}
