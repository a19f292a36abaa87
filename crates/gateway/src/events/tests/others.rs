//! `getOnlineUsers`, `refreshToken`, events that are none, details.

use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn whoever_is_online_is_listed_whatever_the_arguments() {
    let desk = Desk::new();
    for (id, at) in [("bob", 1_000), ("ann", 2_000)] {
        desk.node.clock.set(at);
        desk.node.services.presence.connected(&user(id)).await;
    }
    let list = r#"[{"userId":"ann","lastSeen":"1970-01-01T00:00:02.000Z"},{"userId":"bob","lastSeen":"1970-01-01T00:00:01.000Z"}]"#;

    for args in ["[]", "[null]", r#"["x",{"y":1},[]]"#] {
        let outcome = desk.ask_all("ann", "getOnlineUsers", args).await;
        assert_eq!(
            json(outcome.reply.as_deref().unwrap()),
            format!(r#"["onlineUsers",{list}]"#)
        );
        assert_eq!(json(&outcome.ack), format!("[{list}]"));
        assert_eq!((outcome.effect, outcome.failure), (Effect::None, None));
    }
}

#[tokio::test]
async fn among_contacts_only_they_are_listed() {
    let desk = Desk::with(Scope::Contacts, false);
    for id in ["ann", "bob", "cid"] {
        desk.node.services.presence.connected(&user(id)).await;
    }
    desk.node.say("ann", "bob", "x").await;
    desk.node.say("bob", "ann", "y").await;
    desk.node.say("cid", "ann", "z").await;

    let Value::Array(list) = desk.ask_all("ann", "getOnlineUsers", "[]").await.ack.remove(0) else {
        panic!()
    };

    let ids: Vec<_> = list
        .iter()
        .map(|line| line.get("userId").unwrap().clone())
        .collect();
    assert_eq!(ids, ["ann".into(), "bob".into()]);
}

#[tokio::test]
async fn a_backplane_that_is_down_is_no_empty_list() {
    let desk = Desk::new();
    desk.node.backplane.set_down(true);

    let list = desk.ask_all("ann", "getOnlineUsers", "[]").await;
    let typing = desk
        .ask("ann", "typing", r#"{"chatboxId":"ann_bob","isTyping":true}"#)
        .await;

    let payload = r#"{"message":"Failed to get online users","code":"unavailable","retryAfterMs":1000}"#;
    assert_eq!(
        json(list.reply.as_deref().unwrap()),
        format!(r#"["error",{payload}]"#)
    );
    assert_eq!((typing.reply, typing.failure), (None, Some(Code::Unavailable)));
}

#[tokio::test]
async fn a_fresh_token_of_ones_own_renews() {
    let desk = Desk::new();
    let at = Timestamp::from_millis(5_000);

    let until = desk.ask("ann", "refreshToken", r#"{"token":"ann@5000"}"#).await;
    let for_ever = desk.ask("ann", "refreshToken", r#"{"token":"ann"}"#).await;

    assert_eq!(json(&until.ack), r#"[{"expiresAt":"1970-01-01T00:00:05.000Z"}]"#);
    assert_eq!(
        (until.effect, until.reply, until.failure),
        (Effect::Renew(Some(at)), None, None)
    );
    assert_eq!(json(&for_ever.ack), r#"[{"expiresAt":null}]"#);
    assert_eq!(for_ever.effect, Effect::Renew(None));
}

#[tokio::test]
async fn any_other_token_changes_nothing() {
    let desk = Desk::new();
    let rows = [
        (r#"{"token":"bob@5000"}"#, "forbidden"),
        (r#"{"token":"expired"}"#, "token_expired"),
        (r#"{"token":"forged"}"#, "invalid"),
        (r#"{"token":"@5000"}"#, "invalid"),
        (r#"{"token":7}"#, "invalid"),
        (r#"{"token":null}"#, "invalid"),
    ];
    let no_objects = NO_OBJECTS.map(|payload| (payload, "invalid"));
    for (payload, code) in rows.into_iter().chain(no_objects) {
        assert_refused(
            &desk.ask("ann", "refreshToken", payload).await,
            "Failed to refresh token",
            code,
        );
    }
}

#[tokio::test]
async fn an_unknown_event_is_told_by_the_ack_alone() {
    let desk = Desk::new();
    for name in ["", "joinchat", "connection", "disconnect", "error"] {
        assert_silent(
            &desk.ask_all("ann", name, "[{}]").await,
            "Unknown event",
            "invalid",
        );
    }
    for name in [
        Value::Null,
        Value::from(7_i64),
        Value::from(vec![Value::from("joinChat")]),
    ] {
        assert_silent(&desk.ask_all("ann", name, "[]").await, "Unknown event", "invalid");
    }
}

#[tokio::test]
async fn details_are_for_development_alone() {
    let developer = Desk::with(Scope::All, true);

    let refused = developer
        .ask("ann", "joinChat", r#"{"chatboxId":"bob_cid"}"#)
        .await;
    let silent = developer.ask("ann", "typing", r#"{"chatboxId":"ann_bob"}"#).await;

    let payload =
        r#"{"message":"Failed to join chat","code":"forbidden","details":"not a chat of this user"}"#;
    assert_eq!(
        json(refused.reply.as_deref().unwrap()),
        format!(r#"["error",{payload}]"#)
    );
    assert_eq!(json(&refused.ack), format!(r#"[{{"error":{payload}}}]"#));
    assert!(json(&silent.ack).contains(r#""details":"isTyping is no boolean""#));
}

/// Any value, also where keys of the contract stand.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(Value::from("ann_bob")),
        Just(Value::Binary(vec![1, 2].into())),
    ];
    let key = prop_oneof![
        Just("chatboxId"),
        Just("isTyping"),
        Just("messageId"),
        Just("receiverId"),
        Just("message"),
        Just("senderName"),
        Just("receiverName"),
        Just("clientMessageId"),
        Just("token"),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        let entries = prop::collection::vec((key.clone(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            entries.prop_map(|entries| {
                let mut object = Object::new();
                entries
                    .into_iter()
                    .for_each(|(key, value)| object.push(key, value));
                Value::Object(object)
            }),
        ]
    })
}

#[test]
fn nothing_that_a_client_sends_panics_or_stays_without_an_ack() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let desk = Desk::new();
    let names = [
        "joinChat",
        "leaveChat",
        "sendMessage",
        "markMessageRead",
        "typing",
        "getOnlineUsers",
        "refreshToken",
    ];
    let (user, socket_room) = (user("ann"), Room::new("socket"));
    let caller = Caller {
        user: &user,
        socket_room: &socket_room,
        chats: &*desk.budget,
    };

    proptest!(|(name in prop::sample::select(names.to_vec()), args in prop::collection::vec(any_value(), 0..3))| {
        let outcome = runtime.block_on(desk.events.handle(&caller, &Value::from(name), &args));
        prop_assert_eq!(outcome.ack.len(), 1);
        prop_assert_eq!(outcome.failure.is_some(), outcome.ack[0].get("error").is_some());
    });
}

#[tokio::test]
async fn an_event_too_many_is_refused_with_the_time_to_wait_before_it_is_looked_at() {
    let desk = Desk::new();
    desk.budget.events.store(0, Ordering::SeqCst);
    let error = r#"{"message":"Too many events","code":"rate_limited","retryAfterMs":50}"#;
    let typing = r#"{"chatboxId":"ann_bob","isTyping":true}"#;
    for (name, payload) in [
        ("typing", typing),
        ("sendMessage", "{}"),
        ("joinChat", r#"{"chatboxId":"ann_bob"}"#),
        ("getOnlineUsers", "null"),
        ("nothing of ours", "null"),
    ] {
        let outcome = desk.ask("ann", name, payload).await;
        assert_eq!(
            json(outcome.reply.as_deref().unwrap()),
            format!(r#"["error",{error}]"#),
            "{name}"
        );
        assert_eq!(json(&outcome.ack), format!(r#"[{{"error":{error}}}]"#));
        assert_eq!(outcome.effect, Effect::None);
    }
    assert!(desk.node.announced.take().is_empty());
    assert_eq!(desk.budget.messages.load(Ordering::SeqCst), 1_000);
}
