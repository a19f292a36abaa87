//! What only a development node has: a gate that keeps everybody but this machine out, and tokens for whoever asks.

mod description;

use std::{sync::Arc, time::Duration};

use actix_web::{
    Error, HttpRequest, HttpResponse, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{HOST, HeaderMap, ORIGIN},
    },
    middleware::Next,
    web,
};
use carillon_protocol::{id::UserId, problem::Code, time::Timestamp, value::Value};
use serde::Serialize;
use utoipa::ToSchema;

use super::{body, engineio, error::ApiError, openapi::schemas};
use crate::{
    auth::{self, MintError, Role},
    clock::Clock,
    settings::AuthSettings,
};

pub(super) use description::{TAG, describe};

/// How long a token is good where the request does not say.
const DEFAULT_TTL: Duration = Duration::from_secs(12 * 60 * 60);
/// The longest that one can be asked for, in seconds: a year.
const MAX_TTL_SECONDS: u64 = 365 * 24 * 60 * 60;

/// A middleware for the whole application: refuses whoever is not on this machine.
///
/// # Errors
/// Those of the services below.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    if is_from_here(request.headers()) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let response = if request.path().starts_with(engineio::PREFIX) {
        engineio::forbidden()
    } else {
        ApiError::new(Code::Forbidden, "A development node serves only this machine").error_response()
    };
    Ok(request.into_response(response).map_into_right_body())
}

fn is_from_here(headers: &HeaderMap) -> bool {
    let is_given_once = headers.get_all(HOST).count() == 1 && headers.get_all(ORIGIN).count() <= 1;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    // An origin that is no text is a foreign one, not none.
    let origin = headers
        .get(ORIGIN)
        .map(|origin| origin.to_str().unwrap_or_default());
    let is_forwarded = headers
        .keys()
        .any(|name| auth::is_forwarding_header(name.as_str()));
    is_given_once && auth::dev_request_allowed(host, origin, is_forwarded)
}

/// Signs tokens that the node itself takes; part of the application's data.
#[derive(Debug)]
pub struct DevTokens {
    settings: AuthSettings,
    clock: Arc<dyn Clock>,
}

impl DevTokens {
    /// Signs as `settings` say.
    #[must_use]
    pub const fn new(settings: AuthSettings, clock: Arc<dyn Clock>) -> Self {
        Self { settings, clock }
    }

    /// A token for `user` that is good for `ttl` from now on.
    fn mint(&self, user: &UserId, role: Role, ttl: Duration) -> Result<Minted, MintError> {
        let now = self.clock.now();
        let token = auth::mint(&self.settings, user, role, Some(ttl), now)?;
        // `iat` and `exp` are whole seconds.
        let issued_at = now.plus_millis(-now.as_millis().rem_euclid(1_000));
        let expires_at = issued_at.plus_millis(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        Ok(Minted { token, expires_at })
    }
}

/// A token, and until when it is good.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Minted {
    /// For `Authorization: Bearer`, and for the handshake's `auth.token`.
    token: String,
    #[schema(value_type = schemas::Timestamp)]
    expires_at: Timestamp,
}

/// Adds `POST /dev/token`.
pub fn configure(cfg: &mut web::ServiceConfig, tokens: web::Data<DevTokens>) {
    cfg.service(web::resource("/dev/token").app_data(tokens).to(token));
}

/// `{userId, role?, ttlSeconds?}` → `{token, expiresAt}`.
async fn token(
    request: HttpRequest,
    mut payload: web::Payload,
    tokens: web::Data<DevTokens>,
) -> Result<HttpResponse, ApiError> {
    if request.method() != Method::POST {
        return Err(ApiError::method_not_allowed(&["POST"]));
    }
    let wanted = body::read_json(&request, &mut payload).await?;
    let user = UserId::from_value(wanted.get("userId").unwrap_or(&Value::Null));
    let user = user.map_err(|error| ApiError::invalid(format!("userId: {error}")))?;
    let minted = tokens
        .mint(&user, role(&wanted)?, ttl(&wanted)?)
        .map_err(|error| match error {
            MintError::RoleOff => ApiError::invalid(format!("role: {error}")),
            MintError::NoSecret | MintError::Signature(_) => ApiError::new(Code::Internal, error.to_string()),
        })?;
    Ok(HttpResponse::Ok().json(minted))
}

fn role(wanted: &Value) -> Result<Role, ApiError> {
    let role = match wanted.get("role") {
        None | Some(Value::Null) => return Ok(Role::User),
        Some(role) => role.as_text().map_or("", |role| &**role),
    };
    match role {
        "user" => Ok(Role::User),
        "admin" => Ok(Role::Admin),
        "service" => Ok(Role::Service),
        _ => Err(ApiError::invalid("role must be user, admin or service")),
    }
}

fn ttl(wanted: &Value) -> Result<Duration, ApiError> {
    match wanted.get("ttlSeconds") {
        None | Some(Value::Null) => Ok(DEFAULT_TTL),
        Some(seconds) => match seconds.as_u64() {
            Some(seconds @ 1..=MAX_TTL_SECONDS) => Ok(Duration::from_secs(seconds)),
            _ => Err(ApiError::invalid(format!(
                "ttlSeconds must be a whole number from 1 to {MAX_TTL_SECONDS}"
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, middleware::from_fn, test};
    use serde_json::json;

    use super::*;
    use crate::{auth::Verifier, clock::SystemClock};

    const SECRET: &str = "a secret of the tests, long enough";

    fn settings() -> AuthSettings {
        AuthSettings {
            secret: Some(SECRET.into()),
            admin_role: None,
            ..AuthSettings::default()
        }
    }

    async fn call(request: test::TestRequest) -> (u16, serde_json::Value) {
        let tokens = web::Data::new(DevTokens::new(settings(), Arc::new(SystemClock::new())));
        let app = App::new()
            .configure(|cfg| configure(cfg, tokens))
            .wrap(from_fn(guard));
        let app = test::init_service(app).await;
        let response = test::call_service(&app, request.to_request()).await;
        (response.status().as_u16(), test::read_body_json(response).await)
    }

    fn post(body: serde_json::Value) -> test::TestRequest {
        test::TestRequest::post()
            .uri("/dev/token")
            .insert_header((HOST, "localhost"))
            .set_json(body)
    }

    #[actix_web::test]
    async fn the_node_takes_what_it_mints() {
        let verifier = Verifier::new(&settings(), Arc::new(SystemClock::new())).unwrap();
        for (body, user, role) in [
            (
                json!({ "userId": 7, "role": "service", "ttlSeconds": 60 }),
                "7",
                Role::Service,
            ),
            (json!({ "userId": "a b", "role": null }), "a b", Role::User),
        ] {
            let (status, minted) = call(post(body)).await;
            assert_eq!(status, 200);
            let identity = verifier.verify(minted["token"].as_str().unwrap()).unwrap();
            assert_eq!((identity.user.unwrap().as_str(), identity.role), (user, role));
            assert_eq!(
                identity.expires_at.unwrap().to_string(),
                minted["expiresAt"].as_str().unwrap()
            );
        }
    }

    #[actix_web::test]
    async fn refuses_bad_values_and_other_methods() {
        for body in [
            json!({}),
            json!([]),
            json!({ "userId": { "$gt": "" } }),
            json!({ "userId": "a", "role": "root" }),
            json!({ "userId": "a", "role": 1 }),
            // Switched off in the settings.
            json!({ "userId": "a", "role": "admin" }),
            json!({ "userId": "a", "ttlSeconds": 0 }),
            json!({ "userId": "a", "ttlSeconds": "60" }),
            json!({ "userId": "a", "ttlSeconds": 1e300 }),
        ] {
            assert_eq!(call(post(body.clone())).await.0, 400, "{body}");
        }
        assert_eq!(call(post(json!({})).method(Method::GET)).await.0, 405);
    }

    #[actix_web::test]
    async fn the_gate_keeps_others_out() {
        let wanted = || post(json!({ "userId": "a" }));
        for request in [
            wanted().insert_header((HOST, "evil.example")),
            wanted().append_header((HOST, "localhost")),
            wanted().insert_header((ORIGIN, "http://evil.example")),
            wanted().insert_header(("via", "1.1 proxy")),
        ] {
            let (status, body) = call(request).await;
            assert_eq!(status, 403);
            assert_eq!(body["code"], "forbidden");
        }
        assert_eq!(
            call(wanted().insert_header((ORIGIN, "http://localhost"))).await.0,
            200
        );
    }
}
