//! `sendMessage`, `markMessageRead`.

use super::*;
use crate::services::testing::{pair, text_of};

const FAILED_SEND: &str = "Failed to send message";
const FAILED_MARK: &str = "Failed to mark message as read";

/// A payload of `sendMessage` to ann with fields put in or replaced (the last of a key counts).
fn to_ann(fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { "," };
    format!(
        r#"{{"receiverId":"ann","message":"hello","senderName":"Bob","receiverName":"Ann"{comma}{fields}}}"#
    )
}

fn text(text: &str) -> String {
    to_ann(&format!(r#""message":"{text}""#))
}

#[tokio::test]
async fn a_message_is_stored_trimmed_announced_and_confirmed_last() {
    let desk = Desk::new();
    desk.node.clock.set(1_000);

    let outcome = desk
        .ask("bob", "sendMessage", &text(r"\ufeff\u00a0 hi  there \u2028\n"))
        .await;

    let page = desk
        .node
        .services
        .messages
        .history(&pair("ann", "bob"), 1, 10)
        .await
        .unwrap();
    let message = &page.messages[0];
    assert_eq!(message.text, "hi  there");
    let payload = format!(
        r#"{{"messageId":"{}","timestamp":"1970-01-01T00:00:01.000Z","chatboxId":"ann_bob","seq":1}}"#,
        message.id
    );
    assert_eq!(
        json(outcome.reply.as_deref().unwrap()),
        format!(r#"["messageSent",{payload}]"#)
    );
    assert_eq!(json(&outcome.ack), format!("[{payload}]"));
    assert_eq!((outcome.effect, outcome.failure), (Effect::None, None));
    assert_eq!(
        desk.node.announced.take_lines(),
        ["receiveMessage → chat_ann_bob", "notification → user_ann"]
    );
}

#[tokio::test]
async fn missing_fields_are_found_before_anything_else() {
    let desk = Desk::new();
    for payload in NO_OBJECTS {
        assert_refused(
            &desk.ask("bob", "sendMessage", payload).await,
            "Missing required fields",
            "invalid",
        );
    }
    for key in ["receiverId", "message", "senderName", "receiverName"] {
        for value in ["null", r#""""#] {
            // The text is blank and a name of another type, too.
            let fields = format!(r#""message":"  ","senderName":7,"{key}":{value}"#);
            let outcome = desk.ask("bob", "sendMessage", &to_ann(&fields)).await;
            assert_refused(&outcome, "Missing required fields", "invalid");
        }
    }
}

#[tokio::test]
async fn the_texts_length_is_checked_before_types() {
    let desk = Desk::new();
    let over = format!("{}x", "😀".repeat(500));
    for wrong in ["", r#","receiverId":{},"senderName":7"#] {
        for blank in ["  ", r"\ufeff\u2003\u2028\t"] {
            let payload = to_ann(&format!(r#""message":"{blank}"{wrong}"#));
            assert_refused(
                &desk.ask("bob", "sendMessage", &payload).await,
                "Message cannot be empty",
                "invalid",
            );
        }
        let outcome = desk
            .ask(
                "bob",
                "sendMessage",
                &to_ann(&format!(r#""message":"{over}"{wrong}"#)),
            )
            .await;
        assert_refused(&outcome, "Message too long (max 1000 characters)", "invalid");
    }
    let at_the_limit = format!(" {} ", "😀".repeat(500));
    assert_eq!(
        desk.ask("bob", "sendMessage", &text(&at_the_limit)).await.failure,
        None
    );
}

#[tokio::test]
async fn values_of_another_type_or_too_long_fail_to_send() {
    let desk = Desk::new();
    let (name, id, own_id) = ("n".repeat(257), "i".repeat(129), "c".repeat(65));
    let wrong = [
        r#""message":7"#,
        r#""message":true"#,
        r#""message":["hello"]"#,
        r#""message":{"$ne":null}"#,
        r#""receiverId":true"#,
        r#""receiverId":1.5"#,
        r#""receiverId":{"$gt":""}"#,
        r#""receiverId":"a\u0000b""#,
        r#""senderName":7"#,
        r#""receiverName":["Ann"]"#,
        r#""clientMessageId":7"#,
        r#""clientMessageId":{}"#,
        r#""clientMessageId":"a\nb""#,
        &format!(r#""senderName":"{name}""#),
        &format!(r#""receiverName":"{name}""#),
        &format!(r#""receiverId":"{id}""#),
        &format!(r#""clientMessageId":"{own_id}""#),
    ];
    for fields in wrong {
        assert_refused(
            &desk.ask("bob", "sendMessage", &to_ann(fields)).await,
            FAILED_SEND,
            "invalid",
        );
    }
    assert!(desk.node.announced.take().is_empty());
    assert_eq!(
        desk.budget.messages.load(Ordering::SeqCst),
        1_000,
        "what is bad costs nothing"
    );
}

#[tokio::test]
async fn what_is_just_allowed_is_sent() {
    let desk = Desk::new();
    let (name, id, own_id) = ("n".repeat(256), "i".repeat(128), "c".repeat(64));
    let allowed = [
        r#""receiverId":42"#,
        r#""receiverId":"bob""#,
        r#""receiverId":"a b+c@d/é""#,
        r#""senderName":" ""#,
        r#""clientMessageId":null"#,
        r#""clientMessageId":"""#,
        r#""message":"a\u0000b <b>&amp;""#,
        &format!(r#""senderName":"{name}","receiverName":"{name}""#),
        &format!(r#""receiverId":"{id}""#),
        &format!(r#""clientMessageId":"{own_id}""#),
    ];
    for fields in allowed {
        assert_eq!(
            desk.ask("bob", "sendMessage", &to_ann(fields)).await.failure,
            None,
            "{fields}"
        );
    }
    let sent = desk
        .node
        .services
        .messages
        .history(&pair("42", "bob"), 1, 10)
        .await
        .unwrap();
    assert_eq!(sent.total, 1, "an integer counts as its decimal text");
}

#[tokio::test]
async fn a_resend_is_confirmed_again_with_the_firsts_values() {
    let desk = Desk::new();
    let first = desk
        .ask("bob", "sendMessage", &to_ann(r#""clientMessageId":"k""#))
        .await;
    desk.node.announced.take();
    desk.node.clock.set(9_000);

    let again = desk
        .ask(
            "bob",
            "sendMessage",
            &to_ann(r#""clientMessageId":"k","message":"other""#),
        )
        .await;

    assert_eq!(again, first);
    assert!(desk.node.announced.take().is_empty());
    assert_eq!(
        desk.budget.messages.load(Ordering::SeqCst),
        998,
        "a resend counts, too"
    );
}

#[tokio::test]
async fn each_message_over_the_quota_is_refused_by_itself() {
    let desk = Desk::new();
    desk.budget.messages.store(1, Ordering::SeqCst);
    assert_eq!(desk.ask("bob", "sendMessage", &text("one")).await.failure, None);

    let over = desk.ask("bob", "sendMessage", &text("two")).await;
    let blank = desk.ask("bob", "sendMessage", &text(" ")).await;
    let other = desk.ask("bob", "joinChat", r#"{"chatboxId":"ann_bob"}"#).await;
    desk.budget.messages.store(1, Ordering::SeqCst);
    let later = desk.ask("bob", "sendMessage", &text("three")).await;

    let payload = r#"{"message":"Too many messages","code":"rate_limited","retryAfterMs":50}"#;
    assert_eq!(
        json(over.reply.as_deref().unwrap()),
        format!(r#"["error",{payload}]"#)
    );
    assert_eq!(json(&over.ack), format!(r#"[{{"error":{payload}}}]"#));
    assert_eq!(over.failure, Some(Code::RateLimited));
    assert_refused(&blank, "Message cannot be empty", "invalid");
    assert_eq!((other.failure, later.failure), (None, None));
}

#[tokio::test]
async fn a_store_that_is_down_is_worth_a_retry() {
    let desk = Desk::new();
    let sent = desk.node.say("bob", "ann", "x").await;
    desk.node.announced.take();
    desk.node.store.set_down(true);
    let mark = format!(r#"{{"messageId":"{}","chatboxId":"ann_bob"}}"#, sent.id);

    for (who, name, payload, message) in [
        ("bob", "sendMessage", text("x"), FAILED_SEND),
        ("ann", "markMessageRead", mark, FAILED_MARK),
    ] {
        let outcome = desk.ask(who, name, &payload).await;
        let payload = format!(r#"{{"message":"{message}","code":"unavailable","retryAfterMs":1000}}"#);
        assert_eq!(
            json(outcome.reply.as_deref().unwrap()),
            format!(r#"["error",{payload}]"#)
        );
        assert_eq!(json(&outcome.ack), format!(r#"[{{"error":{payload}}}]"#));
    }
    assert!(desk.node.announced.take().is_empty());
}

#[tokio::test]
async fn reading_is_told_to_the_others_and_acked_with_the_same() {
    let desk = Desk::new();
    let sent = desk.node.say("bob", "ann", "x").await;
    desk.node.announced.take();
    let payload = format!(
        r#"{{"messageId":"{}","chatboxId":"ann_bob"}}"#,
        sent.id.to_string().to_uppercase()
    );

    for at in [1_000, 2_000] {
        desk.node.clock.set(at);
        let outcome = desk.ask("ann", "markMessageRead", &payload).await;

        let announced = desk.node.announced.take();
        assert_eq!(announced[0].event[0], Value::from("messageRead"));
        assert_eq!(announced[0].event[1..], outcome.ack);
        assert_eq!(text_of(&announced[0].event, "readBy"), "ann");
        assert_eq!(text_of(&announced[0].event, "messageId"), sent.id.to_string());
        assert_eq!(
            text_of(&announced[0].event, "timestamp"),
            Timestamp::from_millis(at).to_string()
        );
        assert_eq!(announced[0].rooms, [Room::new("chat_ann_bob")]);
        assert_eq!(announced[0].except, [Room::new("ann-socket")]);
        assert!(!announced[0].volatile);
        assert_eq!((outcome.reply, outcome.failure), (None, None));
    }
}

#[tokio::test]
async fn marking_needs_both_ids() {
    let desk = Desk::new();
    let missing = [
        r#"{"messageId":"00000000000000000000000a"}"#,
        r#"{"chatboxId":"ann_bob"}"#,
        r#"{"messageId":"","chatboxId":7}"#,
        r#"{"messageId":7,"chatboxId":null}"#,
    ];
    for payload in NO_OBJECTS.into_iter().chain(missing) {
        let outcome = desk.ask("ann", "markMessageRead", payload).await;
        assert_refused(&outcome, "Message ID and Chatbox ID are required", "invalid");
    }
}

#[tokio::test]
async fn marking_what_is_wrong_unknown_or_anothers_fails() {
    let desk = Desk::new();
    let sent = format!(r#""{}""#, desk.node.say("bob", "ann", "x").await.id);
    desk.node.announced.take();
    let (long, own) = (format!(r#""{}""#, "f".repeat(129)), r#""ann_bob""#);
    let unknown = r#""00000000000000000000000f""#;
    let rows = [
        ("ann", "7", own, "invalid"),
        ("ann", r#"{"$ne":null}"#, own, "invalid"),
        ("ann", r#""a\u0007""#, own, "invalid"),
        ("ann", &long, own, "invalid"),
        ("ann", &sent, "7", "invalid"),
        ("ann", &sent, r#""bob_cid""#, "forbidden"),
        ("ann", &sent, r#""ann_cid""#, "not_found"),
        ("ann", unknown, own, "not_found"),
        ("ann", r#""no-object-id""#, own, "not_found"),
        ("bob", &sent, own, "forbidden"),
        ("cid", &sent, own, "forbidden"),
    ];
    for (who, message, chat, code) in rows {
        let payload = format!(r#"{{"messageId":{message},"chatboxId":{chat}}}"#);
        assert_refused(
            &desk.ask(who, "markMessageRead", &payload).await,
            FAILED_MARK,
            code,
        );
    }
    assert!(desk.node.announced.take().is_empty());
}

#[tokio::test]
async fn an_ambiguous_id_marks_nothing_of_the_other_pair() {
    let desk = Desk::new();
    let sent = desk.node.say("a", "b_c", "x").await;
    let payload = format!(r#"{{"messageId":"{}","chatboxId":"a_b_c"}}"#, sent.id);

    for (who, code) in [("c", "not_found"), ("a_b", "not_found"), ("a", "forbidden")] {
        assert_refused(
            &desk.ask(who, "markMessageRead", &payload).await,
            FAILED_MARK,
            code,
        );
    }
    assert_eq!(desk.ask("b_c", "markMessageRead", &payload).await.failure, None);
}
