//! Cross-origin resource sharing with credentials, for every route alike: REST, polling and the answer to an upgrade.
//!
//! An origin that is not allowed gets no headers; whether it is refused is up to the route. CORS keeps no WebSocket out.

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{
            ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, HOST, HeaderMap, HeaderName,
            HeaderValue, ORIGIN, VARY,
        },
    },
    middleware::Next,
    web,
};

use super::origin::Origins;

/// What a preflight is told; the default of the `cors` package, which the official server uses.
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");

/// The middleware: answers every `OPTIONS` with 204 and marks every other response for an allowed origin. The
/// application's data holds the [`Origins`].
///
/// # Errors
/// Those of the services below.
pub async fn cors(
    origins: web::Data<Origins>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let allowed = allowed_origin(&origins, request.headers());
    let mut response = if request.method() == Method::OPTIONS {
        let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let preflight = preflight(asked.filter(|_| allowed.is_some()), allowed.is_some());
        request.into_response(preflight).map_into_right_body()
    } else {
        next.call(request).await?.map_into_left_body()
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The request's origin, if it is an allowed one.
fn allowed_origin(origins: &Origins, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    origins
        .allows(origin.to_str().ok()?, text(headers, &HOST))
        .then(|| origin.clone())
}

/// A header's text, where it is ASCII.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn preflight(asked_headers: Option<HeaderValue>, allowed: bool) -> HttpResponse {
    let mut response = HttpResponse::NoContent().finish();
    let headers = response.headers_mut();
    if allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    }
    if let Some(asked) = asked_headers {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
        headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    }
    response
}

#[cfg(test)]
mod tests {
    use actix_web::{App, http::StatusCode, middleware::from_fn, test};

    use super::*;
    use crate::http::error;

    async fn call(request: test::TestRequest) -> ServiceResponse<impl MessageBody> {
        let app = App::new()
            .app_data(web::Data::new(Origins::parse("https://chat.example").unwrap()))
            .route("/here", web::get().to(HttpResponse::Ok))
            .route("/upgrade", web::get().to(HttpResponse::SwitchingProtocols))
            .wrap(from_fn(error::json_errors))
            .wrap(from_fn(cors));
        let app = test::init_service(app).await;
        test::call_service(&app, request.to_request()).await
    }

    fn from(origin: &'static str, path: &str) -> test::TestRequest {
        test::TestRequest::get()
            .uri(path)
            .insert_header((ORIGIN, origin))
            .insert_header((HOST, "node:4000"))
    }

    #[actix_web::test]
    async fn every_response_to_an_allowed_origin_is_marked() {
        for origin in ["https://chat.example", "http://node:4000"] {
            for (path, status) in [("/here", 200), ("/upgrade", 101), ("/nowhere", 404)] {
                let response = call(from(origin, path)).await;
                assert_eq!(response.status().as_u16(), status);
                assert_eq!(
                    response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(),
                    origin
                );
                assert_eq!(
                    response.headers().get(ACCESS_CONTROL_ALLOW_CREDENTIALS).unwrap(),
                    "true"
                );
                assert_eq!(response.headers().get(VARY).unwrap(), "Origin");
            }
        }
    }

    #[actix_web::test]
    async fn another_origin_is_answered_without_marks() {
        for request in [
            from("https://evil.example", "/here"),
            from("null", "/here"),
            test::TestRequest::get().uri("/here"),
        ] {
            let response = call(request).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
            assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        }
    }

    #[actix_web::test]
    async fn a_preflight_is_answered_on_any_path() {
        for path in ["/here", "/nowhere"] {
            let request = from("https://chat.example", path)
                .method(Method::OPTIONS)
                .insert_header((ACCESS_CONTROL_REQUEST_HEADERS, "authorization, content-type"));
            let response = call(request).await;
            assert_eq!(response.status(), StatusCode::NO_CONTENT);
            let headers = response.headers();
            assert_eq!(
                headers.get(ACCESS_CONTROL_ALLOW_METHODS).unwrap(),
                "GET,HEAD,PUT,PATCH,POST,DELETE"
            );
            assert_eq!(
                headers.get(ACCESS_CONTROL_ALLOW_HEADERS).unwrap(),
                "authorization, content-type"
            );
            let vary: Vec<_> = headers.get_all(VARY).collect();
            assert_eq!(vary, ["Access-Control-Request-Headers", "Origin"]);
        }
        let response = call(from("https://evil.example", "/here").method(Method::OPTIONS)).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    }
}
