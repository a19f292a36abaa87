//! Request bodies, read within bounds. What is too large is read and thrown away for a while, so that a client that
//! writes before it reads gets to see the answer.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    error::PayloadError,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap},
};
use bytes::{Bytes, BytesMut};
use carillon_protocol::{
    limits,
    problem::{Code, Problem},
    value::Value,
};
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};

use super::error::ApiError;

/// Most bytes of a body that are read where it is too large, in all.
pub const MAX_DRAIN_BYTES: usize = 4_000_000;
/// How long a body may take to arrive.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How much room is made for a body before any of it has come.
const FIRST_ROOM_BYTES: usize = 65_536;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum BodyError {
    /// More bytes than the limit.
    #[error("the body is too large")]
    TooLarge,
    /// It ended early, came too slowly, or was framed wrongly.
    #[error("the body could not be read")]
    Broken,
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::new(Code::TooLarge, "Request body too large"),
            BodyError::Broken => Self::invalid("Request body could not be read"),
        }
    }
}

/// The `Content-Length` of a request, in bytes.
#[must_use]
pub fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body of at most `limit` bytes; `declared` is its [`declared_length`]. One that is larger is read on until
/// `drain` bytes have come in all, and none of it is kept.
///
/// # Errors
/// See [`BodyError`].
pub async fn read_limited<S>(
    payload: &mut S,
    declared: Option<u64>,
    limit: usize,
    drain: usize,
) -> Result<Bytes, BodyError>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let reading = async {
        let declared = declared.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let mut kept = BytesMut::with_capacity(declared.unwrap_or(0).min(limit).min(FIRST_ROOM_BYTES));
        let mut too_large = declared.is_some_and(|length| length > limit);
        let mut read = 0_usize;
        while let Some(chunk) = payload.next().await {
            // A body that breaks off while it is drained was too large all the same.
            let Ok(chunk) = chunk else {
                return Err(if too_large {
                    BodyError::TooLarge
                } else {
                    BodyError::Broken
                });
            };
            read = read.saturating_add(chunk.len());
            too_large |= read > limit;
            if !too_large {
                kept.extend_from_slice(&chunk);
                continue;
            }
            kept = BytesMut::new();
            if read >= drain {
                break;
            }
        }
        if too_large {
            Err(BodyError::TooLarge)
        } else {
            Ok(kept.freeze())
        }
    };
    tokio::time::timeout(READ_TIMEOUT, reading)
        .await
        .unwrap_or(Err(BodyError::Broken))
}

/// Reads a JSON body. A request without any body answers with `null`.
///
/// # Errors
/// 413 over [`limits::MAX_PAYLOAD_BYTES`], 415 for another type of content, 400 for what is no JSON.
pub async fn read_json<S>(request: &HttpRequest, payload: &mut S) -> Result<Value, ApiError>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let headers = request.headers();
    let body = read_limited(
        payload,
        declared_length(headers),
        limits::MAX_PAYLOAD_BYTES,
        MAX_DRAIN_BYTES,
    )
    .await?;
    if body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        return Ok(Value::Null);
    }
    if !is_json(headers) || is_encoded(headers) {
        let message = "Content-Type must be application/json, without Content-Encoding";
        return Err(ApiError::new(Code::UnsupportedMediaType, message));
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let text = std::str::from_utf8(&body).map_err(|_| ApiError::invalid("Request body is not UTF-8"))?;
    Value::from_json(text).map_err(|error| {
        Problem::new(Code::Invalid, "Request body is not valid JSON")
            .with_details(error.to_string())
            .into()
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// Chunks of `size` bytes, and how many of them were not read.
    async fn read(chunks: usize, size: usize, declared: Option<u64>) -> (Result<usize, BodyError>, usize) {
        let chunk = Bytes::from(vec![b'a'; size]);
        let mut payload = stream::iter(0..chunks).map(|_| Ok(chunk.clone()));
        let outcome = read_limited(&mut payload, declared, 100, 400).await;
        (outcome.map(|body| body.len()), payload.count().await)
    }

    #[actix_web::test]
    async fn a_body_up_to_the_limit_is_read() {
        assert_eq!(read(10, 10, None).await, (Ok(100), 0));
        assert_eq!(read(0, 0, Some(0)).await, (Ok(0), 0));
    }

    #[actix_web::test]
    async fn a_larger_one_is_drained_up_to_the_bound() {
        assert_eq!(read(11, 10, None).await, (Err(BodyError::TooLarge), 0));
        assert_eq!(read(60, 10, None).await, (Err(BodyError::TooLarge), 20));
        assert_eq!(read(60, 10, Some(600)).await, (Err(BodyError::TooLarge), 20));
    }

    #[actix_web::test]
    async fn a_body_that_breaks_off_is_broken() {
        let mut payload = stream::iter([Ok(Bytes::from_static(b"a")), Err(PayloadError::Incomplete(None))]);
        assert_eq!(
            read_limited(&mut payload, Some(10), 100, 400).await,
            Err(BodyError::Broken)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let mut payload = stream::once(async { Ok(Bytes::from_static(b"a")) })
            .chain(stream::pending())
            .boxed_local();
        assert_eq!(
            read_limited(&mut payload, None, 100, 400).await,
            Err(BodyError::Broken)
        );
    }
}
