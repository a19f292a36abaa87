//! What is checked before an operation runs.

use std::collections::BTreeSet;

use super::*;
use crate::http::{openapi, rest};

/// Every route, as alice may call it in a chat with bob. The notification is that of the first message: [`NOW`] in seconds, and
/// the second id.
const OWN: [(&str, &str); 11] = [
    ("GET", "/api/chat/messages/alice_bob"),
    ("GET", "/api/chat/chatbox/alice/bob"),
    ("GET", "/api/chat/user/alice/chats"),
    ("GET", "/api/chat/user/alice/unread-count"),
    ("PATCH", "/api/chat/chatbox/alice_bob/mark-read/alice"),
    ("GET", "/api/notifications/user/alice"),
    ("GET", "/api/notifications/user/alice/stats"),
    (
        "PATCH",
        "/api/notifications/read/alice_bob/6ab13b800000000000000001",
    ),
    ("PATCH", "/api/notifications/read-all/alice_bob/alice"),
    ("DELETE", "/api/notifications/alice_bob/6ab13b800000000000000001"),
    ("DELETE", "/api/notifications/cleanup"),
];

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap()
}

#[actix_web::test]
async fn no_token_is_refused_on_every_route() {
    let edge = Edge::new();
    for (name, path) in OWN.into_iter().chain([("POST", CREATE)]) {
        let answered = edge
            .call(TestRequest::default().method(method(name)).uri(path))
            .await;
        assert_eq!(answered.headers.get("www-authenticate").unwrap(), "Bearer");
        assert_eq!(answered.status, 401);
        assert_eq!(
            answered.text,
            r#"{"message":"Access denied, no token provided","code":"unauthorized"}"#
        );
        for bad in ["no:such", "expired:alice", "nobody"] {
            let refused = edge.ask(method(name), bad, path).await;
            assert_refused(refused, 401, "unauthorized", "Invalid token");
        }
    }
}

#[actix_web::test]
async fn the_token_comes_as_bearer_alone() {
    let edge = Edge::new();
    for (header, status) in [
        ("Bearer alice", 200),
        ("bearer alice", 200),
        ("BEARER  alice ", 200),
        ("Basic alice", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("alice", 401),
    ] {
        let request = TestRequest::get()
            .uri("/api/chat/user/alice/chats")
            .insert_header(("Authorization", header));
        assert_eq!(edge.call(request).await.status, status, "{header}");
    }
    let in_url = TestRequest::get().uri("/api/chat/user/alice/chats?token=alice");
    assert_eq!(edge.call(in_url).await.status, 401);
}

#[actix_web::test]
async fn what_is_another_users_is_forbidden() {
    let edge = Edge::new();
    edge.node.say("alice", "bob", "hi").await;
    for (name, path) in OWN {
        for stranger in ["mallory", "service:mallory", "service:"] {
            if path.ends_with("cleanup") && stranger != "mallory" {
                continue;
            }
            let refused = edge.ask(method(name), stranger, path).await;
            assert_refused(refused, 403, "forbidden", "Access denied");
        }
    }
    // One of the two, but not the one who is named.
    for (name, path) in OWN
        .into_iter()
        .filter(|(_, path)| path.ends_with("/alice") || path.contains("/user/alice"))
    {
        assert_code(edge.ask(method(name), "bob", path).await, 403, "forbidden");
    }
}

#[actix_web::test]
async fn an_admin_passes_everywhere() {
    let edge = Edge::new();
    edge.node.say("alice", "bob", "hi").await;
    for (name, path) in OWN {
        let (status, body) = edge.ask(method(name), "admin:", path).await;
        assert_eq!(status, 200, "{path}: {body}");
    }
}

#[actix_web::test]
async fn unknown_paths_and_methods_come_before_the_token() {
    let edge = Edge::new();
    for path in [
        "/",
        "/api",
        "/api/nothing",
        "/api/chat/messages",
        "/api/chat/messages/a_b//",
        "/%00",
        "/..%2f..",
    ] {
        let answered = edge.call(TestRequest::get().uri(path)).await;
        assert_refused(
            (answered.status, answered.json()),
            404,
            "not_found",
            "Route not found",
        );
    }
    let answered = edge
        .call(TestRequest::post().uri("/api/notifications/user/alice"))
        .await;
    assert_eq!(answered.headers.get("allow").unwrap(), "GET, HEAD, DELETE");
    assert_refused(
        (answered.status, answered.json()),
        405,
        "method_not_allowed",
        "Method not allowed",
    );
}

#[actix_web::test]
async fn an_address_may_ask_too_much() {
    let edge = Edge::new();
    edge.quota.is_used_up.store(true, Ordering::SeqCst);
    let answered = edge
        .call(TestRequest::get().uri("/api/chat/user/alice/chats"))
        .await;
    assert_eq!(answered.headers.get("retry-after").unwrap(), "2");
    assert_eq!(answered.status, 429);
    assert_eq!(
        answered.text,
        r#"{"message":"Too many requests","code":"rate_limited","retryAfterMs":1500}"#
    );
    assert_eq!(edge.get("alice", "/nowhere").await.0, 404);
}

#[actix_web::test]
async fn ids_are_any_text() {
    let edge = Edge::new();
    for (raw, id) in [
        ("a%2Fb", "a/b"),
        ("100%25", "100%"),
        ("a+b", "a+b"),
        ("a%20b", "a b"),
        ("%C3%A9", "é"),
        ("..", ".."),
        ("%2E%2e", ".."),
        ("%25252F", "%252F"),
        ("%F0%9F%98%80", "😀"),
        ("a@b;c=d,e", "a@b;c=d,e"),
    ] {
        let token = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string();
        let (status, body) = edge.get(&token, &format!("/api/chat/chatbox/{raw}/z")).await;
        assert_eq!(status, 200, "{raw}: {body}");
        let mut pair = [id, "z"];
        pair.sort_by(|left, right| left.encode_utf16().cmp(right.encode_utf16()));
        assert_eq!(body["chatboxId"], pair.join("_"));
    }
}

#[actix_web::test]
async fn what_cannot_be_an_id_is_invalid() {
    let edge = Edge::new();
    let long = "a".repeat(129);
    for raw in ["%00", "a%0Ab", "%ff", "100%", "%C2%85", &long] {
        for path in [
            format!("/api/chat/user/{raw}/chats"),
            format!("/api/chat/chatbox/alice/{raw}"),
        ] {
            assert_code(edge.get("alice", &path).await, 400, "invalid");
        }
    }
    let longest = "a".repeat(128);
    assert_eq!(
        edge.get(&longest, &format!("/api/chat/user/{longest}/chats"))
            .await
            .0,
        200
    );
    for path in [
        format!("/api/chat/messages/{}", "a".repeat(258)),
        "/api/chat/messages/a_%0a".to_owned(),
    ] {
        assert_code(edge.get("alice", &path).await, 400, "invalid");
    }
    let refused = edge.patch("alice", "/api/notifications/read/alice_bob/%07").await;
    assert_eq!(refused.1["success"], false);
    assert_code(refused, 400, "invalid");
}

#[actix_web::test]
async fn a_store_that_is_down_is_told_by_the_routes_own_text() {
    let edge = Edge::new();
    edge.node.store.set_down(true);
    for ((name, path), text) in OWN.into_iter().zip([
        "retrieve messages",
        "",
        "fetch user chats",
        "get unread message count",
        "mark messages as read",
        "retrieve notifications",
        "get notification stats",
        "mark notification as read",
        "mark all notifications as read",
        "delete notification",
        "clean up notifications",
    ]) {
        if text.is_empty() {
            continue;
        }
        let token = if path.ends_with("cleanup") {
            "service:"
        } else {
            "alice"
        };
        let answered = edge.call(request(method(name), token, path)).await;
        assert_eq!(answered.headers.get("retry-after").unwrap(), "1");
        let body = answered.json();
        assert_eq!(
            body["success"],
            if path.contains("notifications") {
                Json::Bool(false)
            } else {
                Json::Null
            }
        );
        assert_refused(
            (answered.status, body),
            503,
            "unavailable",
            &format!("Failed to {text}"),
        );
    }
    let body = serde_json::json!({ "toUser": "bob", "fromUser": "alice", "message": "hi" });
    assert_refused(
        edge.create("alice", &body).await,
        503,
        "unavailable",
        "Failed to create notification",
    );
}

/// [`Edge::call`] asserts that each answer is as it is described.
#[actix_web::test]
async fn every_described_failure_of_the_store_is_answered() {
    let edge = Edge::new();
    edge.node.store.set_corrupt(true);
    let mut failed = BTreeSet::new();
    for (name, path) in OWN {
        let answered = edge.call(request(method(name), "admin:", path)).await;
        if answered.status == 500 {
            assert_eq!(answered.json()["code"], "internal");
            failed.insert(described(&method(name), path).unwrap());
        }
    }
    let body = serde_json::json!({ "toUser": "bob", "fromUser": "alice", "message": "hi" });
    assert_code(edge.create("alice", &body).await, 500, "internal");
    failed.insert(("POST", CREATE));
    let described =
        rest::routes().filter(|(method, template)| openapi::tests::answers(method, template, 500));
    assert_eq!(failed, described.collect());
}

#[actix_web::test]
async fn a_fault_is_explained_in_development_only() {
    let fault = || under("Failed to retrieve messages")(Problem::new(Code::Internal, "the store failed"));
    assert_eq!(fault().status(), 500);

    let mut edge = Edge::new();
    edge.node.store.set_down(true);
    assert_eq!(edge.get("alice", OWN[0].1).await.1["details"], Json::Null);
    edge.development = true;
    assert_eq!(
        edge.get("alice", OWN[0].1).await.1["details"],
        "the store is not available"
    );
}
