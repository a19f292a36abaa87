//! The Engine.IO endpoint: which request is what, and every refusal (Engine.IO v4; codes of engine.io 6, `server.ts`).
//! What it accepts goes on in [`polling`](super::polling) and [`websocket`](super::websocket).

use std::{net::IpAddr, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method, StatusCode,
        header::{AUTHORIZATION, HOST, ORIGIN, RETRY_AFTER, UPGRADE},
    },
    web,
};
use bytestring::ByteString;
use carillon_socketio::{Engine, Handshake, Session, Transport};
use serde::Serialize;

use super::{
    health::{Readiness, Stage},
    origin::Origins,
    polling, websocket,
};
use crate::limits::RequestQuota;

/// The protocol revision that is spoken: `EIO=4`.
const REVISION: &str = "4";
/// When a node that starts or drains is worth another try, in seconds.
const RETRY_NOT_READY_SECONDS: u64 = 1;

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

/// Why a request is refused: `{"code":<number>,"message":<text>}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    TransportUnknown,
    SessionUnknown,
    BadHandshakeMethod,
    BadRequest,
    Forbidden,
    UnsupportedVersion,
    /// A session takes GET and POST alone.
    MethodNotAllowed,
    /// The node starts or drains.
    NotReady,
    /// The address opens too many.
    TooMany {
        retry_after_ms: u64,
    },
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Body {
    code: u8,
    message: &'static str,
}

impl Refusal {
    pub(super) fn respond(self) -> HttpResponse {
        let (status, code, message) = match self {
            Self::TransportUnknown => (StatusCode::BAD_REQUEST, 0, "Transport unknown"),
            Self::SessionUnknown => (StatusCode::BAD_REQUEST, 1, "Session ID unknown"),
            Self::BadHandshakeMethod => (StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, 3, "Bad request"),
            Self::Forbidden => (StatusCode::FORBIDDEN, 4, "Forbidden"),
            Self::UnsupportedVersion => (StatusCode::BAD_REQUEST, 5, "Unsupported protocol version"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, 3, "Bad request"),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, 4, "Not ready"),
            Self::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, 4, "Too many connections"),
        };
        let mut response = HttpResponse::build(status);
        match self {
            Self::NotReady => _ = response.insert_header((RETRY_AFTER, RETRY_NOT_READY_SECONDS)),
            Self::TooMany { retry_after_ms } => {
                response.insert_header((RETRY_AFTER, retry_after_ms.div_ceil(1_000).max(1)));
            }
            _ => {}
        }
        response.json(Body { code, message })
    }
}

/// The query parameters that count.
#[derive(Debug, Default)]
struct Query {
    transport: Option<String>,
    sid: Option<String>,
    revision: Option<String>,
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

/// Adds the endpoint under `path` (`/socket.io`): every path that begins with it and a slash. The data of its scope
/// holds the [`Endpoint`].
pub fn configure(cfg: &mut web::ServiceConfig, path: &str, endpoint: web::Data<Endpoint>) {
    let resource = web::resource(format!("{path}/{{rest:.*}}"))
        .app_data(endpoint)
        .to(serve);
    cfg.service(resource);
}

async fn serve(endpoint: web::Data<Endpoint>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let accepted = match accept(&endpoint, &request) {
        Ok(accepted) => accepted,
        Err(refusal) => {
            tracing::debug!(?refusal, "engine.io request refused");
            return refusal.respond();
        }
    };
    match accepted {
        Accepted::OpenPolling => polling::open(&endpoint.engine, handshake(&request)),
        Accepted::Polling(session) if request.method() == Method::GET => polling::get(&session).await,
        Accepted::Polling(session) => polling::post(&endpoint.engine, &session, &request, payload).await,
        Accepted::OpenWebSocket => websocket::serve(&endpoint.engine, &request, payload, |engine| {
            engine.open_websocket(handshake(&request))
        }),
        Accepted::Upgrade(session) => websocket::serve(&endpoint.engine, &request, payload, |engine| {
            engine.upgrade(&session)
        }),
    }
}

/// The checks, in the order of engine.io 6: transport, origin, then those of a session or those of a handshake.
fn accept(endpoint: &Endpoint, request: &HttpRequest) -> Result<Accepted, Refusal> {
    let query = Query::parse(request.query_string());
    let transport = match query.transport.as_deref() {
        Some("polling") => Transport::Polling,
        Some("websocket") => Transport::WebSocket,
        _ => return Err(Refusal::TransportUnknown),
    };
    let origin = request.headers().get(ORIGIN);
    if origin.is_some_and(|origin| {
        origin
            .as_bytes()
            .iter()
            .any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 127)
    }) {
        return Err(Refusal::BadRequest);
    }
    let is_upgrade = request
        .headers()
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    match query.sid {
        Some(sid) => {
            let session = endpoint.engine.session(&sid).ok_or(Refusal::SessionUnknown)?;
            if query.revision.as_deref() != Some(REVISION) {
                return Err(Refusal::BadRequest);
            }
            match transport {
                Transport::WebSocket if is_upgrade => Ok(Accepted::Upgrade(session)),
                Transport::Polling if !is_upgrade && session.transport() == Transport::Polling => {
                    let is_known = matches!(*request.method(), Method::GET | Method::POST);
                    if is_known {
                        Ok(Accepted::Polling(session))
                    } else {
                        Err(Refusal::MethodNotAllowed)
                    }
                }
                Transport::WebSocket | Transport::Polling => Err(Refusal::BadRequest),
            }
        }
        None => {
            if request.method() != Method::GET {
                return Err(Refusal::BadHandshakeMethod);
            }
            if (transport == Transport::WebSocket) != is_upgrade {
                return Err(Refusal::BadRequest);
            }
            let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
            let is_allowed = |origin: &str| endpoint.origins.allows(origin, host);
            if origin.is_some_and(|origin| !origin.to_str().is_ok_and(is_allowed)) {
                return Err(Refusal::Forbidden);
            }
            if query.revision.as_deref() != Some(REVISION) {
                return Err(Refusal::UnsupportedVersion);
            }
            if endpoint.readiness.stage() != Stage::Ready {
                return Err(Refusal::NotReady);
            }
            let address = request
                .peer_addr()
                .map_or(IpAddr::from([0, 0, 0, 0]), |address| address.ip());
            endpoint
                .quota
                .request(address)
                .map_err(|retry_after_ms| Refusal::TooMany { retry_after_ms })?;
            Ok(match transport {
                Transport::Polling => Accepted::OpenPolling,
                Transport::WebSocket => Accepted::OpenWebSocket,
            })
        }
    }
}

/// What the session keeps of the request that opened it: the address, and the header that may hold a token.
fn handshake(request: &HttpRequest) -> Handshake {
    let address = request
        .peer_addr()
        .map(|address| address.ip().to_string())
        .unwrap_or_default();
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let header = |value: &str| (ByteString::from_static("authorization"), ByteString::from(value));
    Handshake {
        address,
        headers: token.map(header).into_iter().collect(),
    }
}
