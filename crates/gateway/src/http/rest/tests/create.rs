//! `POST /api/notifications/create`.

use serde_json::json;

use super::*;

fn body() -> Json {
    json!({ "toUser": "bob", "fromUser": "alice", "message": "hello" })
}

fn with(key: &str, value: Json) -> Json {
    let mut body = body();
    body[key] = value;
    body
}

#[actix_web::test]
async fn answers_with_what_was_stored() {
    let edge = Edge::new();
    let body = json!({
        "toUser": "bob", "fromUser": "alice", "message": "hello", "type": "alert", "extra": { "$gt": "" },
        "senderId": "alice", "receiverId": "bob", "createdAt": "2026-01-02T03:04:05.678Z",
        "metadata": { "messageId": 7, "messagePreview": "he", "priority": "high", "extra": [] },
    });

    let answered = edge
        .call(request(Method::POST, "alice", CREATE).set_json(body))
        .await;

    assert_eq!(answered.status, 201);
    let id = answered.json()["notification"]["notifId"]
        .as_str()
        .unwrap()
        .to_owned();
    let expected = format!(
        concat!(
            r#"{{"success":true,"notification":{{"notifId":"{0}","_id":"{0}","toUser":"bob","fromUser":"alice","#,
            r#""fromUserId":"alice","message":"hello","type":"alert","read":false,"#,
            r#""createdAt":"2026-01-02T03:04:05.678Z","chatboxId":"alice_bob","#,
            r#""metadata":{{"messageId":"7","messagePreview":"he","priority":"high"}}}},"#,
            r#""message":"Notification created successfully"}}"#
        ),
        id
    );
    assert_eq!(answered.text, expected);
    assert_eq!(edge.node.announced.take_lines(), ["notification → user_bob"]);
}

#[actix_web::test]
async fn what_is_missing_is_told_in_one_text() {
    let edge = Edge::new();
    let missing = "Missing required fields: toUser, fromUser, message";
    for key in ["toUser", "fromUser", "message"] {
        for none in [Json::Null, json!("")] {
            assert_refused(
                edge.create("alice", &with(key, none)).await,
                400,
                "invalid",
                missing,
            );
        }
        let mut without = body();
        without.as_object_mut().unwrap().remove(key);
        assert_refused(edge.create("alice", &without).await, 400, "invalid", missing);
    }
    for no_object in [json!([]), json!("text"), json!(5), Json::Null, json!({})] {
        assert_refused(edge.create("alice", &no_object).await, 400, "invalid", missing);
    }
    let nothing = edge.call(request(Method::POST, "alice", CREATE)).await;
    assert_refused((nothing.status, nothing.json()), 400, "invalid", missing);
}

#[actix_web::test]
async fn values_of_another_type_are_invalid() {
    let edge = Edge::new();
    let operator = json!({ "$gt": "" });
    for (key, value) in [
        ("toUser", operator.clone()),
        ("fromUser", operator.clone()),
        ("message", operator.clone()),
        ("senderId", operator.clone()),
        ("receiverId", operator.clone()),
        ("type", operator.clone()),
        ("createdAt", operator.clone()),
        ("metadata", json!("text")),
        ("metadata", json!([])),
        ("metadata", json!({ "messageId": operator })),
        ("metadata", json!({ "messageId": "x".repeat(129) })),
        ("metadata", json!({ "messagePreview": "x".repeat(101) })),
        ("metadata", json!({ "messagePreview": 5 })),
        ("metadata", json!({ "priority": 1 })),
        ("toUser", json!("a\u{7}")),
        ("toUser", json!("x".repeat(129))),
        ("toUser", json!(true)),
        ("toUser", json!(1.5)),
        ("message", json!(5)),
        ("message", json!("x".repeat(501))),
        ("message", json!("😀".repeat(251))),
        ("type", json!(1)),
        ("createdAt", json!("yesterday")),
        ("createdAt", json!(true)),
        ("createdAt", json!([2026])),
    ] {
        let refused = edge.create("alice", &with(key, value.clone())).await;
        assert_eq!(refused.1["success"], false, "{key}: {value}");
        assert_code(refused, 400, "invalid");
    }
    assert_eq!(edge.get("bob", "/api/notifications/user/bob").await.1["count"], 0);
}

#[actix_web::test]
async fn unknown_words_count_as_the_usual_ones() {
    let edge = Edge::new();
    for (key, value, shown, expected) in [
        (
            "type",
            json!("carrier pigeon"),
            "/notification/type",
            json!("chat"),
        ),
        ("type", Json::Null, "/notification/type", json!("chat")),
        ("type", json!("system"), "/notification/type", json!("system")),
        (
            "metadata",
            json!({ "priority": "whenever" }),
            "/notification/metadata",
            json!({ "priority": "medium" }),
        ),
        (
            "metadata",
            Json::Null,
            "/notification/metadata",
            json!({ "priority": "medium" }),
        ),
        (
            "metadata",
            json!({ "messageId": "", "priority": null }),
            "/notification/metadata",
            json!({ "priority": "medium" }),
        ),
        (
            "createdAt",
            json!(""),
            "/notification/createdAt",
            json!("2026-09-21T14:13:20.000Z"),
        ),
        (
            "createdAt",
            json!("2999-01-01"),
            "/notification/createdAt",
            json!("2026-09-21T14:13:20.000Z"),
        ),
        (
            "createdAt",
            json!(1_500),
            "/notification/createdAt",
            json!("1970-01-01T00:00:01.500Z"),
        ),
        (
            "createdAt",
            json!(1_500.0),
            "/notification/createdAt",
            json!("1970-01-01T00:00:01.500Z"),
        ),
        (
            "message",
            json!("😀".repeat(250)),
            "/notification/message",
            json!("😀".repeat(250)),
        ),
        ("message", json!(" \n"), "/notification/message", json!(" \n")),
        ("toUser", json!(42), "/notification/toUser", json!("42")),
    ] {
        let (status, created) = edge.create("alice", &with(key, value.clone())).await;
        assert_eq!(status, 201, "{key}: {value}: {created}");
        assert_eq!(created.pointer(shown), Some(&expected), "{key}: {value}");
    }
}

#[actix_web::test]
async fn a_user_creates_only_as_itself() {
    let edge = Edge::new();
    let third = |key: &str, id: &str| with(key, json!(id));
    for (body, status) in [
        (body(), 201),
        (third("senderId", "alice"), 201),
        (third("receiverId", "bob"), 201),
        (third("toUser", "alice"), 201),
        (third("senderId", "mallory"), 403),
        (third("receiverId", "mallory"), 403),
        (third("senderId", "bob"), 403),
        (third("fromUser", "mallory"), 403),
    ] {
        assert_eq!(edge.create("alice", &body).await.0, status, "{body}");
        for token in ["service:", "service:any", "admin:", "admin:any"] {
            assert_eq!(edge.create(token, &body).await.0, 201, "{body}");
        }
    }
    // Whose it is comes before the values.
    let mut foreign = third("fromUser", "mallory");
    foreign["message"] = json!(5);
    assert_code(edge.create("alice", &foreign).await, 403, "forbidden");
}

#[actix_web::test]
async fn sender_and_receiver_may_be_named_either_way_round() {
    let edge = Edge::new();
    let mut body = body();
    body["senderId"] = json!("bob");
    body["receiverId"] = json!("alice");
    let (status, created) = edge.create("alice", &body).await;
    assert_eq!(
        (status, &created["notification"]["chatboxId"]),
        (201, &json!("alice_bob"))
    );
}

async fn send(edge: &Edge, content_type: &str, body: impl Into<web::Bytes>) -> (u16, Json) {
    let request = request(Method::POST, "alice", CREATE).insert_header(("Content-Type", content_type));
    let answered = edge.call(request.set_payload(body.into())).await;
    (answered.status, answered.json())
}

#[actix_web::test]
async fn only_json_is_read() {
    let edge = Edge::new();
    let text = body().to_string();
    for (content_type, status) in [
        ("application/json", 201),
        ("Application/JSON; charset=utf-8", 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
        ("", 415),
    ] {
        let answered = send(&edge, content_type, text.clone()).await;
        assert_eq!(answered.0, status, "{content_type}");
        if status == 415 {
            assert_code(answered, 415, "unsupported_media_type");
        }
    }
    let untyped = edge
        .call(request(Method::POST, "alice", CREATE).set_payload(text.clone()))
        .await;
    assert_eq!(untyped.status, 415);
    let zipped = request(Method::POST, "alice", CREATE)
        .insert_header(("Content-Type", "application/json"))
        .insert_header(("Content-Encoding", "gzip"));
    assert_eq!(edge.call(zipped.set_payload(text)).await.status, 415);
}

#[actix_web::test]
async fn what_is_no_json_is_invalid() {
    let edge = Edge::new();
    let deep = format!(r#"{{"toUser":{}"#, "[".repeat(200_000));
    let bodies: [Vec<u8>; 6] = [
        b"{".to_vec(),
        b"{}x".to_vec(),
        b"{'toUser':1}".to_vec(),
        b"\xff\xfe".to_vec(),
        b"{\"toUser\":\"\xc3\"}".to_vec(),
        deep.into_bytes(),
    ];
    for body in bodies {
        let refused = send(&edge, "application/json", body).await;
        assert_eq!(refused.1["success"], false);
        assert_code(refused, 400, "invalid");
    }
}

#[actix_web::test]
async fn half_a_surrogate_pair_and_a_key_given_twice_are_read_as_javascript_does() {
    let edge = Edge::new();
    let text = r#"{"toUser":"x","toUser":"bob","fromUser":"alice","message":"a\ud83d"}"#;
    let (status, created) = send(&edge, "application/json", text).await;
    assert_eq!(status, 201);
    assert_eq!(created["notification"]["toUser"], "bob");
    assert_eq!(created["notification"]["message"], "a\u{fffd}");
}

#[actix_web::test]
async fn a_body_over_the_limit_is_too_large() {
    let edge = Edge::new();
    let padded = |length: usize| {
        let start = body().to_string();
        let padding = " ".repeat(length - start.len());
        format!("{start}{padding}")
    };
    assert_eq!(send(&edge, "application/json", padded(1_000_000)).await.0, 201);
    let refused = send(&edge, "application/json", padded(1_000_001)).await;
    assert_code(refused, 413, "too_large");
}
