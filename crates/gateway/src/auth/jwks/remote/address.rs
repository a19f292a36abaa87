//! The address of a key set, and asking it within bounds: time, bytes, redirects. What is in the answer is not looked at.

use std::{fmt, time::Duration};

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, CACHE_CONTROL, HeaderMap},
    redirect::{Attempt, Policy},
};

use crate::auth::jwks::KeySet;

/// Longest key set, in bytes.
const MAX_BYTES: usize = 256 * 1_024;
/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 3;

/// An http or https address. It is shown without its user, password and query, which may hold secrets.
#[derive(Clone)]
pub struct JwksUrl(Url);

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// To reach a server.
    pub(super) connect: Duration,
    /// All of a fetch, with redirects and the body.
    pub(super) whole: Duration,
}

/// What an address answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) text: Vec<u8>,
    /// How long it says that it is good.
    pub(super) max_age: Option<Duration>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            whole: Duration::from_secs(10),
        }
    }
}

impl JwksUrl {
    /// Whether a text is meant as an address, not as a path.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| {
            ["http", "https"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
        })
    }

    /// The address that a text is; `None` where it is none of http or https.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .map(Self)
    }

    /// Whether nobody on the way can change what is fetched: https, or this machine.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = |address: std::net::IpAddr| address.is_loopback();
        self.0.scheme() == "https" || host == "localhost" || address.parse().is_ok_and(is_loopback)
    }

    /// Fetches the key set once: how many of its keys can be used, and how many are passed over.
    ///
    /// # Errors
    /// Why there is no key set, in words for the operator.
    pub async fn try_out(&self) -> Result<(usize, usize), String> {
        let fetched = self.fetch(Bounds::default()).await?;
        KeySet::parse(&fetched.text).map(|set| set.counts())
    }

    /// Asks once. The client is made anew, since fetches are rare: no connection is kept, and the system's certificates are
    /// those of the moment.
    ///
    /// # Errors
    /// Why there is no answer with 200, or not within the bounds.
    pub(super) async fn fetch(&self, bounds: Bounds) -> Result<Fetched, String> {
        let client = Client::builder()
            .connect_timeout(bounds.connect)
            .timeout(bounds.whole)
            .redirect(Policy::custom(redirected))
            .referer(false)
            // The settings are the only reader of the environment.
            .no_proxy()
            .user_agent(concat!("carillon/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(in_words)?;
        let request = client
            .get(self.0.clone())
            .header(ACCEPT, "application/jwk-set+json, application/json");
        let response = request.send().await.map_err(in_words)?;
        if response.status() != StatusCode::OK {
            return Err(format!("it is answered with {}", response.status()));
        }
        let max_age = max_age(response.headers());
        let text = read(response).await?;
        Ok(Fetched { text, max_age })
    }
}

impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(url) = self;
        write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())?;
        f.write_str(if url.query().is_some() { "?…" } else { "" })
    }
}

impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwksUrl({self})")
    }
}

/// A redirect leads to https or keeps to its scheme, and there are few of them.
fn redirected(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("more than {MAX_REDIRECTS} redirects"));
    }
    if is_allowed(attempt.previous().last(), attempt.url()) {
        attempt.follow()
    } else {
        attempt.error("a redirect to another scheme than https")
    }
}

fn is_allowed(from: Option<&Url>, to: &Url) -> bool {
    to.scheme() == "https" || from.is_some_and(|from| from.scheme() == to.scheme())
}

/// The body, and not a byte more than a key set may have.
async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(in_words)? {
        if text.len() + chunk.len() > MAX_BYTES {
            return Err(format!("it has more than {MAX_BYTES} bytes"));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

/// How long an answer says that it is good; `no-cache` and `no-store` are no time at all.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut found = None;
    for directive in lines.flat_map(|line| line.split(',')) {
        let directive = directive.trim().to_ascii_lowercase();
        match directive.split_once('=') {
            None if matches!(&*directive, "no-cache" | "no-store") => return Some(Duration::ZERO),
            Some(("max-age", seconds)) => {
                found = seconds
                    .trim_matches('"')
                    .parse()
                    .ok()
                    .map(Duration::from_secs)
                    .or(found);
            }
            _ => {}
        }
    }
    found
}

/// An error with its causes. The address is left out: it may hold secrets, and the operator knows it.
fn in_words(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::from(error.without_url()))
}

#[cfg(test)]
mod tests;
