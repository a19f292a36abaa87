//! Long-polling over HTTP: the handshake, a held GET, a POST.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    web,
};
use bytestring::ByteString;
use carillon_socketio::{Engine, Handshake, Session, Transport};

use super::refusal::Refusal;
use crate::http::body::{self, BodyError};

/// Opens a session.
pub(super) fn open(engine: &Engine, handshake: Handshake) -> HttpResponse {
    payload(engine.open_polling(handshake))
}

/// A GET: waits until there is something for the client. Where the client goes first, actix drops this, and with it the
/// session ends.
pub(super) async fn get(session: &Arc<Session>) -> HttpResponse {
    let Some(poll) = session.poll() else {
        return refused(session);
    };
    poll.payload().await.map_or_else(|| refused(session), payload)
}

/// A POST: its packets are with the session when it is answered.
pub(super) async fn post(
    engine: &Engine,
    session: &Arc<Session>,
    request: &HttpRequest,
    mut payload: web::Payload,
) -> HttpResponse {
    let Some(post) = session.post() else {
        return refused(session);
    };
    // Binary payloads are those of older revisions.
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .map(actix_web::http::header::HeaderValue::as_bytes);
    if content_type.is_some_and(|value| value.eq_ignore_ascii_case(b"application/octet-stream")) {
        return empty(StatusCode::BAD_REQUEST);
    }
    let declared = body::declared_length(request.headers());
    let limit = engine.config().max_payload;
    let reading = body::read_limited(&mut payload, declared, limit, body::MAX_DRAIN_BYTES);
    let read = tokio::select! {
        read = reading => read,
        // A second POST came meanwhile, or the client is gone on its other connection: nobody waits for the rest.
        () = post.session_ended() => Err(BodyError::Broken),
    };
    let body = match read {
        Ok(body) => body,
        Err(BodyError::TooLarge) => {
            post.reject();
            return empty(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Err(BodyError::Broken) => return empty(StatusCode::BAD_REQUEST),
    };
    let body = ByteString::try_from(body.clone())
        .unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into());
    match post.receive(body).await {
        Ok(()) => HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/html"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .body("ok"),
        Err(_malformed) => empty(StatusCode::BAD_REQUEST),
    }
}

fn payload(payload: ByteString) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; charset=UTF-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(payload)
}

/// Two requests of one kind at once, or one after the upgrade.
fn refused(session: &Session) -> HttpResponse {
    match session.transport() {
        Transport::Polling => empty(StatusCode::BAD_REQUEST),
        Transport::WebSocket => Refusal::BadRequest.respond(),
    }
}

fn empty(status: StatusCode) -> HttpResponse {
    HttpResponse::new(status)
}
