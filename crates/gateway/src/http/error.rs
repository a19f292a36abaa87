//! Refusals over HTTP: the one place that knows statuses. Every one is JSON with `message` and `code`.

use actix_web::{
    Error, HttpResponse, HttpResponseBuilder, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    middleware::Next,
};
use carillon_protocol::problem::{Code, Problem};
use serde::Serialize;

/// What `Retry-After` says where a retryable refusal names no time, in milliseconds.
const DEFAULT_RETRY_MS: u64 = 1_000;

/// A refusal with its HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ApiError {
    status: StatusCode,
    problem: Problem,
    /// Whether the body starts with `success: false`, as the notification routes always had it.
    unsuccessful: bool,
    /// The value of `Allow`.
    allow: Option<String>,
}

/// `{success?, message, code, details?, retryAfterMs?}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    message: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl ApiError {
    /// A refusal with the status that belongs to its code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::from(Problem::new(code, message))
    }

    /// 400: a value that is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    /// 403: somebody else's.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(Code::Forbidden, "Access denied")
    }

    /// 404: no such route.
    #[must_use]
    pub fn no_route() -> Self {
        Self::new(Code::NotFound, "Route not found")
    }

    /// 405, with the methods that the route has.
    #[must_use]
    pub fn method_not_allowed(allow: &[&str]) -> Self {
        let mut refusal = Self::new(Code::MethodNotAllowed, "Method not allowed");
        refusal.allow = Some(allow.join(", "));
        refusal
    }

    /// The same refusal with `success: false` in its body.
    #[must_use]
    pub const fn unsuccessful(mut self) -> Self {
        self.unsuccessful = true;
        self
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The response. Details are shown for wrong values always, for anything else only `with_details`.
    #[must_use]
    pub fn respond(&self, with_details: bool) -> HttpResponse {
        let Problem {
            message,
            code,
            details,
            retry_after_ms,
        } = &self.problem;
        let mut response = HttpResponseBuilder::new(self.status);
        if let Some(allow) = &self.allow {
            response.insert_header((ALLOW, allow.as_str()));
        }
        if let Some(millis) = retry_after_ms {
            response.insert_header((RETRY_AFTER, millis.div_ceil(1_000).max(1)));
        }
        if *code == Code::Unauthorized {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        response.json(Body {
            success: self.unsuccessful.then_some(false),
            message,
            code: code.as_str(),
            details: details
                .as_deref()
                .filter(|_| with_details || *code == Code::Invalid),
            retry_after_ms: *retry_after_ms,
        })
    }

    /// What actix refused by itself, under the status that it chose.
    fn of_actix(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => Code::Unauthorized,
            StatusCode::FORBIDDEN => Code::Forbidden,
            StatusCode::NOT_FOUND => return Self::no_route(),
            StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
            StatusCode::TOO_MANY_REQUESTS => Code::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            status if status.is_client_error() => Code::Invalid,
            _ => Code::Internal,
        };
        let message = status.canonical_reason().unwrap_or("Request refused");
        Self {
            status,
            ..Self::new(code, message)
        }
    }
}

impl From<Problem> for ApiError {
    fn from(mut problem: Problem) -> Self {
        let status = match problem.code {
            Code::Invalid => StatusCode::BAD_REQUEST,
            Code::Unauthorized | Code::TokenExpired => StatusCode::UNAUTHORIZED,
            Code::Forbidden => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        if matches!(problem.code, Code::RateLimited | Code::Unavailable) {
            problem.retry_after_ms.get_or_insert(DEFAULT_RETRY_MS);
        }
        Self {
            status,
            problem,
            unsuccessful: false,
            allow: None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.respond(false)
    }
}

/// A middleware for the whole application: whatever is refused without JSON below it is refused with it.
///
/// # Errors
/// Those of the services below, as JSON.
pub async fn json_errors(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = match next.call(request).await {
        Ok(response) => response,
        Err(error) if error.as_error::<ApiError>().is_some() => return Err(error),
        Err(error) => return Err(ApiError::of_actix(error.as_response_error().status_code()).into()),
    };
    let status = response.status();
    let refused = status.is_client_error() || status.is_server_error();
    if !refused || is_json(&response) {
        return Ok(response.map_into_boxed_body());
    }
    let (request, old) = response.into_parts();
    let mut new = ApiError::of_actix(status).respond(false);
    for (name, value) in old.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            new.headers_mut().append(name.clone(), value.clone());
        }
    }
    Ok(ServiceResponse::new(request, new))
}

fn is_json<B>(response: &ServiceResponse<B>) -> bool {
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("application/json"))
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpResponse, middleware::from_fn, test, web};
    use serde_json::{Value, json};

    use super::*;

    async fn refusal(path: &str) -> (StatusCode, Value) {
        let app = App::new()
            .wrap(from_fn(json_errors))
            .route(
                "/number/{number}",
                web::get().to(|_: web::Path<u32>| async { "" }),
            )
            .route("/json", web::get().to(|_: web::Json<u32>| async { "" }))
            .service(web::resource("/post").route(web::post().to(HttpResponse::Ok)))
            .route(
                "/error",
                web::get().to(|| async { Err::<&str, _>(actix_web::error::ErrorImATeapot("no")) }),
            )
            .route(
                "/secret",
                web::get().to(|| async { Err::<&str, _>(actix_web::error::ErrorBadGateway("10.0.0.1")) }),
            );
        let app = test::init_service(app).await;
        let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
        assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), "application/json");
        let status = response.status();
        (status, test::read_body_json(response).await)
    }

    #[actix_web::test]
    async fn what_actix_refuses_is_json() {
        for (path, status, code) in [
            ("/nowhere", 404, "not_found"),
            ("/number/x", 404, "not_found"),
            ("/json", 400, "invalid"),
            ("/post", 405, "method_not_allowed"),
            ("/error", 418, "invalid"),
            ("/secret", 502, "internal"),
        ] {
            let (answered, body) = refusal(path).await;
            assert_eq!(answered.as_u16(), status, "{path}");
            assert_eq!(body["code"], code, "{path}");
            assert!(body["message"].is_string());
            assert!(!body.to_string().contains("10.0.0.1"));
        }
    }

    #[actix_web::test]
    async fn a_retryable_refusal_says_when() {
        let response =
            ApiError::from(Problem::new(Code::RateLimited, "Too many").retry_after(1_001)).respond(false);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "2");
        let response = ApiError::new(Code::Unavailable, "Failed to x")
            .unsuccessful()
            .respond(false);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "1");
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            r#"{"success":false,"message":"Failed to x","code":"unavailable","retryAfterMs":1000}"#
        );
    }

    #[actix_web::test]
    async fn details_of_a_fault_are_for_development_only() {
        let fault = ApiError::from(Problem::new(Code::Internal, "Failed").with_details("why"));
        for (shown, details) in [(false, Value::Null), (true, json!("why"))] {
            let body = actix_web::body::to_bytes(fault.respond(shown).into_body())
                .await
                .unwrap();
            assert_eq!(
                serde_json::from_slice::<Value>(&body).unwrap()["details"],
                details
            );
        }
    }
}
