//! The inbox: listing, counting, marking, deleting, cleaning up.

use serde_json::json;

use super::*;

const DAY_MS: i64 = 86_400_000;

#[actix_web::test]
async fn the_inbox_has_what_is_unread_oldest_first() {
    let edge = Edge::new();
    let first = edge.notify("bob", "alice").await;
    edge.node.clock.set(NOW + 1);
    let message = edge.node.say("zoe", "alice", "hi").await;
    edge.node.clock.set(NOW + 2);
    let read = edge.notify("bob", "alice").await;
    assert_eq!(
        edge.patch("alice", &format!("/api/notifications/read/alice_bob/{read}"))
            .await
            .0,
        200
    );

    let answered = edge
        .call(request(Method::GET, "alice", "/api/notifications/user/alice"))
        .await;

    let body = answered.json();
    let second = body["notifications"][1]["notifId"].as_str().unwrap();
    let expected = format!(
        concat!(
            r#"{{"success":true,"notifications":[{{"notifId":"{0}","_id":"{0}","toUser":"alice","fromUser":"bob","#,
            r#""fromUserId":"bob","message":"hello","type":"chat","read":false,"createdAt":"2026-09-21T14:13:20.000Z","#,
            r#""chatboxId":"alice_bob","metadata":{{"priority":"medium"}}}},"#,
            r#"{{"notifId":"{1}","_id":"{1}","toUser":"alice","fromUser":"zoe","fromUserId":"zoe","#,
            r#""message":"New message from Sender: hi","type":"chat","read":false,"#,
            r#""createdAt":"2026-09-21T14:13:20.001Z","chatboxId":"alice_zoe","#,
            r#""metadata":{{"messageId":"{2}","priority":"medium"}}}}],"count":2}}"#
        ),
        first, second, message.id
    );
    assert_eq!(answered.text, expected);

    let (_, newest) = edge.get("alice", "/api/notifications/user/alice?limit=1").await;
    assert_eq!(newest["count"], 1);
    assert_eq!(newest["notifications"][0]["notifId"], second);
    let refused = edge.get("alice", "/api/notifications/user/alice?limit=-1").await;
    assert_eq!(refused.1["success"], false);
    assert_code(refused, 400, "invalid");
}

#[actix_web::test]
async fn statistics_count_read_and_unread() {
    let edge = Edge::new();
    let read = edge.notify("bob", "alice").await;
    edge.notify("zoe", "alice").await;
    edge.notify("zoe", "alice").await;
    edge.patch("alice", &format!("/api/notifications/read/alice_bob/{read}"))
        .await;

    let answered = edge
        .call(request(
            Method::GET,
            "alice",
            "/api/notifications/user/alice/stats",
        ))
        .await;

    let expected = r#"{"success":true,"stats":{"totalNotifications":3,"unreadCount":2,"readCount":1,"activeChatboxes":2}}"#;
    assert_eq!(answered.text, expected);
}

#[actix_web::test]
async fn marking_answers_with_the_legacy_envelope() {
    let edge = Edge::new();
    let id = edge.notify("bob", "alice").await;
    edge.notify("alice", "bob").await;
    edge.node.clock.set(NOW + 7);
    let path = format!("/api/notifications/read/alice_bob/{id}");

    let (status, body) = edge.patch("alice", &path).await;

    assert_eq!(status, 200);
    assert_eq!(body["success"], true);
    assert_eq!(body["message"], "Notification marked as read");
    let envelope = &body["notification"];
    let keys: Vec<_> = envelope.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "chatboxId",
            "createdAt",
            "isActive",
            "lastNotificationAt",
            "notifications",
            "updatedAt",
            "users"
        ]
    );
    assert_eq!(envelope["users"], json!(["alice", "bob"]));
    assert_eq!(envelope["isActive"], true);
    assert_eq!(envelope["notifications"].as_array().unwrap().len(), 1);
    assert_eq!(envelope["notifications"][0]["notifId"], id);
    assert_eq!(envelope["notifications"][0]["read"], true);
    assert_eq!(envelope["notifications"][0]["readAt"], "2026-09-21T14:13:20.007Z");

    edge.node.clock.set(NOW + 8);
    let (status, again) = edge.patch("alice", &path).await;
    assert_eq!(status, 200);
    assert_eq!(
        again["notification"]["notifications"][0]["readAt"],
        "2026-09-21T14:13:20.007Z"
    );
    assert_eq!(edge.patch("admin:", &path).await.0, 200);
}

#[actix_web::test]
async fn a_notification_belongs_to_its_user() {
    let edge = Edge::new();
    let id = edge.notify("bob", "alice").await;
    for token in ["bob", "mallory", "service:"] {
        for path in [
            format!("/api/notifications/read/alice_bob/{id}"),
            format!("/api/notifications/alice_bob/{id}"),
        ] {
            let method = if path.contains("/read/") {
                Method::PATCH
            } else {
                Method::DELETE
            };
            assert_code(edge.ask(method, token, &path).await, 403, "forbidden");
        }
    }
    // Filed under a chat that its user is not in.
    let body =
        json!({ "toUser": "alice", "fromUser": "bot", "senderId": "x", "receiverId": "y", "message": "m" });
    let (_, created) = edge.create("service:", &body).await;
    let id = created["notification"]["notifId"].as_str().unwrap();
    assert_eq!(created["notification"]["chatboxId"], "x_y");
    assert_code(
        edge.patch("x", &format!("/api/notifications/read/x_y/{id}"))
            .await,
        403,
        "forbidden",
    );
    assert_eq!(
        edge.patch("alice", &format!("/api/notifications/read/x_y/{id}"))
            .await
            .0,
        200
    );
}

#[actix_web::test]
async fn an_unknown_notification_is_not_found() {
    let edge = Edge::new();
    let elsewhere = edge.notify("zoe", "alice").await;
    for id in ["000000000000000000ffffff", "nonsense", "1", &elsewhere] {
        for (method, path, message) in [
            (
                Method::PATCH,
                format!("/api/notifications/read/alice_bob/{id}"),
                "Notification not found",
            ),
            (
                Method::DELETE,
                format!("/api/notifications/alice_bob/{id}"),
                "Notification or chat not found",
            ),
            (
                Method::DELETE,
                format!("/api/notifications/nonsense/{id}"),
                "Notification or chat not found",
            ),
        ] {
            for token in ["alice", "admin:"] {
                let refused = edge.ask(method.clone(), token, &path).await;
                assert_eq!(refused.1["success"], false);
                assert_refused(refused, 404, "not_found", message);
            }
        }
    }
}

#[actix_web::test]
async fn an_ambiguous_chat_is_told_by_the_notification() {
    let edge = Edge::new();
    let left = edge.notify("a", "b_c").await;
    let right = edge.notify("a_b", "c").await;
    assert_code(
        edge.patch("b_c", &format!("/api/notifications/read/a_b_c/{right}"))
            .await,
        403,
        "forbidden",
    );
    assert_eq!(
        edge.patch("b_c", &format!("/api/notifications/read/a_b_c/{left}"))
            .await
            .0,
        200
    );
    assert_eq!(
        edge.delete("admin:", &format!("/api/notifications/a_b_c/{right}"))
            .await
            .0,
        200
    );
    assert_eq!(edge.get("c", "/api/notifications/user/c").await.1["count"], 0);
}

#[actix_web::test]
async fn all_of_a_chat_are_marked() {
    let edge = Edge::new();
    edge.notify("bob", "alice").await;
    edge.notify("bob", "alice").await;
    edge.notify("zoe", "alice").await;
    edge.notify("alice", "bob").await;

    let marked = edge
        .patch("alice", "/api/notifications/read-all/alice_bob/alice")
        .await;

    assert_eq!(
        marked,
        (
            200,
            json!({ "success": true, "message": "All notifications marked as read" })
        )
    );
    assert_eq!(
        edge.get("alice", "/api/notifications/user/alice").await.1["count"],
        1
    );
    assert_eq!(edge.get("bob", "/api/notifications/user/bob").await.1["count"], 1);
    assert_eq!(
        edge.patch("alice", "/api/notifications/read-all/alice_bob/alice")
            .await
            .0,
        200
    );
}

#[actix_web::test]
async fn an_unknown_chat_is_not_marked() {
    let edge = Edge::new();
    for path in [
        "/api/notifications/read-all/alice_bob/alice",
        "/api/notifications/read-all/nonsense/alice",
        "/api/notifications/read-all/bob_alice/alice",
    ] {
        let refused = edge.patch("alice", path).await;
        assert_eq!(refused.1["success"], false);
        assert_refused(refused, 404, "not_found", "Chatbox not found");
    }
    assert_code(
        edge.patch("alice", "/api/notifications/read-all/bob_zoe/alice")
            .await,
        403,
        "forbidden",
    );
    assert_code(
        edge.patch("admin:", "/api/notifications/read-all/bob_zoe/alice")
            .await,
        400,
        "invalid",
    );
    edge.node.say("alice", "bob", "a message makes it known").await;
    assert_eq!(
        edge.patch("alice", "/api/notifications/read-all/alice_bob/alice")
            .await
            .0,
        200
    );
}

#[actix_web::test]
async fn what_is_deleted_is_gone() {
    let edge = Edge::new();
    let id = edge.notify("bob", "alice").await;
    let path = format!("/api/notifications/alice_bob/{id}");
    let deleted = edge.delete("alice", &path).await;
    assert_eq!(
        deleted,
        (
            200,
            json!({ "success": true, "message": "Notification deleted successfully" })
        )
    );
    assert_code(edge.delete("alice", &path).await, 404, "not_found");
    // The chat stays known.
    assert_eq!(
        edge.patch("alice", "/api/notifications/read-all/alice_bob/alice")
            .await
            .0,
        200
    );
}

#[actix_web::test]
async fn cleanup_removes_what_is_old() {
    let edge = Edge::new();
    let read = edge.notify("bob", "alice").await;
    edge.notify("bob", "alice").await;
    edge.patch("alice", &format!("/api/notifications/read/alice_bob/{read}"))
        .await;
    edge.node.clock.set(NOW + 30 * DAY_MS + 1);
    edge.notify("bob", "alice").await;

    let answered = edge
        .call(request(
            Method::DELETE,
            "service:",
            "/api/notifications/cleanup?daysOld=31",
        ))
        .await;
    assert_eq!(answered.json()["result"]["deletedCount"], 0);
    let answered = edge
        .call(request(Method::DELETE, "admin:", "/api/notifications/cleanup"))
        .await;

    let expected = concat!(
        r#"{"success":true,"message":"Cleaned up notifications older than 30 days","#,
        r#""result":{"acknowledged":true,"matchedCount":2,"modifiedCount":2,"deletedCount":2}}"#
    );
    assert_eq!(answered.text, expected);
    assert_eq!(
        edge.get("alice", "/api/notifications/user/alice/stats").await.1["stats"]["totalNotifications"],
        1
    );
}

#[actix_web::test]
async fn a_slip_does_not_run_the_cleanup() {
    let edge = Edge::new();
    for query in [
        "daysOld=0",
        "daysOld=-1",
        "daysOld=x",
        "daysOld=",
        "daysOld=1.5",
        "daysold=5",
        "days=5",
        "daysOld=5&x",
        "daysOld=5&daysOld=6",
    ] {
        let path = format!("/api/notifications/cleanup?{query}");
        assert_code(edge.delete("service:", &path).await, 400, "invalid");
        assert_code(edge.delete("alice", &path).await, 403, "forbidden");
    }
    assert_eq!(
        edge.delete(
            "service:",
            "/api/notifications/cleanup?daysOld=99999999999999999999"
        )
        .await
        .0,
        200
    );
}
