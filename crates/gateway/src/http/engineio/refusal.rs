//! Refusals of the Engine.IO endpoint: `{"code":<number>,"message":<text>}` (codes of engine.io 6, `server.ts`).

use actix_web::{
    HttpResponse,
    http::{StatusCode, header::RETRY_AFTER},
};
use serde::{Deserialize, Serialize};

use crate::telemetry::metrics::Rejection;

/// When a node that starts or drains, or one that is out of reach, is worth another try, in seconds.
const RETRY_UNAVAILABLE_SECONDS: u64 = 1;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    TransportUnknown,
    SessionUnknown,
    BadHandshakeMethod,
    BadRequest,
    Forbidden,
    UnsupportedVersion,
    /// A session takes GET and POST alone; anything else leaves it as it is.
    SessionMethod,
    /// The node starts or drains.
    NotReady,
    /// The session's node is out of reach, or too slow to answer.
    OutOfReach,
    /// The address opens too many, or the user polls and posts too often.
    TooMany {
        retry_after_ms: u64,
    },
    /// There is no room for a session, and none for telling its client so in answer to its CONNECT.
    Full {
        retry_after_ms: u64,
    },
}

#[derive(Serialize)]
struct Body {
    code: u8,
    message: &'static str,
}

impl Refusal {
    /// As metrics name it.
    pub(super) const fn rejection(self) -> Rejection {
        match self {
            Self::Forbidden => Rejection::Origin,
            Self::NotReady | Self::OutOfReach => Rejection::NotReady,
            Self::TooMany { .. } => Rejection::RequestRate,
            Self::Full { .. } => Rejection::ConnectionLimit,
            Self::TransportUnknown
            | Self::SessionUnknown
            | Self::BadHandshakeMethod
            | Self::BadRequest
            | Self::UnsupportedVersion
            | Self::SessionMethod => Rejection::BadRequest,
        }
    }

    pub(super) fn respond(self) -> HttpResponse {
        let (status, code, message) = match self {
            Self::TransportUnknown => (StatusCode::BAD_REQUEST, 0, "Transport unknown"),
            Self::SessionUnknown => (StatusCode::BAD_REQUEST, 1, "Session ID unknown"),
            Self::BadHandshakeMethod => (StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, 3, "Bad request"),
            Self::Forbidden => (StatusCode::FORBIDDEN, 4, "Forbidden"),
            Self::UnsupportedVersion => (StatusCode::BAD_REQUEST, 5, "Unsupported protocol version"),
            Self::SessionMethod => return HttpResponse::InternalServerError().finish(),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, 4, "Not ready"),
            Self::OutOfReach => (StatusCode::SERVICE_UNAVAILABLE, 4, "Unavailable"),
            Self::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, 4, "Too many requests"),
            Self::Full { .. } => (StatusCode::TOO_MANY_REQUESTS, 4, "Too many connections"),
        };
        let mut response = HttpResponse::build(status);
        match self {
            Self::NotReady | Self::OutOfReach => {
                response.insert_header((RETRY_AFTER, RETRY_UNAVAILABLE_SECONDS));
            }
            Self::TooMany { retry_after_ms } | Self::Full { retry_after_ms } => {
                response.insert_header((RETRY_AFTER, retry_after_ms.div_ceil(1_000).max(1)));
            }
            _ => {}
        }
        response.json(Body { code, message })
    }
}
