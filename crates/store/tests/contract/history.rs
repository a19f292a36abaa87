//! Cases of [`carillon_store::Messages`]: reading messages and marking them as read.

use std::sync::Arc;

use carillon_store::{
    Store,
    messages::{HistoryPage, MarkOutcome, MarkedMessage},
};

use super::samples::{at, message, new_id, pair, user};

pub(crate) async fn pages_are_newest_first(store: Arc<dyn Store>) {
    for millis in 0..25 {
        let (sender, receiver) = if millis % 3 == 0 { ("a", "b") } else { ("b", "a") };
        store
            .append_message(message(sender, receiver, "hi", millis))
            .await
            .unwrap();
    }
    let chat = pair("a", "b");

    for (page, limit, expected) in [
        (1, 10, (16..=25)),
        (2, 10, (6..=15)),
        (3, 10, (1..=5)),
        (1, 100, (1..=25)),
        (25, 1, (1..=1)),
    ] {
        let found = store.history_page(&chat, page, limit).await.unwrap();
        let seqs: Vec<u64> = found.messages.iter().map(|message| message.seq).collect();
        assert_eq!(
            seqs,
            expected.rev().collect::<Vec<u64>>(),
            "page {page} of {limit}"
        );
        assert_eq!(found.total, 25);
    }
}

pub(crate) async fn pages_beyond_the_end_are_empty(store: Arc<dyn Store>) {
    for _ in 0..10 {
        store.append_message(message("a", "b", "hi", 0)).await.unwrap();
    }

    for (page, limit) in [(2, 10), (3, 5), (u64::MAX, 1), (u64::MAX, u32::MAX), (1, 0)] {
        let found = store.history_page(&pair("a", "b"), page, limit).await.unwrap();
        assert_eq!(
            found,
            HistoryPage {
                messages: Vec::new(),
                total: 10
            },
            "page {page} of {limit}"
        );
    }
}

pub(crate) async fn history_after_is_oldest_first(store: Arc<dyn Store>) {
    for _ in 0..10 {
        store.append_message(message("a", "b", "hi", 0)).await.unwrap();
        store
            .append_message(message("a", "c", "elsewhere", 0))
            .await
            .unwrap();
    }
    let chat = pair("a", "b");

    for (after, limit, expected) in [
        (0, 4, 1..5),
        (4, 4, 5..9),
        (8, 4, 9..11),
        (10, 4, 11..11),
        (u64::MAX, 4, 0..0),
        (3, 0, 4..4),
    ] {
        let found = store.history_after(&chat, after, limit).await.unwrap();
        assert!(
            found.iter().map(|message| message.seq).eq(expected),
            "after {after}"
        );
    }
}

pub(crate) async fn an_unknown_chat_has_an_empty_history(store: Arc<dyn Store>) {
    let chat = pair("a", "b");

    assert_eq!(
        store.history_page(&chat, 1, 50).await.unwrap(),
        HistoryPage {
            messages: Vec::new(),
            total: 0
        }
    );
    assert!(store.history_after(&chat, 0, 50).await.unwrap().is_empty());
    assert_eq!(store.mark_chat_read(&chat, &user("a"), at(0)).await.unwrap(), 0);
    let marked = store
        .mark_message_read(&chat, new_id(), &user("a"), at(0))
        .await
        .unwrap();
    assert_eq!(marked, MarkOutcome::Unknown);
    assert!(!store.chat_is_known(&chat).await.unwrap());
}

pub(crate) async fn marking_counts_the_first_time_only(store: Arc<dyn Store>) {
    let chat = pair("a", "b");
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(
            store
                .append_message(message("a", "b", "hi", 0))
                .await
                .unwrap()
                .message
                .id,
        );
    }

    let first = store
        .mark_message_read(&chat, ids[1], &user("b"), at(10))
        .await
        .unwrap();
    let again = store
        .mark_message_read(&chat, ids[1], &user("b"), at(20))
        .await
        .unwrap();

    assert_eq!(
        first,
        MarkOutcome::Marked(MarkedMessage {
            read_at: at(10),
            first: true
        })
    );
    assert_eq!(
        again,
        MarkOutcome::Marked(MarkedMessage {
            read_at: at(10),
            first: false
        })
    );
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 2);
    let read: Vec<_> = store
        .history_after(&chat, 0, 10)
        .await
        .unwrap()
        .iter()
        .map(|one| one.read_at)
        .collect();
    assert_eq!(read, [None, Some(at(10)), None]);
}

pub(crate) async fn only_the_receiver_marks_and_in_its_chat(store: Arc<dyn Store>) {
    let id = store
        .append_message(message("a", "b", "hi", 0))
        .await
        .unwrap()
        .message
        .id;
    store.append_message(message("c", "b", "hi", 0)).await.unwrap();

    for (chat, reader, expected) in [
        (pair("a", "b"), "a", MarkOutcome::NotReceiver),
        (pair("a", "b"), "c", MarkOutcome::NotReceiver),
        (pair("b", "c"), "b", MarkOutcome::Unknown),
        (pair("b", "d"), "b", MarkOutcome::Unknown),
    ] {
        assert_eq!(
            store
                .mark_message_read(&chat, id, &user(reader), at(1))
                .await
                .unwrap(),
            expected
        );
    }
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 2);
}

pub(crate) async fn marking_a_chat_marks_what_its_reader_received(store: Arc<dyn Store>) {
    let chat = pair("a", "b");
    for (sender, receiver) in [
        ("a", "b"),
        ("b", "a"),
        ("a", "b"),
        ("a", "c"),
        ("c", "b"),
        ("a", "b"),
    ] {
        store
            .append_message(message(sender, receiver, "hi", 0))
            .await
            .unwrap();
    }
    let second = store.history_after(&chat, 2, 1).await.unwrap()[0].id;
    store
        .mark_message_read(&chat, second, &user("b"), at(5))
        .await
        .unwrap();

    let marked = store.mark_chat_read(&chat, &user("b"), at(10)).await.unwrap();
    let again = store.mark_chat_read(&chat, &user("b"), at(11)).await.unwrap();
    let outsider = store.mark_chat_read(&chat, &user("c"), at(12)).await.unwrap();

    assert_eq!((marked, again, outsider), (2, 0, 0));
    let read: Vec<_> = store
        .history_after(&chat, 0, 10)
        .await
        .unwrap()
        .iter()
        .map(|one| one.read_at)
        .collect();
    assert_eq!(read, [Some(at(10)), None, Some(at(5)), Some(at(10))]);
    assert_eq!(store.unread_count(&user("a")).await.unwrap(), 1);
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 1);
    assert_eq!(store.unread_count(&user("c")).await.unwrap(), 1);
}

pub(crate) async fn a_message_to_oneself_is_never_unread(store: Arc<dyn Store>) {
    let chat = pair("a", "a");
    let message = store
        .append_message(message("a", "a", "note", 3))
        .await
        .unwrap()
        .message;

    assert_eq!(message.read_at, Some(at(3)));
    assert_eq!(store.unread_count(&user("a")).await.unwrap(), 0);
    assert_eq!(store.mark_chat_read(&chat, &user("a"), at(4)).await.unwrap(), 0);
    let marked = store
        .mark_message_read(&chat, message.id, &user("a"), at(4))
        .await
        .unwrap();
    assert_eq!(
        marked,
        MarkOutcome::Marked(MarkedMessage {
            read_at: at(3),
            first: false
        })
    );
    let list = store.chats_of(&user("a"), 10).await.unwrap();
    assert_eq!((list.len(), list[0].unread), (1, 0));
    assert_eq!(store.unread_notifications(&user("a"), 10).await.unwrap().len(), 1);
}
