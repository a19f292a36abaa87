//! The Engine.IO endpoint: which request is what, and which is refused (Engine.IO v4; the order of engine.io 6,
//! `server.ts`). What is accepted goes on in `polling` and `websocket`.

mod frame_guard;
mod polling;
mod refusal;
mod websocket;

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, UPGRADE},
    },
    web,
};
use bytestring::ByteString;
use carillon_protocol::id::UserId;
use carillon_socketio::{Engine, Handshake, Session, Transport};

use refusal::Refusal;
use websocket::{BinaryFrames, Link};

use super::{
    client,
    health::{Readiness, Stage},
    origin::Origins,
};
use crate::limits::RequestQuota;

/// The protocol revision that is spoken: `EIO=4`.
const REVISION: &str = "4";
/// Where Socket.IO is served: every path that begins so.
pub const PREFIX: &str = "/socket.io/";

/// What the endpoint is made of; part of the data of its scope.
pub struct Endpoint {
    /// The sessions.
    pub engine: Arc<Engine>,
    /// Who may open one from a browser.
    pub origins: Origins,
    /// Whether new ones are taken.
    pub readiness: Arc<Readiness>,
    /// How many an address may open.
    pub quota: Arc<dyn RequestQuota>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

/// The query parameters that count.
#[derive(Debug, Default)]
struct Query {
    transport: Option<String>,
    sid: Option<String>,
    revision: Option<String>,
    /// `b64`: a client that cannot read binary frames.
    binary: BinaryFrames,
}

impl Query {
    fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
            .map(web::Query::into_inner)
            .unwrap_or_default();
        for (key, value) in pairs {
            let slot = match &*key {
                "transport" => &mut parsed.transport,
                "sid" => &mut parsed.sid,
                "EIO" => &mut parsed.revision,
                "b64" => {
                    parsed.binary = BinaryFrames::Base64;
                    continue;
                }
                _ => continue,
            };
            slot.get_or_insert(value);
        }
        parsed
    }
}

/// What a request is, once nothing speaks against it.
enum Accepted {
    OpenPolling,
    OpenWebSocket,
    Polling(Arc<Session>),
    Upgrade(Arc<Session>),
}

/// Adds the endpoint: every path that begins with `prefix`, a slash at its end.
pub fn configure(cfg: &mut web::ServiceConfig, prefix: &str, endpoint: web::Data<Endpoint>) {
    let resource = web::resource(format!("{prefix}{{rest:.*}}")).app_data(endpoint);
    cfg.service(resource.to(serve));
}

/// The refusal of a foreign origin.
pub(super) fn forbidden() -> HttpResponse {
    Refusal::Forbidden.respond()
}

async fn serve(endpoint: web::Data<Endpoint>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let query = Query::parse(request.query_string());
    let accepted = match accept(&endpoint, &request, &query) {
        Ok(accepted) => accepted,
        Err(refusal) => {
            tracing::debug!(?refusal, "engine.io request refused");
            return refusal.respond();
        }
    };
    let engine = &endpoint.engine;
    let link = match accepted {
        Accepted::OpenPolling => return polling::open(engine, handshake(&request)),
        Accepted::Polling(session) if request.method() == Method::GET => return polling::get(&session).await,
        Accepted::Polling(session) => return polling::post(engine, &session, &request, payload).await,
        Accepted::OpenWebSocket => Link::Open(handshake(&request)),
        Accepted::Upgrade(session) => Link::Upgrade(session),
    };
    websocket::serve(engine, &request, payload, query.binary, link).await
}

/// The checks, in the order of engine.io 6: transport, origin, then those of a session or those of a handshake.
fn accept(endpoint: &Endpoint, request: &HttpRequest, query: &Query) -> Result<Accepted, Refusal> {
    let transport = match query.transport.as_deref() {
        Some("polling") => Transport::Polling,
        Some("websocket") => Transport::WebSocket,
        _ => return Err(Refusal::TransportUnknown),
    };
    let headers = request.headers();
    let is_control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 127;
    if headers
        .get(ORIGIN)
        .is_some_and(|origin| origin.as_bytes().iter().any(is_control))
    {
        return Err(Refusal::BadRequest);
    }
    let upgrade = headers.get(UPGRADE).map(HeaderValue::as_bytes);
    let is_upgrade = upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
    let is_fitting = (transport == Transport::WebSocket) == is_upgrade;
    let Some(sid) = &query.sid else {
        return accept_handshake(endpoint, request, query, transport, is_fitting);
    };
    let session = endpoint.engine.session(sid).ok_or(Refusal::SessionUnknown)?;
    if !is_fitting || query.revision.as_deref() != Some(REVISION) {
        return Err(Refusal::BadRequest);
    }
    match (transport, session.transport()) {
        // Also one that is too many, which is accepted and closed.
        (Transport::WebSocket, _) => Ok(Accepted::Upgrade(session)),
        (Transport::Polling, Transport::WebSocket) => Err(Refusal::BadRequest),
        (Transport::Polling, Transport::Polling) => match *request.method() {
            Method::GET | Method::POST => {
                count_request(endpoint, &session)?;
                Ok(Accepted::Polling(session))
            }
            _ => Err(Refusal::SessionMethod),
        },
    }
}

/// A poll or post counts for its session's user, once there is one.
fn count_request(endpoint: &Endpoint, session: &Session) -> Result<(), Refusal> {
    let user = session
        .owner()
        .and_then(|owner| UserId::parse(owner.clone()).ok());
    let counted = user.map_or(Ok(()), |user| endpoint.quota.session_request(&user));
    counted.map_err(|retry_after_ms| Refusal::TooMany { retry_after_ms })
}

fn accept_handshake(
    endpoint: &Endpoint,
    request: &HttpRequest,
    query: &Query,
    transport: Transport,
    is_fitting: bool,
) -> Result<Accepted, Refusal> {
    if request.method() != Method::GET {
        return Err(Refusal::BadHandshakeMethod);
    }
    if !is_fitting {
        return Err(Refusal::BadRequest);
    }
    let headers = request.headers();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_allowed = |origin: &str| endpoint.origins.allows(origin, host);
    if headers
        .get(ORIGIN)
        .is_some_and(|origin| !origin.to_str().is_ok_and(is_allowed))
    {
        return Err(Refusal::Forbidden);
    }
    if query.revision.as_deref() != Some(REVISION) {
        return Err(Refusal::UnsupportedVersion);
    }
    if endpoint.readiness.stage() != Stage::Ready {
        return Err(Refusal::NotReady);
    }
    let admitted = endpoint.quota.request(client::address(request));
    admitted.map_err(|retry_after_ms| Refusal::TooMany { retry_after_ms })?;
    Ok(match transport {
        Transport::Polling => Accepted::OpenPolling,
        Transport::WebSocket => Accepted::OpenWebSocket,
    })
}

/// What the session keeps of the request that opened it: the address, and the header that may hold a token.
fn handshake(request: &HttpRequest) -> Handshake {
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let header = |value: &str| (ByteString::from_static("authorization"), ByteString::from(value));
    Handshake {
        address: client::address(request).to_string(),
        headers: token.map(header).into_iter().collect(),
    }
}
