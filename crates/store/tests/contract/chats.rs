//! Cases of [`carillon_store::Chats`].

use std::sync::Arc;

use carillon_protocol::chat::{ChatSummary, LastMessage, Pair};
use carillon_store::{Store, messages::AppendOutcome};
use tokio::task::JoinSet;

use super::samples::{at, message, new_id, notification, pair, resendable, user};

async fn list(store: &dyn Store, id: &str, limit: u32) -> Vec<Pair> {
    store
        .chats_of(&user(id), limit)
        .await
        .unwrap()
        .into_iter()
        .map(|chat| chat.pair)
        .collect()
}

pub(crate) async fn the_list_is_latest_activity_first(store: Arc<dyn Store>) {
    let store = &*store;
    for (sender, receiver, millis) in [("m", "a", 10), ("z", "m", 30), ("m", "m", 20), ("a", "z", 99)] {
        store
            .append_message(message(sender, receiver, "hi", millis))
            .await
            .unwrap();
    }
    assert_eq!(
        list(store, "m", 10).await,
        [pair("m", "z"), pair("m", "m"), pair("a", "m")]
    );

    store.append_message(message("a", "m", "hi", 40)).await.unwrap();
    assert_eq!(
        list(store, "m", 10).await,
        [pair("a", "m"), pair("m", "z"), pair("m", "m")]
    );
    assert_eq!(list(store, "m", 2).await, [pair("a", "m"), pair("m", "z")]);
    assert!(list(store, "m", 0).await.is_empty());
    assert!(list(store, "nobody", 10).await.is_empty());
}

pub(crate) async fn the_list_shows_the_newest_message_and_what_is_unread(store: Arc<dyn Store>) {
    for (sender, receiver, text) in [("a", "b", "one"), ("a", "b", "two"), ("b", "a", "three")] {
        store
            .append_message(message(sender, receiver, text, 5))
            .await
            .unwrap();
    }

    for (reader, unread) in [("a", 1), ("b", 2)] {
        let expected = ChatSummary {
            pair: pair("a", "b"),
            last_message: LastMessage {
                text: "three".into(),
                at: at(5),
                sender_name: "b's name".into(),
            },
            unread,
        };
        assert_eq!(store.chats_of(&user(reader), 10).await.unwrap(), [expected]);
    }
}

pub(crate) async fn a_notification_alone_is_in_no_list(store: Arc<dyn Store>) {
    store
        .create_notification(notification("a", "b", 0))
        .await
        .unwrap();
    assert!(list(&*store, "a", 10).await.is_empty());
    assert!(list(&*store, "b", 10).await.is_empty());
    assert_eq!(store.history_page(&pair("a", "b"), 1, 10).await.unwrap().total, 0);

    let first = store.append_message(message("a", "b", "hi", -5)).await.unwrap();
    assert_eq!((first.message.seq, first.message.at), (1, at(-5)));
    assert_eq!(list(&*store, "b", 10).await, [pair("a", "b")]);
}

pub(crate) async fn unread_is_exact_under_marks_and_appends(store: Arc<dyn Store>) {
    let chat = pair("a", "b");
    let mut tasks = JoinSet::new();
    for writer in 0..60 {
        let (store, chat) = (Arc::clone(&store), chat.clone());
        tasks.spawn(async move {
            let (sender, receiver) = if writer % 2 == 0 { ("a", "b") } else { ("b", "a") };
            for turn in 0..10 {
                let stored = store
                    .append_message(message(sender, receiver, "hi", turn))
                    .await
                    .unwrap()
                    .message;
                if turn % 3 == 0 {
                    store
                        .mark_message_read(&chat, stored.id, &stored.receiver, at(turn))
                        .await
                        .unwrap();
                }
                if turn % 5 == 4 {
                    store
                        .mark_chat_read(&chat, &stored.receiver, at(turn))
                        .await
                        .unwrap();
                }
            }
        });
    }
    tasks.join_all().await;
    for _ in 0..7 {
        store.append_message(message("a", "b", "hi", 0)).await.unwrap();
    }

    let messages = store.history_after(&chat, 0, 1000).await.unwrap();
    for reader in ["a", "b"] {
        let waiting = messages
            .iter()
            .filter(|one| one.receiver == user(reader) && one.read_at.is_none())
            .count();
        assert_eq!(store.unread_count(&user(reader)).await.unwrap(), waiting as u64);
        assert_eq!(
            store.mark_chat_read(&chat, &user(reader), at(0)).await.unwrap(),
            waiting as u64
        );
        assert_eq!(store.unread_count(&user(reader)).await.unwrap(), 0);
    }
}

pub(crate) async fn unread_sums_over_chats(store: Arc<dyn Store>) {
    assert_eq!(store.unread_count(&user("m")).await.unwrap(), 0);
    for sender in ["a", "z", "m", "a"] {
        store.append_message(message(sender, "m", "hi", 0)).await.unwrap();
        store.append_message(message("m", sender, "hi", 0)).await.unwrap();
    }
    assert_eq!(store.unread_count(&user("m")).await.unwrap(), 3);
    assert_eq!(store.unread_count(&user("a")).await.unwrap(), 2);
}

pub(crate) async fn pairs_of_one_name_are_two_chats(store: Arc<dyn Store>) {
    let (left, right) = (pair("a", "b_c"), pair("a_b", "c"));
    assert_eq!(left.chatbox_id(), right.chatbox_id());
    let in_left = store
        .append_message(resendable("a", "b_c", "c-1", 0))
        .await
        .unwrap();
    store
        .create_notification(notification("a", "b_c", 1))
        .await
        .unwrap();

    assert!(!store.chat_is_known(&right).await.unwrap());
    assert_eq!(store.history_page(&right, 1, 10).await.unwrap().total, 0);
    let in_right = store
        .append_message(resendable("a_b", "c", "c-1", 0))
        .await
        .unwrap();

    assert_eq!(
        (in_right.outcome, in_right.message.seq),
        (AppendOutcome::Stored, 1)
    );
    assert_eq!(
        store.history_page(&left, 1, 10).await.unwrap().messages,
        [in_left.message]
    );
    assert_eq!(
        store.history_after(&right, 0, 10).await.unwrap(),
        [in_right.message]
    );
    assert_eq!(
        store.mark_chat_read(&right, &user("b_c"), at(0)).await.unwrap(),
        0
    );
    assert_eq!(
        store
            .mark_notifications_read(&right, &user("b_c"), at(0))
            .await
            .unwrap(),
        0
    );
    assert_eq!(list(&*store, "a", 10).await, [left]);
    assert_eq!(list(&*store, "c", 10).await, [right]);
}

pub(crate) async fn a_chat_stays_known(store: Arc<dyn Store>) {
    assert!(!store.chat_is_known(&pair("a", "b")).await.unwrap());
    let new = notification("a", "b", 0);
    store.create_notification(new.clone()).await.unwrap();
    store
        .create_notification(notification("c", "d", 0))
        .await
        .unwrap();
    store.append_message(message("e", "e", "hi", 0)).await.unwrap();

    assert!(
        store
            .delete_notification(&pair("a", "b"), new.id, &user("b"))
            .await
            .unwrap()
    );
    store.delete_notifications_before(at(1)).await.unwrap();

    for (one, other) in [("a", "b"), ("c", "d"), ("e", "e")] {
        assert!(store.chat_is_known(&pair(one, other)).await.unwrap());
    }
    store
        .mark_message_read(&pair("x", "y"), new_id(), &user("x"), at(0))
        .await
        .unwrap();
    store
        .mark_chat_read(&pair("x", "y"), &user("x"), at(0))
        .await
        .unwrap();
    store
        .mark_notifications_read(&pair("x", "y"), &user("x"), at(0))
        .await
        .unwrap();
    assert!(!store.chat_is_known(&pair("x", "y")).await.unwrap());
}

pub(crate) async fn contacts_have_both_written(store: Arc<dyn Store>) {
    for (sender, receiver) in [
        ("m", "a"),
        ("a", "m"),
        ("z", "m"),
        ("m", "z"),
        ("m", "b"),
        ("c", "m"),
    ] {
        store
            .append_message(message(sender, receiver, "hi", 0))
            .await
            .unwrap();
    }
    store
        .create_notification(notification("b", "m", 0))
        .await
        .unwrap();
    store.append_message(message("m", "a", "again", 0)).await.unwrap();

    let mut contacts = store.contacts(&user("m")).await.unwrap();
    contacts.sort();
    assert_eq!(contacts, [user("a"), user("z")]);
    assert_eq!(store.contacts(&user("a")).await.unwrap(), [user("m")]);
    assert!(store.contacts(&user("b")).await.unwrap().is_empty());
    for (other, expected) in [("a", true), ("z", true), ("b", false), ("c", false), ("x", false)] {
        assert_eq!(
            store.are_contacts(&pair("m", other)).await.unwrap(),
            expected,
            "{other}"
        );
    }
}

pub(crate) async fn one_is_no_contact_of_oneself(store: Arc<dyn Store>) {
    store.append_message(message("a", "a", "note", 0)).await.unwrap();

    assert!(store.contacts(&user("a")).await.unwrap().is_empty());
    assert!(store.are_contacts(&pair("a", "a")).await.unwrap());
    assert!(!store.are_contacts(&pair("b", "b")).await.unwrap());
}

pub(crate) async fn ids_of_any_script(store: Arc<dyn Store>) {
    let long = "😀".repeat(64);
    let ids = [
        " ",
        "_",
        "__",
        "%",
        "a b+c@d/é",
        "e\u{301}",
        "é",
        "É",
        "Ünï",
        "用户",
        "' OR 1=1",
        "10",
        "9",
        &long,
    ];
    for id in ids {
        store.append_message(message(id, "me", id, 0)).await.unwrap();
        store.append_message(message("me", id, id, 0)).await.unwrap();
    }

    for id in ids {
        assert_eq!(list(&*store, id, 10).await, [pair(id, "me")], "{id}");
        let history = store.history_after(&pair(id, "me"), 0, 10).await.unwrap();
        assert_eq!(history.len(), 2, "{id}");
        assert!(
            history
                .iter()
                .all(|one| one.text == *id && one.pair() == pair(id, "me")),
            "{id}"
        );
        assert_eq!(
            store
                .mark_chat_read(&pair(id, "me"), &user(id), at(1))
                .await
                .unwrap(),
            1,
            "{id}"
        );
        assert_eq!(
            store.unread_notifications(&user(id), 10).await.unwrap().len(),
            1,
            "{id}"
        );
    }
    assert_eq!(store.contacts(&user("me")).await.unwrap().len(), ids.len());
    assert_eq!(store.unread_count(&user("me")).await.unwrap(), ids.len() as u64);
}

pub(crate) async fn pings_and_flushes(store: Arc<dyn Store>) {
    store.ping().await.unwrap();
    store.flush().await.unwrap();
    store.append_message(message("a", "b", "hi", 0)).await.unwrap();
    store.ping().await.unwrap();
    store.flush().await.unwrap();
}

pub(crate) async fn what_was_answered_is_read_at_once(store: Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    for chat in 0..20 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let sender = format!("s{chat}");
            for turn in 1..=20 {
                let appended = store
                    .append_message(message(&sender, "r", "hi", turn))
                    .await
                    .unwrap();
                let page = store.history_page(&pair(&sender, "r"), 1, 1).await.unwrap();
                assert_eq!(page.messages, [appended.message]);
                assert_eq!(page.total, turn.unsigned_abs());
                assert!(store.notification(appended.notification).await.unwrap().is_some());
                assert_eq!(
                    store.chats_of(&user(&sender), 1).await.unwrap()[0]
                        .last_message
                        .at,
                    at(turn)
                );
            }
        });
    }
    tasks.join_all().await;
}
