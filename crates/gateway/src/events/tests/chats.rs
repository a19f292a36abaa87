//! `joinChat`, `leaveChat`, `typing`.

use super::*;

const TOO_LONG: usize = 258;

#[tokio::test]
async fn joining_and_leaving_answer_and_act() {
    let desk = Desk::new();
    desk.node.clock.set(1_000);
    let room = Room::new("chat_ann_bob");
    let payload = r#"{"chatboxId":"ann_bob","timestamp":"1970-01-01T00:00:01.000Z"}"#;

    for (name, answer, effect) in [
        ("leaveChat", "chatLeft", Effect::Leave(room.clone())),
        ("joinChat", "chatJoined", Effect::Join(room)),
    ] {
        let outcome = desk
            .ask("bob", name, r#"{"chatboxId":"ann_bob","more":[1]}"#)
            .await;

        assert_eq!(
            json(outcome.reply.as_deref().unwrap()),
            format!(r#"["{answer}",{payload}]"#)
        );
        assert_eq!(json(&outcome.ack), format!("[{payload}]"));
        assert_eq!((outcome.effect, outcome.failure), (effect, None));
    }
    assert!(desk.node.announced.take().is_empty());
}

#[tokio::test]
async fn a_chat_without_an_id_is_refused() {
    let desk = Desk::new();
    let missing = [
        r#"{"chatboxId":null}"#,
        r#"{"chatboxId":""}"#,
        r#"{"other":"ann_bob"}"#,
    ];
    for name in ["joinChat", "leaveChat"] {
        for payload in NO_OBJECTS.into_iter().chain(missing) {
            assert_refused(
                &desk.ask("ann", name, payload).await,
                "Chatbox ID is required",
                "invalid",
            );
        }
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_invalid() {
    let desk = Desk::new();
    let long = format!(r#""{}""#, "a".repeat(TOO_LONG));
    for (name, message) in [
        ("joinChat", "Failed to join chat"),
        ("leaveChat", "Failed to leave chat"),
    ] {
        for id in [
            "7",
            "false",
            "{\"$ne\":null}",
            "[\"ann_bob\"]",
            "\"ann\\u0007_bob\"",
            &long,
        ] {
            let outcome = desk.ask("ann", name, &format!(r#"{{"chatboxId":{id}}}"#)).await;
            assert_refused(&outcome, message, "invalid");
        }
    }
}

#[tokio::test]
async fn anothers_chat_is_forbidden() {
    let desk = Desk::new();
    for (name, message) in [
        ("joinChat", "Failed to join chat"),
        ("leaveChat", "Failed to leave chat"),
    ] {
        for id in [
            "bob_cid",
            "ann",
            "_",
            "ann_",
            "bob_ann",
            " ann_bob",
            "chat_ann_bob",
        ] {
            let outcome = desk.ask("ann", name, &format!(r#"{{"chatboxId":"{id}"}}"#)).await;
            assert_refused(&outcome, message, "forbidden");
        }
    }
}

#[tokio::test]
async fn an_ambiguous_id_is_the_askers_own_chat() {
    let desk = Desk::new();
    for (who, room) in [("a", "~1"), ("b_c", "~1"), ("a_b", "~3"), ("c", "~3")] {
        let outcome = desk.ask(who, "joinChat", r#"{"chatboxId":"a_b_c"}"#).await;
        assert_eq!(
            outcome.effect,
            Effect::Join(Room::new(format!("chat_a_b_c{room}")))
        );

        desk.ask(who, "typing", r#"{"chatboxId":"a_b_c","isTyping":true}"#)
            .await;
        assert_eq!(
            desk.node.announced.take()[0].rooms,
            [Room::new(format!("chat_a_b_c{room}"))]
        );
    }
    assert_refused(
        &desk.ask("b", "joinChat", r#"{"chatboxId":"a_b_c"}"#).await,
        "Failed to join chat",
        "forbidden",
    );
}

#[tokio::test]
async fn typing_reaches_the_others_in_order_and_is_not_kept() {
    let desk = Desk::new();
    desk.node.clock.set(1_000);

    for is_typing in [true, true, false] {
        let payload = format!(r#"{{"chatboxId":"ann_bob","isTyping":{is_typing}}}"#);
        let outcome = desk.ask("bob", "typing", &payload).await;
        assert_eq!(outcome, Outcome::acknowledged(Object::new()));
    }

    let announced = desk.node.announced.take();
    let signals: Vec<_> = announced.iter().map(|broadcast| json(&broadcast.event)).collect();
    let signal = |is_typing| {
        format!(
            r#"["userTyping",{{"userId":"bob","isTyping":{is_typing},"timestamp":"1970-01-01T00:00:01.000Z"}}]"#
        )
    };
    assert_eq!(signals, [signal(true), signal(true), signal(false)]);
    for broadcast in announced {
        assert_eq!(broadcast.rooms, [Room::new("chat_ann_bob")]);
        assert_eq!(broadcast.except, [Room::new("bob-socket")]);
        assert!(broadcast.volatile);
    }
}

#[tokio::test]
async fn bad_typing_is_silent_but_for_the_ack() {
    let desk = Desk::new();
    let bad = [
        r#"{"isTyping":true}"#,
        r#"{"chatboxId":"","isTyping":true}"#,
        r#"{"chatboxId":7,"isTyping":true}"#,
        r#"{"chatboxId":"ann_bob"}"#,
        r#"{"chatboxId":"ann_bob","isTyping":null}"#,
        r#"{"chatboxId":"ann_bob","isTyping":"true"}"#,
        r#"{"chatboxId":"ann_bob","isTyping":1}"#,
    ];
    for payload in NO_OBJECTS.into_iter().chain(bad) {
        assert_silent(
            &desk.ask("ann", "typing", payload).await,
            "Failed to signal typing",
            "invalid",
        );
    }
    let anothers = desk
        .ask("ann", "typing", r#"{"chatboxId":"bob_cid","isTyping":true}"#)
        .await;
    assert_silent(&anothers, "Failed to signal typing", "forbidden");
    assert!(desk.node.announced.take().is_empty());
}

#[tokio::test]
async fn a_chat_too_many_is_refused_with_the_time_to_wait_and_does_nothing() {
    let desk = Desk::new();
    desk.budget.chats.store(1, Ordering::SeqCst);
    let join = || desk.ask("ann", "joinChat", r#"{"chatboxId":"ann_bob"}"#);
    assert_eq!(join().await.failure, None);

    let outcome = join().await;
    let error = r#"{"message":"Too many chats","code":"rate_limited","retryAfterMs":50}"#;
    assert_eq!(
        json(outcome.reply.as_deref().unwrap()),
        format!(r#"["error",{error}]"#)
    );
    assert_eq!(json(&outcome.ack), format!(r#"[{{"error":{error}}}]"#));
    assert_eq!(outcome.effect, Effect::None);
}
