//! Tokens, as any text: a line of the header, then the claims.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use carillon_protocol::{id::UserId, text::utf16_len, value::Value};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation, crypto, errors::ErrorKind};
use secrecy::SecretString;
use serde_json::{Map, Value as Json};

use super::{Identity, LEEWAY_MS, Role, Verifier, authenticate};
use crate::{
    clock::{Clock as _, SystemClock},
    settings::AuthSettings,
};

const SECRET: &str = "a secret that no input is signed with";
const AUDIENCE: &str = "chat";

/// Takes any text for a token, and for the header and the claims of a token that is signed.
///
/// # Panics
/// Where a token is taken that nobody signed, or one whose claims or header forbid it; where `jsonwebtoken` refuses the same
/// claims.
pub fn fuzz_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let settings = AuthSettings {
        secret: Some(SecretString::from(SECRET)),
        audience: Some(AUDIENCE.to_owned()),
        ..AuthSettings::default()
    };
    let Ok(verifier) = Verifier::new(&settings, Arc::new(SystemClock::new())) else {
        return;
    };
    assert!(verifier.verify(text).is_err(), "nobody signed {text}");

    let (header, claims) = text.split_once('\n').unwrap_or((r#"{"alg":"HS256"}"#, text));
    if let Some(token) = sign(header, claims) {
        if let Ok(identity) = verifier.verify(&token) {
            header_allows(header);
            claims_allow(claims, &identity);
        }
        // In a handshake: as text, and whoever else the client says that it is.
        if let Ok(auth) = Value::from_json(claims) {
            let _ = authenticate(&verifier, Some(&auth), Some(&format!("Bearer {token}")));
        }
    }
}

fn sign(header: &str, claims: &str) -> Option<String> {
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).ok()?;
    Some(format!("{message}.{signature}"))
}

fn header_allows(header: &str) {
    let header: Map<String, Json> = serde_json::from_str(header).unwrap_or_default();
    assert!(header.get("alg").is_some_and(|alg| alg == "HS256") && !header.contains_key("crit"));
}

fn claims_allow(claims: &str, identity: &Identity) {
    let now = SystemClock::new().now();
    assert!(
        identity
            .expires_at
            .is_none_or(|end| end.plus_millis(LEEWAY_MS) >= now)
    );
    if let Some(user) = &identity.user {
        assert!(UserId::parse(user.as_str().to_owned()).is_ok() && utf16_len(user.as_str()) > 0);
    }
    let read: Map<String, Json> = serde_json::from_str(claims).unwrap_or_default();
    if identity.role != Role::User {
        let role = read.get("role").map(Json::to_string).unwrap_or_default();
        assert!(role.contains("admin") || role.contains("service"), "{claims}");
    }
    let has_audience = read.get("aud").is_some_and(|aud| match aud {
        Json::Array(named) => named.iter().any(|name| name == AUDIENCE),
        named => named == AUDIENCE,
    });
    assert!(has_audience, "{claims}");
    // The times by another reader. As they were read here: of a claim that is given twice the last one counts (RFC 7519, 4),
    // and theirs refuses it.
    let times: Map<String, Json> = read
        .into_iter()
        .filter(|(name, _)| ["exp", "nbf"].contains(&&**name))
        .collect();
    let Some(token) = sign(r#"{"alg":"HS256"}"#, &Json::Object(times).to_string()) else {
        return;
    };
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_aud = false;
    validation.validate_nbf = true;
    // A second of ours is a thousandth part finer than theirs.
    validation.leeway = LEEWAY_MS.unsigned_abs() / 1_000 + 1;
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    let theirs = jsonwebtoken::decode::<Map<String, Json>>(&token, &key, &validation);
    // Theirs knows no time beyond 64 bits; here it is one that does not come.
    let is_refused = theirs.is_err_and(|error| !matches!(error.kind(), ErrorKind::InvalidClaimFormat(_)));
    assert!(!is_refused, "{claims}");
}
