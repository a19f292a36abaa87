//! How the table reads what is more than a number or a word.

use std::{num::NonZeroU32, path::Path, time::Duration};

use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

use crate::{
    auth,
    http::{client::Proxies, origin::Origins},
    settings::read::{list, number, text},
};

/// Keeps what was read.
pub(super) fn put<T>(slot: &mut T, read: Result<T, String>) -> Result<(), String> {
    *slot = read?;
    Ok(())
}

/// A heartbeat's time in milliseconds: a day at most.
pub(super) fn millis(given: &str) -> Result<Duration, String> {
    number(given, 1, 86_400_000).map(Duration::from_millis)
}

pub(super) fn quota(given: &str) -> Result<NonZeroU32, String> {
    number(
        given,
        NonZeroU32::MIN,
        NonZeroU32::MIN.saturating_add(999_999_999),
    )
}

pub(super) fn secret(given: &str) -> Result<Option<SecretString>, String> {
    text(given).map(|secret| Some(SecretString::from(secret)))
}

/// Shorter ones can be guessed from what they seal.
const LEAST_CLUSTER_SECRET_BYTES: usize = 16;

pub(super) fn cluster_secret(given: &str) -> Result<Option<SecretString>, String> {
    if given.len() < LEAST_CLUSTER_SECRET_BYTES {
        return Err(format!("a text of {LEAST_CLUSTER_SECRET_BYTES} bytes or more"));
    }
    secret(given)
}

/// A server's address of one of these schemes. It is a secret, since it may hold a password.
pub(super) fn uri(given: &str, schemes: &[&str]) -> Result<Option<SecretString>, String> {
    let names_a_server = |scheme: &&str| {
        given
            .strip_prefix(*scheme)
            .and_then(|rest| rest.strip_prefix("://"))
            .is_some_and(|server| !server.is_empty() && !server.starts_with('/'))
    };
    if schemes.iter().any(names_a_server) {
        return secret(given);
    }
    Err(format!(
        "an address that begins with {}://",
        schemes.join(":// or ")
    ))
}

/// The address of a server that is spoken to without TLS.
pub(super) fn http_address(given: &str) -> Result<String, String> {
    uri(given, &["http"]).map(|_| given.to_owned())
}

/// A share of a whole.
pub(super) fn ratio(given: &str) -> Result<f64, String> {
    let share = given.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| String::from("a number from 0 to 1"))
}

/// Nothing that has a meaning in keys, channels or their patterns.
pub(super) fn redis_key(given: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    if (1..=100).contains(&given.len()) && given.bytes().all(is_plain) {
        return Ok(given.to_owned());
    }
    Err(String::from("1 to 100 letters, digits or . _ : / -"))
}

pub(super) fn role(given: &str) -> Option<String> {
    (!matches!(given, "" | "off")).then(|| given.to_owned())
}

pub(super) fn filter(given: &str) -> Result<String, String> {
    match EnvFilter::try_new(given) {
        Ok(_) if !given.is_empty() => Ok(given.to_owned()),
        _ => Err(String::from(
            "levels (error, warn, info, debug, trace, off), also as module=level, separated by commas",
        )),
    }
}

pub(super) fn origins(given: &str) -> Result<Origins, String> {
    Origins::parse(given).map_err(|_| {
        String::from(
            "origins such as https://app.example or http://localhost:3000, separated by commas, each with its scheme \
             and without a path",
        )
    })
}

/// Keys from PEM text, or from files where none is in the text itself. Variables often hold line ends as `\n`.
pub(super) fn public_keys(given: &str) -> Result<Vec<auth::PublicKey>, String> {
    if given.contains("-----BEGIN ") {
        return auth::PublicKey::read_all(&given.replace("\\n", "\n"));
    }
    let mut keys = Vec::new();
    for path in list(given).map(Path::new) {
        let pem = std::fs::read_to_string(path).map_err(|error| {
            format!(
                "PEM files or PEM text; {} cannot be read: {error}",
                path.display()
            )
        })?;
        keys.extend(auth::PublicKey::read_all(&pem)?);
    }
    Ok(keys)
}

/// A key set's address, which is not asked here, or its file, which is read.
pub(super) fn jwks(given: &str) -> Result<auth::JwksSource, String> {
    if auth::JwksUrl::is_one(given) {
        return auth::JwksUrl::parse(given)
            .map(auth::JwksSource::Url)
            .ok_or_else(|| String::from("an address such as https://issuer.example/jwks.json, or a file"));
    }
    let path = text(given)?;
    auth::JwksFile::open(Path::new(&path))
        .map(auth::JwksSource::File)
        .map_err(|reason| format!("a file with a JSON Web Key Set (`{{\"keys\": […]}}`); {reason}"))
}

pub(super) fn proxies(given: &str) -> Result<Proxies, String> {
    Proxies::parse(given).ok_or_else(|| {
        String::from(
            "networks such as 10.0.0.0/8, 192.0.2.7 or fd00::/8, separated by commas, each without bits beyond its prefix",
        )
    })
}
