//! Histories.

use serde_json::json;

use super::*;

#[actix_web::test]
async fn a_page_has_everything_in_order() {
    let edge = Edge::new();
    let first = edge.node.say("alice", "bob", "one").await;
    edge.node.clock.set(NOW + 5);
    assert_eq!(
        edge.patch("bob", "/api/chat/chatbox/alice_bob/mark-read/bob")
            .await
            .0,
        200
    );
    let second = edge.node.say("bob", "alice", "two").await;

    let answered = edge
        .call(request(Method::GET, "alice", "/api/chat/messages/alice_bob"))
        .await;

    let expected = format!(
        concat!(
            r#"{{"messages":[{{"_id":"{}","message":"two","timestamp":"2026-09-21T14:13:20.005Z","senderName":"Sender","#,
            r#""receiverName":"Receiver","senderId":"bob","receiverId":"alice","seq":2,"read":false,"#,
            r#""messageType":"text","edited":false}},"#,
            r#"{{"_id":"{}","message":"one","timestamp":"2026-09-21T14:13:20.000Z","senderName":"Sender","#,
            r#""receiverName":"Receiver","senderId":"alice","receiverId":"bob","seq":1,"read":true,"#,
            r#""readAt":"2026-09-21T14:13:20.005Z","readBy":"bob","messageType":"text","edited":false}}],"#,
            r#""totalPages":1,"currentPage":1,"totalMessages":2,"hasMore":false}}"#
        ),
        second.id, first.id
    );
    assert_eq!(answered.text, expected);
}

#[actix_web::test]
async fn pages_are_counted() {
    let edge = Edge::new();
    for text in ["1", "2", "3", "4", "5"] {
        edge.node.say("alice", "bob", text).await;
    }
    for (page, texts, has_more) in [
        ("1", vec!["5", "4"], true),
        ("2", vec!["3", "2"], true),
        ("3", vec!["1"], false),
        ("4", vec![], false),
    ] {
        let (_, body) = edge
            .get(
                "bob",
                &format!("/api/chat/messages/alice_bob?page={page}&limit=2"),
            )
            .await;
        let found: Vec<_> = body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| &message["message"])
            .collect();
        assert_eq!(found, texts);
        assert_eq!(body["totalPages"], 3);
        assert_eq!(body["totalMessages"], 5);
        assert_eq!(body["hasMore"], has_more);
    }
    for page in [
        "1000000000000000000",
        "18446744073709551615",
        "99999999999999999999999999",
    ] {
        let (status, body) = edge
            .get(
                "bob",
                &format!("/api/chat/messages/alice_bob?page={page}&limit=100"),
            )
            .await;
        assert_eq!((status, &body["messages"]), (200, &json!([])), "{page}");
        assert_eq!(body["totalPages"], 1);
    }
}

#[actix_web::test]
async fn a_limit_over_100_counts_as_100() {
    let edge = Edge::new();
    for _ in 0..102 {
        edge.node.say("alice", "bob", "x").await;
    }
    for (query, count) in [
        ("", 50),
        ("?limit=100", 100),
        ("?limit=101", 100),
        ("?limit=99999999999999999999", 100),
    ] {
        let (_, body) = edge
            .get("alice", &format!("/api/chat/messages/alice_bob{query}"))
            .await;
        assert_eq!(body["messages"].as_array().unwrap().len(), count);
        let (_, body) = edge
            .get(
                "alice",
                &format!(
                    "/api/chat/messages/alice_bob?afterSeq=0&{}",
                    query.trim_start_matches('?')
                ),
            )
            .await;
        assert_eq!(body["messages"].as_array().unwrap().len(), count);
        assert_eq!(body["hasMore"], true);
    }
}

#[actix_web::test]
async fn an_unknown_chat_is_an_empty_page() {
    let edge = Edge::new();
    let answered = edge
        .call(request(
            Method::GET,
            "alice",
            "/api/chat/messages/alice_bob?page=3",
        ))
        .await;
    assert_eq!(answered.text, r#"{"messages":[],"totalPages":0,"currentPage":3}"#);
    for path in [
        "/api/chat/messages/alice_bob?afterSeq=0",
        "/api/chat/messages/alice_bob?afterSeq=18446744073709551615",
    ] {
        assert_eq!(
            edge.get("alice", path).await,
            (200, json!({ "messages": [], "hasMore": false }))
        );
    }
}

#[actix_web::test]
async fn catching_up_goes_by_seq() {
    let edge = Edge::new();
    for text in ["1", "2", "3", "4"] {
        edge.node.say("alice", "bob", text).await;
    }
    for (query, seqs, has_more) in [
        ("afterSeq=0", vec![1, 2, 3, 4], false),
        ("afterSeq=1&limit=2", vec![2, 3], true),
        ("afterSeq=2&limit=2", vec![3, 4], false),
        ("afterSeq=4", vec![], false),
        ("afterSeq=9007199254740993", vec![], false),
    ] {
        let (_, body) = edge
            .get("bob", &format!("/api/chat/messages/alice_bob?{query}"))
            .await;
        let found: Vec<_> = body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["seq"].as_u64().unwrap())
            .collect();
        assert_eq!(found, seqs, "{query}");
        assert_eq!(body["hasMore"], has_more, "{query}");
        assert_eq!(body.as_object().unwrap().len(), 2);
    }
}

#[actix_web::test]
async fn numbers_that_are_none_are_invalid() {
    let edge = Edge::new();
    for query in [
        "page=0",
        "page=-1",
        "page=abc",
        "page=1.5",
        "page=",
        "page=1&page=2",
        "limit=0",
        "limit=x",
        "afterSeq=-1",
        "afterSeq=",
        "afterSeq=1e3",
        "page=0&afterSeq=1",
    ] {
        assert_code(
            edge.get("alice", &format!("/api/chat/messages/alice_bob?{query}"))
                .await,
            400,
            "invalid",
        );
        assert_code(
            edge.get("mallory", &format!("/api/chat/messages/alice_bob?{query}"))
                .await,
            403,
            "forbidden",
        );
    }
    assert_eq!(
        edge.get("alice", "/api/chat/messages/alice_bob?other=x&page=1")
            .await
            .0,
        200
    );
}

#[actix_web::test]
async fn only_the_two_may_read() {
    let edge = Edge::new();
    for id in ["alice_bob", "bob_alice", "nonsense", "_", "alice"] {
        assert_code(
            edge.get("mallory", &format!("/api/chat/messages/{id}")).await,
            403,
            "forbidden",
        );
    }
    // Not the sorted name.
    assert_code(
        edge.get("alice", "/api/chat/messages/bob_alice").await,
        403,
        "forbidden",
    );
    let admin = edge.get("admin:", "/api/chat/messages/nonsense?page=2").await;
    assert_eq!(
        admin,
        (200, json!({ "messages": [], "totalPages": 0, "currentPage": 2 }))
    );
}

#[actix_web::test]
async fn an_ambiguous_name_means_ones_own_chat() {
    let edge = Edge::new();
    edge.node.say("a", "b_c", "left").await;
    edge.node.say("a_b", "c", "right").await;
    let path = "/api/chat/messages/a_b_c";
    let text = |body: &Json| body["messages"][0]["message"].as_str().map(str::to_owned);

    for (user, expected) in [("a", "left"), ("b_c", "left"), ("a_b", "right"), ("c", "right")] {
        let (_, body) = edge.get(user, path).await;
        assert_eq!(body["totalMessages"], 1);
        assert_eq!(text(&body).as_deref(), Some(expected));
        let (_, body) = edge.get("admin:", &format!("{path}?userId={user}")).await;
        assert_eq!(text(&body).as_deref(), Some(expected));
    }
    assert_code(edge.get("b", path).await, 403, "forbidden");
    for query in ["", "?userId=b", "?userId=", "?userId=a&userId=c"] {
        assert_code(
            edge.get("admin:", &format!("{path}{query}")).await,
            400,
            "invalid",
        );
    }
    // For anyone else the parameter has no meaning.
    let (_, body) = edge.get("a", &format!("{path}?userId=c")).await;
    assert_eq!(text(&body).as_deref(), Some("left"));
}
