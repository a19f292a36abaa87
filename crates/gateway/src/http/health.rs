//! Health and metrics: `/livez` and `/health` (alive), `/readyz` (takes new clients), `/metrics`. GET and HEAD, no token.

mod description;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        Method,
        header::{CONTENT_TYPE, ContentType, RETRY_AFTER},
    },
    web,
};
use carillon_protocol::{
    problem::Code,
    value::{Object, Value},
};

use super::error::ApiError;

pub(super) use description::{TAG, describe};

/// The content type of Prometheus' text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// When a node that starts or drains is worth another try.
const RETRY_NOT_READY_SECONDS: u32 = 1;

/// Where a node stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// It waits for its servers.
    Starting,
    /// It takes new clients.
    Ready,
    /// It sends its clients away.
    Draining,
}

impl Stage {
    /// As `?verbose` names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// The node's stage, shared between whoever changes and whoever reads it.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// The stage now; [`Stage::Starting`] at first.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.0.load(Ordering::Acquire) {
            0 => Stage::Starting,
            1 => Stage::Ready,
            _ => Stage::Draining,
        }
    }

    /// Moves on. A stage that is past does not come back: a node that drains is never ready again.
    pub fn advance(&self, stage: Stage) {
        self.0.fetch_max(stage as u8, Ordering::AcqRel);
    }
}

/// A part of the node and its state, in words that name no address: `("store", "up")`.
pub type PartState = (&'static str, &'static str);

/// What the health routes tell; part of the application's data.
pub struct Health {
    /// The node's stage.
    pub readiness: Arc<Readiness>,
    /// The states of the parts, for `?verbose`.
    pub parts: Arc<dyn Fn() -> Vec<PartState> + Send + Sync>,
    /// The metrics as Prometheus' text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}

/// Adds the routes. The application's data holds the [`Health`].
pub fn configure(cfg: &mut web::ServiceConfig) {
    for path in ["/livez", "/health"] {
        cfg.service(web::resource(path).to(alive));
    }
    cfg.service(web::resource("/readyz").to(ready))
        .service(web::resource("/metrics").to(metrics));
}

async fn alive(request: HttpRequest, health: web::Data<Health>) -> Result<HttpResponse, ApiError> {
    only_read(&request)?;
    Ok(json(
        HttpResponse::Ok(),
        tell(&request, &health, Object::new().with("status", "ok")),
    ))
}

async fn ready(request: HttpRequest, health: web::Data<Health>) -> Result<HttpResponse, ApiError> {
    only_read(&request)?;
    let message = match health.readiness.stage() {
        Stage::Ready => {
            return Ok(json(
                HttpResponse::Ok(),
                tell(&request, &health, Object::new().with("status", "ok")),
            ));
        }
        Stage::Starting => "The node is starting",
        Stage::Draining => "The node is draining",
    };
    let mut response = HttpResponse::ServiceUnavailable();
    response.insert_header((RETRY_AFTER, RETRY_NOT_READY_SECONDS));
    let refusal = Object::new()
        .with("message", message)
        .with("code", Code::Unavailable.as_str());
    Ok(json(response, tell(&request, &health, refusal)))
}

async fn metrics(request: HttpRequest, health: web::Data<Health>) -> Result<HttpResponse, ApiError> {
    only_read(&request)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, PROMETHEUS_TEXT))
        .body((health.metrics)()))
}

/// Refuses a method that is neither GET nor HEAD.
///
/// # Errors
/// 405.
pub(super) fn only_read(request: &HttpRequest) -> Result<(), ApiError> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    Err(ApiError::method_not_allowed(&["GET", "HEAD"]))
}

/// The answer, and with `?verbose` the stage and the states of the parts.
fn tell(request: &HttpRequest, health: &Health, mut answer: Object) -> Object {
    let verbose = |key: &str| key == "verbose" || key.starts_with("verbose=");
    if request.query_string().split('&').any(verbose) {
        answer.push("stage", health.readiness.stage().as_str());
        for (part, state) in (health.parts)() {
            answer.push(part, state);
        }
    }
    answer
}

fn json(mut response: HttpResponseBuilder, body: Object) -> HttpResponse {
    response
        .content_type(ContentType::json())
        .body(Value::Object(body).to_json())
}

#[cfg(test)]
mod tests {
    use actix_web::{App, body::MessageBody, dev::ServiceResponse, test};

    use super::*;

    async fn call(stage: Stage, request: test::TestRequest) -> ServiceResponse<impl MessageBody> {
        let health = Health {
            readiness: Arc::default(),
            parts: Arc::new(|| vec![("store", "up"), ("backplane", "down")]),
            metrics: Arc::new(|| "carillon_connections 3\n".to_owned()),
        };
        health.readiness.advance(stage);
        let app = test::init_service(App::new().app_data(web::Data::new(health)).configure(configure)).await;
        test::call_service(&app, request.to_request()).await
    }

    async fn get(stage: Stage, path: &str) -> (u16, String) {
        let response = call(stage, test::TestRequest::get().uri(path)).await;
        (
            response.status().as_u16(),
            String::from_utf8(test::read_body(response).await.to_vec()).unwrap(),
        )
    }

    #[actix_web::test]
    async fn a_node_is_alive_in_every_stage() {
        for stage in [Stage::Starting, Stage::Ready, Stage::Draining] {
            for path in ["/livez", "/health"] {
                assert_eq!(get(stage, path).await, (200, r#"{"status":"ok"}"#.to_owned()));
            }
        }
    }

    #[actix_web::test]
    async fn only_a_ready_node_is_ready() {
        assert_eq!(
            get(Stage::Ready, "/readyz").await,
            (200, r#"{"status":"ok"}"#.to_owned())
        );
        for (stage, message) in [
            (Stage::Starting, "The node is starting"),
            (Stage::Draining, "The node is draining"),
        ] {
            let body = format!(r#"{{"message":"{message}","code":"unavailable"}}"#);
            assert_eq!(get(stage, "/readyz").await, (503, body));
            let response = call(stage, test::TestRequest::get().uri("/readyz")).await;
            assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "1");
        }
    }

    #[actix_web::test]
    async fn verbose_tells_states() {
        let (_, body) = get(Stage::Starting, "/readyz?verbose").await;
        assert!(
            body.ends_with(r#""stage":"starting","store":"up","backplane":"down"}"#),
            "{body}"
        );
        let (_, body) = get(Stage::Ready, "/livez?verbose=1").await;
        assert_eq!(
            body,
            r#"{"status":"ok","stage":"ready","store":"up","backplane":"down"}"#
        );
    }

    #[actix_web::test]
    async fn metrics_are_text() {
        let response = call(Stage::Ready, test::TestRequest::get().uri("/metrics")).await;
        assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), PROMETHEUS_TEXT);
        assert_eq!(test::read_body(response).await, "carillon_connections 3\n");
    }

    #[actix_web::test]
    async fn head_is_answered_and_post_is_not() {
        let head = call(
            Stage::Ready,
            test::TestRequest::default().method(Method::HEAD).uri("/livez"),
        )
        .await;
        assert_eq!(head.status(), 200);
        let post = call(Stage::Ready, test::TestRequest::post().uri("/livez")).await;
        assert_eq!(post.status(), 405);
        assert_eq!(post.headers().get("allow").unwrap(), "GET, HEAD");
    }

    #[::core::prelude::v1::test]
    fn a_stage_does_not_come_back() {
        let readiness = Readiness::default();
        assert_eq!(readiness.stage(), Stage::Starting);
        readiness.advance(Stage::Draining);
        readiness.advance(Stage::Ready);
        assert_eq!(readiness.stage(), Stage::Draining);
    }
}
