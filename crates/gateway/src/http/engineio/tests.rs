//! Two nodes: what a request is answered does not tell on which of them its session is.

use std::sync::Arc;

use actix_web::{
    App,
    dev::ServiceResponse,
    http::{StatusCode, header},
    test::{TestRequest, call_service, init_service, read_body},
};
use bytestring::ByteString;
use carillon_socketio::Config;

use super::*;
use crate::{
    capacity::Capacity,
    cluster::testing::{TestNode, Wires},
    settings::LimitSettings,
};

/// An answer as a client sees it: status, headers, body.
type Seen = (StatusCode, Vec<(String, String)>, String);

fn endpoint(node: &Arc<TestNode>) -> web::Data<Endpoint> {
    let readiness = Arc::new(Readiness::default());
    readiness.advance(Stage::Ready);
    web::Data::new(Endpoint {
        engine: Arc::clone(&node.engine),
        origins: Origins::default(),
        readiness,
        limits: Arc::new(Limits::new(&LimitSettings::default(), &Capacity::of(1_024, None))),
        forwarding: Arc::clone(&node.forwarding),
        hand_over: Arc::clone(&node.hand_over),
    })
}

async fn ask(node: &Arc<TestNode>, request: TestRequest) -> Seen {
    let app = App::new().configure(|cfg| configure(cfg, PREFIX, endpoint(node)));
    let response: ServiceResponse = call_service(&init_service(app).await, request.to_request()).await;
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let headers = response.headers().iter();
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    headers.sort();
    let status = response.status();
    let body = read_body(response).await;
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

fn with_sid(method: Method, query: &str, sid: &ByteString) -> TestRequest {
    let uri = format!("{PREFIX}?{query}&sid={sid}");
    TestRequest::default().method(method).uri(&uri)
}

/// A node with a session, and one without.
async fn nodes() -> (Arc<TestNode>, Arc<TestNode>, ByteString) {
    let wires = Arc::new(Wires::default());
    let config = Config {
        max_payload: 1_000,
        ..Config::default()
    };
    let [own, other] = ["x", "y"].map(|tag| wires.node(tag, config.clone()));
    let sid = own.open().await;
    (own, other, sid)
}

#[actix_web::test]
async fn an_answer_does_not_tell_which_node_has_the_session() {
    const POLLING: &str = "EIO=4&transport=polling";
    let text = |body: &'static str| (header::CONTENT_TYPE, "text/plain;charset=UTF-8", body);
    let binary = |body: &'static str| (header::CONTENT_TYPE, "application/octet-stream", body);
    let cases = [
        (Method::POST, POLLING, text("420[\"hello\"]"), 200, "ok"),
        (Method::GET, POLLING, text(""), 200, "430[\"hello\"]"),
        (Method::POST, POLLING, text("x"), 400, ""),
        (Method::POST, POLLING, text(""), 400, ""),
        (Method::POST, POLLING, binary("4a"), 400, ""),
        (Method::PUT, POLLING, text(""), 500, ""),
        (
            Method::GET,
            "EIO=3&transport=polling",
            text(""),
            400,
            "Bad request",
        ),
        (
            Method::GET,
            "EIO=4&transport=websocket",
            text(""),
            400,
            "Bad request",
        ),
        (
            Method::GET,
            "EIO=4&transport=carrier",
            text(""),
            400,
            "Transport unknown",
        ),
    ];
    for (method, query, (name, value, body), status, expected) in cases {
        let mut seen = Vec::new();
        for asks_own in [true, false] {
            let (own, other, sid) = nodes().await;
            // So that a GET has something to take.
            let post = own.engine.session(&sid).unwrap().post().unwrap();
            post.receive("420[\"hello\"]".into()).await.unwrap();
            let request = with_sid(method.clone(), query, &sid).insert_header((name.clone(), value));
            let node = if asks_own { &own } else { &other };
            seen.push(ask(node, request.set_payload(body)).await);
        }
        assert_eq!(seen[0], seen[1], "{method} {query}");
        assert_eq!(seen[0].0.as_u16(), status, "{method} {query} {:?}", seen[0]);
        assert!(seen[0].2.contains(expected), "{method} {query} {:?}", seen[0]);
    }
}

#[actix_web::test]
async fn a_body_over_the_limit_is_refused_on_either_node_and_the_session_stays() {
    let (own, other, sid) = nodes().await;
    for node in [&own, &other] {
        let post = |body: String| with_sid(Method::POST, "EIO=4&transport=polling", &sid).set_payload(body);
        assert_eq!(
            ask(node, post("4".repeat(1_001))).await.0,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        assert_eq!(ask(node, post("3".to_owned())).await.0, StatusCode::OK);
    }
}

#[actix_web::test]
async fn an_unknown_session_comes_before_what_else_is_wrong_but_the_transport() {
    let (own, other, _sid) = nodes().await;
    for sid in ["x_unknown", "y_unknown", "z_unknown", "unknown"] {
        for node in [&own, &other] {
            for query in ["EIO=3&transport=polling", "EIO=4&transport=websocket"] {
                let (status, _, body) = ask(node, with_sid(Method::GET, query, &sid.into())).await;
                assert_eq!(status, StatusCode::BAD_REQUEST);
                assert_eq!(body, r#"{"code":1,"message":"Session ID unknown"}"#);
            }
        }
    }
}

#[actix_web::test]
async fn nodes_out_of_reach_are_answered_by_a_time_to_try_again() {
    let wires = Arc::new(Wires::default());
    let [own, other] = ["x", "y"].map(|tag| wires.node(tag, Config::default()));
    let sid = own.open().await;
    wires.are_cut.store(true, std::sync::atomic::Ordering::Relaxed);
    let request = with_sid(Method::GET, "EIO=4&transport=polling", &sid);
    let (status, headers, body) = ask(&other, request).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains(&("retry-after".to_owned(), "1".to_owned())));
    assert_eq!(body, r#"{"code":4,"message":"Unavailable"}"#);
}
