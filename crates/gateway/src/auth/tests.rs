mod claims;
mod handshakes;
mod key_sets;
mod minting;
mod signatures;

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use carillon_protocol::{
    id::ObjectId,
    value::{Object, Value},
};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use proptest::prelude::*;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value as Json, json};

use super::*;
use crate::{clock::Clock, settings::AuthSettings};

const SECRET: &str = "test-only secret of thirty-two bytes";
const RSA_PUBLIC: &str = include_str!("fixtures/test-only-rsa-public.pem");
const RSA_PRIVATE: &str = include_str!("fixtures/test-only-rsa-private.pem");
const P256_PUBLIC: &str = include_str!("fixtures/test-only-p256-public.pem");
const P256_PRIVATE: &str = include_str!("fixtures/test-only-p256-private.pem");
const ED25519_PUBLIC: &str = include_str!("fixtures/test-only-ed25519-public.pem");
const ED25519_PRIVATE: &str = include_str!("fixtures/test-only-ed25519-private.pem");
/// The time on the tests' clock, in seconds.
const NOW: i64 = 1_790_000_000;

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(NOW * 1_000)
    }

    fn new_id(&self) -> ObjectId {
        ObjectId::from_bytes([0; 12])
    }
}

fn secret_settings() -> AuthSettings {
    AuthSettings {
        secret: Some(SecretString::from(SECRET)),
        ..AuthSettings::default()
    }
}

fn verifier(settings: &AuthSettings) -> Verifier {
    Verifier::new(settings, Arc::new(Stopped)).unwrap()
}

fn sign_with(header: &Json, claims: &[u8], key: &EncodingKey, algorithm: Algorithm) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", part(header.to_string().as_bytes()), part(claims));
    let signature = crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn sign_header(header: &Json, claims: &Json) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    sign_with(header, claims.to_string().as_bytes(), &key, Algorithm::HS256)
}

fn sign(claims: &Json) -> String {
    sign_header(&json!({"alg": "HS256", "typ": "JWT"}), claims)
}

fn verify_with(settings: &AuthSettings, claims: &Json) -> Result<Identity, TokenError> {
    verifier(settings).verify(&sign(claims))
}

fn verify(claims: &Json) -> Result<Identity, TokenError> {
    verify_with(&secret_settings(), claims)
}

fn user(claims: &Json) -> Result<Option<String>, TokenError> {
    verify(claims).map(|identity| identity.user.map(|user| user.to_string()))
}
