//! What release 1 stored is read for ever: `tests/golden` holds it.

use mongodb::bson::{deserialize_from_document, serialize_to_document};
use serde::de::DeserializeOwned;

use super::*;
use crate::test_support::samples::{at, pair, resendable, user};

fn golden<Stored: DeserializeOwned>(json: &str) -> (Document, Stored) {
    let document: Document = serde_json::from_str(json).unwrap();
    let stored = deserialize_from_document(document.clone()).unwrap();
    (document, stored)
}

fn id(last: u8) -> ObjectId {
    ObjectId::parse(&format!("65f0000000000000000000{last:02x}")).unwrap()
}

/// What became the golden message.
fn sent() -> NewMessage {
    let mut sent = resendable("b_c", "a", "c-1", 5);
    sent.id = id(1);
    sent.sender_name = "Bea".into();
    sent.receiver_name = "Al".into();
    sent.text = "hello 😀".into();
    sent.notification.id = id(2);
    sent.notification.text = "New message from Bea: hello 😀".into();
    sent.notification.metadata.message_id = Some(id(1).to_string().into());
    sent
}

#[test]
fn a_message_is_written_and_read_as_ever() {
    let (document, stored): (_, StoredMessage) =
        golden(include_str!("../../../tests/golden/message.v1.json"));
    let written = StoredMessage::new(&sent(), 7, None);
    assert_eq!(serialize_to_document(&written).unwrap(), document);
    assert_eq!(stored, written);
    let message = stored.message().unwrap();
    assert_eq!((message.seq, message.at, message.read_at), (7, at(5), None));
    assert_eq!(message.pair(), pair("a", "b_c"));
}

#[test]
fn a_message_from_elsewhere_is_read_with_all_that_may_be_in_it() {
    let (_, stored): (_, StoredMessage) = golden(include_str!("../../../tests/golden/message_read.v1.json"));
    let message = stored.message().unwrap();
    assert_eq!((message.seq, message.kind), (3, MessageKind::Image));
    assert_eq!((message.read_at, message.edited_at), (Some(at(9)), Some(at(7))));
    let notification = stored.notification(None).unwrap().notification().unwrap().content;
    assert_eq!(
        (notification.to_user, notification.from_user),
        (user("x"), user("service"))
    );
    assert_eq!(
        (notification.pair, notification.created_at),
        (pair("x", "y"), at(5))
    );
    assert_eq!(notification.metadata.priority, Priority::High);
}

#[test]
fn a_notification_follows_from_its_message_and_is_read_as_ever() {
    let (document, stored): (_, StoredNotification) =
        golden(include_str!("../../../tests/golden/notification.v1.json"));
    let follows = StoredMessage::new(&sent(), 7, None)
        .notification(Some(86_400_000))
        .unwrap();
    assert_eq!(serialize_to_document(&follows).unwrap(), document);
    assert_eq!(stored.notification().unwrap().content, sent().notification);
}

#[test]
fn a_chat_is_read_as_ever() {
    let (_, stored): (_, StoredChat) = golden(include_str!("../../../tests/golden/chat.v1.json"));
    let summary = stored.summary(2).unwrap().unwrap();
    assert_eq!((summary.pair, summary.unread), (pair("a", "b_c"), 2));
    assert_eq!(
        (&*summary.last_message.sender_name, summary.last_message.at),
        ("Bea", at(5))
    );
    assert!(stored.both_wrote());
    assert_eq!(stored.notified.unwrap().changed.map(time), Some(at(8)));
}

#[test]
fn a_key_that_is_none_is_refused() {
    assert_eq!(super::pair(&"1:a_b_c".into()).unwrap(), pair("a", "b_c"));
    for key in [
        "",
        "a_b",
        "1:ab",
        "2:a_b",
        "9999999999999999999999:a_b",
        "1:a_",
        "1:b_a",
        "-1:a_b",
        "1:a_\u{7}",
    ] {
        assert!(super::pair(&key.into()).is_err(), "{key}");
    }
}

#[test]
fn what_is_stored_wrongly_is_refused_and_nothing_panics() {
    let (_, good): (_, StoredMessage) = golden(include_str!("../../../tests/golden/message.v1.json"));
    let spoiled: [fn(&mut StoredMessage); 4] = [
        |message| message.place.seq = -1,
        |message| message.sender = ByteString::new(),
        |message| message.kind = "film".into(),
        |message| message.receiver = "x".repeat(200).into(),
    ];
    for spoil in spoiled {
        let mut message = good.clone();
        spoil(&mut message);
        assert!(message.message().is_err());
    }
}
