//! What went wrong, as clients see it: one code per kind of refusal, the same over REST and on a socket.

use crate::value::{Object, Value};

/// The kind of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// A value that is wrong; the same request will fail again. 400 (415 and 422 have their own cases).
    Invalid,
    /// No token or a bad one. 401.
    Unauthorized,
    /// Somebody else's. 403.
    Forbidden,
    /// Not there. 404.
    NotFound,
    /// The route is there, the method is not. 405.
    MethodNotAllowed,
    /// More bytes than may be sent. 413.
    TooLarge,
    /// A body of a type that is not read. 415.
    UnsupportedMediaType,
    /// Too much at once; worth a retry after a while. 429.
    RateLimited,
    /// A fault on this side. 500.
    Internal,
    /// A server behind this one does not answer; worth a retry. 503.
    Unavailable,
    /// The token was good once. Sockets only.
    TokenExpired,
}

impl Code {
    /// As it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::TokenExpired => "token_expired",
        }
    }
}

/// A refusal: the text for people, the code for programs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({})", code.as_str())]
pub struct Problem {
    /// The contract's text for the operation that failed.
    pub message: String,
    /// The kind.
    pub code: Code,
    /// What exactly was wrong; shown to clients only where `NODE_ENV` is `development`, and over REST for `invalid`.
    pub details: Option<String>,
    /// When a retry is worth it, in milliseconds; with `rate_limited` and `unavailable`.
    pub retry_after_ms: Option<u64>,
}

impl Problem {
    /// A refusal without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code,
            details: None,
            retry_after_ms: None,
        }
    }

    /// With what exactly was wrong.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }

    /// With the time after which a retry is worth it, in milliseconds.
    #[must_use]
    pub const fn retry_after(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }

    /// The same refusal under an operation's own text (`Failed to join chat`).
    #[must_use]
    pub fn under(mut self, message: &str) -> Self {
        let cause = std::mem::replace(&mut self.message, message.to_owned());
        self.details.get_or_insert(cause);
        self
    }

    /// `{code, message, details?, retryAfterMs?}`: the payload of the `error` event, and of an ack under `error`.
    #[must_use]
    pub fn to_value(&self, with_details: bool) -> Value {
        let mut object = Object::with_capacity(4);
        object.push("message", self.message.clone());
        object.push("code", self.code.as_str());
        if let Some(details) = self.details.as_ref().filter(|_| with_details) {
            object.push("details", details.clone());
        }
        if let Some(millis) = self.retry_after_ms {
            object.push("retryAfterMs", millis);
        }
        Value::Object(object)
    }
}
