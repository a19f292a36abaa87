//! The Engine.IO endpoint: which request is what, and which is refused (Engine.IO v4; the order of engine.io 6,
//! `server.ts`). What is accepted goes on in `polling` and `websocket`, by way of `forwarding` where another node has the
//! session.

mod answer;
mod polling;
mod refusal;
mod websocket;

use std::{net::IpAddr, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, ORIGIN, UPGRADE},
    },
    web,
};
use bytes::Bytes;
use bytestring::ByteString;
use carillon_socketio::{Engine, Handshake, Place, Transport};

pub(crate) use answer::Answer;
pub(crate) use polling::OwnSessions;
pub use polling::{SessionRequest, Wanted};
pub(crate) use refusal::Refusal;
#[cfg(feature = "fuzzing")]
pub use websocket::fuzz_websocket;

use websocket::{BinaryFrames, Link};

use super::{
    body::{self, BodyError},
    client,
    health::{Readiness, Stage},
    origin::Origins,
};
use crate::{
    cluster::{
        forwarding::{Forwarding, UpgradePlace},
        hand_over::HandOver,
    },
    limits::Limits,
    telemetry::{Metrics, metrics::Rejection},
};

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
    /// How many there may be, and an address may open.
    pub limits: Arc<Limits>,
    /// Where requests with a sid go.
    pub forwarding: Arc<Forwarding>,
    /// What brings sessions here whose client comes with a WebSocket.
    pub hand_over: Arc<HandOver>,
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

/// What a request is, once nothing speaks against it but what its session may say.
enum Accepted {
    Open(Transport, Handshake),
    WithSid(SessionRequest),
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
    let (binary, is_handshake) = (query.binary, query.sid.is_none());
    let accepted = match accept(&endpoint, &request, query) {
        Ok(accepted) => accepted,
        Err(refusal) => {
            if is_handshake {
                count_rejected(&request, refusal.rejection());
            }
            tracing::debug!(?refusal, "engine.io request refused");
            return refusal.respond();
        }
    };
    let link = match accepted {
        Accepted::Open(Transport::Polling, handshake) => {
            return Answer::Payload(endpoint.engine.open_polling(handshake)).respond();
        }
        Accepted::Open(Transport::WebSocket, handshake) => Link::Open(handshake),
        Accepted::WithSid(asked) => match asked.wanted {
            Wanted::Poll | Wanted::Other => return endpoint.forwarding.poll(asked).await.respond(),
            Wanted::Post => return post(&endpoint, asked, &request, payload).await.respond(),
            Wanted::Upgrade => match endpoint.forwarding.upgrade(asked).await {
                Ok(UpgradePlace::Here(session)) => Link::Upgrade(session),
                Ok(UpgradePlace::At(node, sid)) => match endpoint.limits.arrival(client::address(&request)) {
                    Ok(slot) => {
                        let owner = endpoint.hand_over.owner(node, sid.clone());
                        Link::Arrival(sid, Arc::new(slot), owner)
                    }
                    // It goes on by polling, where it has a place.
                    Err(_full) => Link::Surplus,
                },
                Ok(UpgradePlace::Surplus) => Link::Surplus,
                Err(refusal) => return refusal.respond(),
            },
        },
    };
    websocket::serve(&endpoint.engine, &request, payload, binary, link)
}

/// The checks, in the order of engine.io 6: transport, origin, then those of a session or those of a handshake.
fn accept(endpoint: &Endpoint, request: &HttpRequest, query: Query) -> Result<Accepted, Refusal> {
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
    let is_revision = query.revision.as_deref() == Some(REVISION);
    let Some(sid) = query.sid else {
        return accept_handshake(endpoint, request, transport, is_fitting, is_revision);
    };
    let wanted = match (transport, request.method()) {
        (Transport::WebSocket, _) => Wanted::Upgrade,
        (Transport::Polling, &Method::GET) => Wanted::Poll,
        (Transport::Polling, &Method::POST) => Wanted::Post,
        (Transport::Polling, _) => Wanted::Other,
    };
    Ok(Accepted::WithSid(SessionRequest {
        sid: sid.into(),
        wanted,
        is_fitting: is_fitting && is_revision,
    }))
}

/// A POST: its body is read on this node, within the bounds of any.
async fn post(
    endpoint: &Endpoint,
    asked: SessionRequest,
    request: &HttpRequest,
    mut payload: web::Payload,
) -> Answer {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    // Binary payloads are those of older revisions.
    let is_binary = content_type.is_some_and(|value| value.eq_ignore_ascii_case(b"application/octet-stream"));
    let declared = body::declared_length(request.headers());
    let limit = endpoint.engine.config().max_payload;
    let reading = async {
        let bytes = body::read_limited(&mut payload, declared, limit, body::MAX_DRAIN_BYTES).await?;
        Ok::<_, BodyError>(text(&bytes))
    };
    endpoint
        .forwarding
        .post(asked, (!is_binary).then_some(reading))
        .await
}

/// A payload as text; what is no UTF-8 in it becomes U+FFFD.
fn text(bytes: &Bytes) -> ByteString {
    ByteString::try_from(bytes.clone()).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

fn accept_handshake(
    endpoint: &Endpoint,
    request: &HttpRequest,
    transport: Transport,
    is_fitting: bool,
    is_revision: bool,
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
    if !is_revision {
        return Err(Refusal::UnsupportedVersion);
    }
    if endpoint.readiness.stage() != Stage::Ready {
        return Err(Refusal::NotReady);
    }
    let address = client::address(request);
    endpoint
        .limits
        .request(address)
        .map_err(|retry| Refusal::TooMany {
            retry_after_ms: retry.millis,
        })?;
    let place = place(endpoint, request, address)?;
    Ok(Accepted::Open(transport, handshake(request, address, place)))
}

/// A place for a new session, or for one that is opened only to be told that there is none: a client understands that in
/// answer to its CONNECT, not in answer to the handshake. Neither costs a look at its token.
fn place(endpoint: &Endpoint, request: &HttpRequest, address: IpAddr) -> Result<Arc<dyn Place>, Refusal> {
    let retry = match endpoint.limits.session(address) {
        Ok(slot) => return Ok(Arc::new(slot)),
        Err(retry) => retry,
    };
    let Some(turned_away) = endpoint.limits.turn_away(retry) else {
        return Err(Refusal::Full {
            retry_after_ms: retry.millis,
        });
    };
    count_rejected(request, Rejection::ConnectionLimit);
    Ok(Arc::new(turned_away))
}

fn count_rejected(request: &HttpRequest, rejection: Rejection) {
    if let Some(metrics) = request.app_data::<web::Data<Metrics>>() {
        metrics.connections.rejected(rejection);
    }
}

/// What the session keeps of the request that opened it: the address, and the header that may hold a token.
fn handshake(request: &HttpRequest, address: IpAddr, place: Arc<dyn Place>) -> Handshake {
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let header = |value: &str| (ByteString::from_static("authorization"), ByteString::from(value));
    Handshake {
        address: address.to_string(),
        headers: token.map(header).into_iter().collect(),
        place: Some(place),
    }
}

#[cfg(test)]
mod tests;
