//! Measures and traces requests, by the template of their route.

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web,
};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{console, openapi, rest};
use crate::telemetry::{
    Metrics,
    metrics::{OTHER, Route},
    traces,
};

const SOCKET_IO: &str = "/socket.io/";
/// Routes beside those of REST; one that ends in a slash is that of all paths below it.
const PLAIN: [Route; 12] = [
    ("GET", "/livez"),
    ("GET", "/health"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("POST", "/dev/token"),
    ("GET", SOCKET_IO),
    ("POST", SOCKET_IO),
    ("GET", openapi::PATH),
    ("GET", openapi::PAGE),
    ("GET", openapi::PAGE_FILES),
    ("GET", console::PATH),
    ("GET", console::BELOW),
];

/// The route that a request was found to be for, left with it by whoever has looked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matched(pub(super) Route);

/// All routes of a node.
pub fn routes() -> impl Iterator<Item = Route> {
    PLAIN.into_iter().chain(rest::routes())
}

/// The middleware, outermost of all. The application's data holds the [`Metrics`].
///
/// # Errors
/// Those of the services below.
pub async fn requests<B: MessageBody>(
    metrics: web::Data<Metrics>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let begun = Instant::now();
    let _in_flight = metrics.http.begin();
    let plain = plain_route(request.method(), request.path());
    // Connections have spans of their own: a held poll says nothing.
    let span = if plain.is_none() {
        traces::request_span(request.method().as_str(), request.headers())
    } else {
        tracing::Span::none()
    };
    let response = next.call(request).instrument(span.clone()).await?;
    let matched = response
        .request()
        .extensions()
        .get::<Matched>()
        .map(|found| found.0);
    let (route, status) = (plain.or(matched).unwrap_or(OTHER), response.status().as_u16());
    traces::answered(&span, route, status);
    metrics.http.answered(route, status, begun.elapsed());
    Ok(response)
}

/// The route of a path that no parameter is part of.
fn plain_route(method: &Method, path: &str) -> Option<Route> {
    let method = if *method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let is_it = |template: &str| {
        path == template || template.len() > 1 && template.ends_with('/') && path.starts_with(template)
    };
    PLAIN
        .into_iter()
        .find(|(known, template)| *known == method && is_it(template))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_parameters_is_a_route() {
        assert_eq!(plain_route(&Method::HEAD, "/readyz"), Some(("GET", "/readyz")));
        assert_eq!(
            plain_route(&Method::GET, "/socket.io/x"),
            Some(("GET", SOCKET_IO))
        );
        assert_eq!(plain_route(&Method::PUT, "/socket.io/"), None);
        assert_eq!(plain_route(&Method::GET, "/"), Some(("GET", "/")));
        assert_eq!(
            plain_route(&Method::GET, "/console/views/inbox.js"),
            Some(("GET", "/console/"))
        );
        assert_eq!(
            plain_route(&Method::GET, "/docs/page.css"),
            Some(("GET", "/docs/"))
        );
        assert_eq!(plain_route(&Method::GET, "/docs"), Some(("GET", "/docs")));
        assert_eq!(plain_route(&Method::GET, "/anything"), None);
        assert_eq!(plain_route(&Method::GET, "/api/chat/messages/a_b"), None);
    }

    #[test]
    fn no_route_is_there_twice() {
        let mut all: Vec<_> = routes().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
