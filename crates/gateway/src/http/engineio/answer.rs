//! What a request of a polling session is answered: made by the node that has the session, written by the one that the
//! request came to.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
};
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// An answer, as far as it differs from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Packets for the client.
    Payload(ByteString),
    /// The session has the packets of a POST.
    Taken,
    /// The request breaks the rules of the transport: 400 without a body, as engine.io 6 has it.
    Broken,
    /// The body of a POST is over the limit.
    TooLarge,
    /// Any other refusal.
    Refused(Refusal),
}

impl Answer {
    pub(super) fn respond(self) -> HttpResponse {
        match self {
            Self::Payload(payload) => HttpResponse::Ok()
                .insert_header((CONTENT_TYPE, "text/plain; charset=UTF-8"))
                .insert_header((CACHE_CONTROL, "no-store"))
                .body(payload),
            Self::Taken => HttpResponse::Ok()
                .insert_header((CONTENT_TYPE, "text/html"))
                .insert_header((CACHE_CONTROL, "no-store"))
                .body("ok"),
            Self::Broken => HttpResponse::new(StatusCode::BAD_REQUEST),
            Self::TooLarge => HttpResponse::new(StatusCode::PAYLOAD_TOO_LARGE),
            Self::Refused(refusal) => refusal.respond(),
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
