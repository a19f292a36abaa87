//! Verifying tokens (RFC 7519 over RFC 7515, compact form).
//!
//! The signature is `jsonwebtoken`'s work. Header, times and claims are judged here: times by the node's clock,
//! and keys are those of the settings alone, whatever a header says about `jku`, `jwk` or `x5u`; its `kid` picks among
//! those of the key set.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value as Json};

use super::{
    Identity, MAX_TOKEN_BYTES, TokenError, claims,
    jwks::{Jwks, Named},
};
use crate::{clock::Clock, settings::AuthSettings};

/// A secret of HS256 is as long as its hash, RFC 7518, section 3.2.
const MIN_SECRET_BYTES: usize = 32;

/// Verifies tokens by the keys of the settings.
#[derive(Debug)]
pub struct Verifier {
    /// Each key beside the one algorithm it is for, so that no public key is ever taken for a secret.
    keys: Vec<(Algorithm, DecodingKey)>,
    /// More public keys, which change while the node runs.
    jwks: Option<Arc<Jwks>>,
    settings: AuthSettings,
    clock: Arc<dyn Clock>,
    attempts: [AtomicU64; Attempt::ALL.len()],
}

/// What came of a token, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It is good.
    Ok,
    /// Its time is over.
    Expired,
    /// It is no token, or of a kind that is not taken.
    Malformed,
    /// None of the keys made its signature.
    BadSignature,
    /// The same, and it names a key that the key set lacks.
    UnknownKid,
    /// It does not say what it must.
    Claims,
}

impl Attempt {
    /// Every one, in the order of the variants.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::Expired,
        Self::Malformed,
        Self::BadSignature,
        Self::UnknownKid,
        Self::Claims,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Expired => "expired",
            Self::Malformed => "malformed",
            Self::BadSignature => "bad_signature",
            Self::UnknownKid => "unknown_kid",
            Self::Claims => "claims",
        }
    }
}

/// The cryptography that was built in does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic self-test failed: HS256 does not give its known signature")]
pub struct BackendError;

impl Verifier {
    /// A verifier with all keys of the settings: one of each kind or several.
    ///
    /// # Errors
    /// [`BackendError`], where the built-in cryptography fails its self-test.
    pub fn new(settings: &AuthSettings, clock: Arc<dyn Clock>) -> Result<Self, BackendError> {
        self_test()?;
        let secrets = settings.secret.iter().chain(&settings.previous_secret);
        let secrets = secrets.map(|secret| DecodingKey::from_secret(secret.expose_secret().as_bytes()));
        let public = settings
            .public_keys
            .iter()
            .map(|key| (key.algorithm, key.key.clone()));
        let keys = secrets.map(|key| (Algorithm::HS256, key)).chain(public).collect();
        Ok(Self {
            keys,
            jwks: settings.jwks.clone().map(|source| Arc::new(Jwks::new(source))),
            settings: settings.clone(),
            clock,
            attempts: Default::default(),
        })
    }

    /// The key set, where there is one: to be kept fresh by whoever runs the node.
    #[must_use]
    pub const fn jwks(&self) -> Option<&Arc<Jwks>> {
        self.jwks.as_ref()
    }

    /// Who the token names and what it allows, at this moment.
    ///
    /// # Errors
    /// [`TokenError::Expired`] where its time alone is over, [`TokenError::Invalid`] for anything else: a signature by
    /// none of the keys, an algorithm that is not its key's or that the key set has not under its `kid`, a header
    /// extension (`crit`), a time not yet come, an audience or issuer other than those configured, a user's id that is
    /// none, more than [`MAX_TOKEN_BYTES`].
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let judged = self.judge(token);
        let attempt = judged.as_ref().map_or_else(|refusal| *refusal, |_| Attempt::Ok);
        if let Some(count) = self.attempts.get(attempt as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        judged.map_err(|refusal| match refusal {
            Attempt::Expired => TokenError::Expired,
            _ => TokenError::Invalid,
        })
    }

    /// How many tokens were looked at so far, in the order of [`Attempt::ALL`].
    #[must_use]
    pub fn attempts(&self) -> [u64; Attempt::ALL.len()] {
        self.attempts
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    fn judge(&self, token: &str) -> Result<Identity, Attempt> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Attempt::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Attempt::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Attempt::Malformed)?;
        let header = decode(header).ok_or(Attempt::Malformed)?;
        let algorithm = algorithm(&header).ok_or(Attempt::Malformed)?;
        let kid = header.get("kid").and_then(Json::as_str);
        self.check_signature(message, signature, algorithm, kid)?;
        let payload = decode(payload).ok_or(Attempt::Malformed)?;
        claims::identify(&payload, &self.settings, self.clock.now()).map_err(|error| match error {
            TokenError::Expired => Attempt::Expired,
            TokenError::Invalid => Attempt::Claims,
        })
    }

    /// Whether one of the algorithm's own keys made the signature: of the key set's those that `kid` may mean.
    fn check_signature(
        &self,
        message: &str,
        signature: &str,
        algorithm: Algorithm,
        kid: Option<&str>,
    ) -> Result<(), Attempt> {
        let signed = |is_signed| {
            if is_signed {
                Ok(())
            } else {
                Err(Attempt::BadSignature)
            }
        };
        let made_it = |key: &DecodingKey| {
            crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false)
        };
        let is_by_own = || {
            let mut own = self
                .keys
                .iter()
                .filter(|(its_algorithm, _)| *its_algorithm == algorithm);
            own.any(|(_, key)| made_it(key))
        };
        let Some(jwks) = &self.jwks else {
            return signed(is_by_own());
        };
        let set = jwks.current();
        let named = kid.map(|kid| set.named(kid, algorithm));
        if named == Some(Named::OtherAlgorithm) {
            return Err(Attempt::BadSignature);
        }
        let is_signed = set.candidates(kid, algorithm).any(made_it) || is_by_own();
        if !is_signed && named == Some(Named::Nothing) {
            jwks.miss();
            return Err(Attempt::UnknownKid);
        }
        signed(is_signed)
    }
}

/// What an operator should know about the keys, in words for the log.
#[must_use]
pub fn warnings(settings: &AuthSettings) -> Vec<String> {
    let secrets = [
        ("JWT_SECRET", &settings.secret),
        ("CARILLON_JWT_SECRET_PREVIOUS", &settings.previous_secret),
    ];
    let lengths = secrets
        .into_iter()
        .filter_map(|(name, secret)| Some((name, secret.as_ref()?.expose_secret().len())));
    lengths
        .filter(|(_, bytes)| *bytes < MIN_SECRET_BYTES)
        .map(|(name, bytes)| {
            format!("{name} has {bytes} bytes: who sees a token can guess it; take {MIN_SECRET_BYTES} random bytes or more")
        })
        .collect()
}

/// The algorithm that a header names, if it is one of ours and no extension is critical.
fn algorithm(header: &Map<String, Json>) -> Option<Algorithm> {
    if header.contains_key("crit") {
        return None;
    }
    match header.get("alg")?.as_str()? {
        "HS256" => Some(Algorithm::HS256),
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

fn decode(part: &str) -> Option<Map<String, Json>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Signs and verifies test case 2 of RFC 4231, so that a build without working cryptography does not start.
fn self_test() -> Result<(), BackendError> {
    const KEY: &[u8] = b"Jefe";
    const MESSAGE: &[u8] = b"what do ya want for nothing?";
    const SIGNATURE: &str = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM";
    let signed = crypto::sign(MESSAGE, &EncodingKey::from_secret(KEY), Algorithm::HS256);
    let verified = crypto::verify(
        SIGNATURE,
        MESSAGE,
        &DecodingKey::from_secret(KEY),
        Algorithm::HS256,
    );
    if signed.is_ok_and(|signed| signed == SIGNATURE) && verified.unwrap_or(false) {
        Ok(())
    } else {
        Err(BackendError)
    }
}
