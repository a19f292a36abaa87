//! Chat lists, counts and names.

use serde_json::json;

use super::*;

#[actix_web::test]
async fn the_list_has_the_latest_first() {
    let edge = Edge::new();
    edge.node.say("bob", "alice", "from bob").await;
    edge.node.clock.set(NOW + 1);
    edge.node.say("alice", "zoe", "to zoe").await;
    edge.notify("carl", "alice").await;

    let answered = edge
        .call(request(Method::GET, "alice", "/api/chat/user/alice/chats"))
        .await;

    let expected = concat!(
        r#"{"chats":[{"chatboxId":"alice_zoe","otherUserId":"zoe","lastMessage":{"message":"to zoe","#,
        r#""timestamp":"2026-09-21T14:13:20.001Z","senderName":"Sender"},"unreadCount":0},"#,
        r#"{"chatboxId":"alice_bob","otherUserId":"bob","lastMessage":{"message":"from bob","#,
        r#""timestamp":"2026-09-21T14:13:20.000Z","senderName":"Sender"},"unreadCount":1}]}"#
    );
    assert_eq!(answered.text, expected);
    let (_, body) = edge.get("alice", "/api/chat/user/alice/chats?limit=1").await;
    assert_eq!(body["chats"].as_array().unwrap().len(), 1);
    assert_code(
        edge.get("alice", "/api/chat/user/alice/chats?limit=0").await,
        400,
        "invalid",
    );
    assert_eq!(
        edge.get("carl", "/api/chat/user/carl/chats").await,
        (200, json!({ "chats": [] }))
    );
}

#[actix_web::test]
async fn marking_a_chat_read_empties_its_count() {
    let edge = Edge::new();
    edge.node.say("bob", "alice", "1").await;
    edge.node.say("zoe", "alice", "2").await;
    edge.node.say("alice", "alice", "to myself").await;
    let count = "/api/chat/user/alice/unread-count";
    assert_eq!(edge.get("alice", count).await, (200, json!({ "unreadCount": 2 })));

    // The other's marking is the other's.
    assert_eq!(
        edge.patch("bob", "/api/chat/chatbox/alice_bob/mark-read/bob")
            .await
            .0,
        200
    );
    assert_eq!(edge.get("alice", count).await.1["unreadCount"], 2);
    let marked = edge
        .patch("alice", "/api/chat/chatbox/alice_bob/mark-read/alice")
        .await;
    assert_eq!(marked, (200, json!({ "message": "Messages marked as read" })));
    assert_eq!(edge.get("alice", count).await.1["unreadCount"], 1);
    // Before the first message, and by an admin.
    assert_eq!(
        edge.patch("alice", "/api/chat/chatbox/alice_new/mark-read/alice")
            .await
            .0,
        200
    );
    assert_eq!(
        edge.patch("admin:", "/api/chat/chatbox/alice_zoe/mark-read/alice")
            .await
            .0,
        200
    );
    assert_eq!(edge.get("alice", count).await.1["unreadCount"], 0);
}

#[actix_web::test]
async fn a_chat_is_marked_by_one_of_the_two() {
    let edge = Edge::new();
    for path in [
        "/api/chat/chatbox/bob_zoe/mark-read/alice",
        "/api/chat/chatbox/bob_alice/mark-read/alice",
    ] {
        assert_code(edge.patch("alice", path).await, 403, "forbidden");
        assert_code(edge.patch("admin:", path).await, 400, "invalid");
    }
}

#[actix_web::test]
async fn the_name_of_a_chat_is_the_same_from_both_sides() {
    let edge = Edge::new();
    for (token, path, id) in [
        ("9", "/api/chat/chatbox/9/10", "10_9"),
        ("10", "/api/chat/chatbox/9/10", "10_9"),
        ("10", "/api/chat/chatbox/10/9", "10_9"),
        ("me", "/api/chat/chatbox/me/me", "me_me"),
        ("admin:", "/api/chat/chatbox/a/Z/", "Z_a"),
        ("a_b", "/API/chat/ChatBox/a_b/c", "a_b_c"),
    ] {
        assert_eq!(edge.get(token, path).await, (200, json!({ "chatboxId": id })));
    }
    assert_code(edge.get("11", "/api/chat/chatbox/9/10").await, 403, "forbidden");
}
