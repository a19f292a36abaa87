//! Cases of [`carillon_store::Messages`]: storing messages.

use std::{future::poll_fn, sync::Arc, task::Poll};

use carillon_protocol::message::{Message, MessageKind, NewMessage};
use carillon_store::{
    Result, Store, StoreError,
    messages::{AppendOutcome, Appended, HistoryPage},
};
use futures_util::{FutureExt as _, future::join_all};
use tokio::task::JoinSet;

use super::samples::{at, message, new_id, pair, resendable, user};

pub(crate) async fn a_message_is_stored_as_sent(store: Arc<dyn Store>) {
    let sent = resendable("b", "a", "c-1", 5);

    let appended = store.append_message(sent.clone()).await.unwrap();

    let expected = Message {
        id: sent.id,
        seq: 1,
        sender: sent.sender,
        receiver: sent.receiver,
        sender_name: sent.sender_name,
        receiver_name: sent.receiver_name,
        text: sent.text,
        kind: MessageKind::Text,
        at: sent.at,
        read_at: None,
        client_message_id: sent.client_message_id,
        edited_at: None,
    };
    assert_eq!(appended.message, expected);
    assert_eq!(appended.notification, sent.notification.id);
    assert_eq!(appended.outcome, AppendOutcome::Stored);
    let page = store.history_page(&pair("a", "b"), 1, 50).await.unwrap();
    assert_eq!(
        page,
        HistoryPage {
            messages: vec![expected.clone()],
            total: 1
        }
    );
    assert_eq!(
        store.history_after(&pair("a", "b"), 0, 50).await.unwrap(),
        [expected]
    );
}

pub(crate) async fn seq_counts_from_one_per_chat(store: Arc<dyn Store>) {
    let chats = [("a", "b"), ("b", "a"), ("a", "c"), ("a", "b"), ("a", "a")];

    let mut seqs = Vec::new();
    for (sender, receiver) in chats {
        seqs.push(
            store
                .append_message(message(sender, receiver, "hi", 0))
                .await
                .unwrap()
                .message
                .seq,
        );
    }

    assert_eq!(seqs, [1, 2, 1, 3, 1]);
}

pub(crate) async fn seq_has_no_hole_under_many_writers(store: Arc<dyn Store>) {
    const WRITERS: usize = 300;
    let chats = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("d", "d")];

    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        let (sender, receiver) = chats[writer % chats.len()];
        writers.spawn(async move {
            let mut seqs = Vec::new();
            for _ in 0..3 {
                seqs.push(
                    store
                        .append_message(message(sender, receiver, "hi", 0))
                        .await
                        .unwrap()
                        .message
                        .seq,
                );
            }
            assert!(seqs.is_sorted_by(|before, after| before < after));
        });
    }
    writers.join_all().await;

    for (one, other, expected) in [("a", "b", 360), ("a", "c", 360), ("d", "d", 180)] {
        let messages = store.history_after(&pair(one, other), 0, 1000).await.unwrap();
        assert!(messages.iter().map(|message| message.seq).eq(1..=expected));
    }
    assert_eq!(store.unread_count(&user("a")).await.unwrap(), 360);
    assert_eq!(store.notification_stats(&user("a")).await.unwrap().total, 360);
}

/// Appends that are begun one after the other, before any of them ends; waited for in the opposite order.
async fn together(store: &dyn Store, messages: Vec<NewMessage>) -> Vec<Result<Appended>> {
    let mut appends: Vec<_> = messages
        .into_iter()
        .map(|message| store.append_message(message).fuse())
        .collect();
    let mut early: Vec<Option<Result<Appended>>> = appends.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (append, early) in appends.iter_mut().zip(&mut early) {
            if let Poll::Ready(outcome) = append.poll_unpin(context) {
                *early = Some(outcome);
            }
        }
        Poll::Ready(())
    })
    .await;
    let outcomes = appends.into_iter().zip(early).rev();
    let mut outcomes = join_all(outcomes.map(|(append, early)| async move {
        match early {
            Some(outcome) => outcome,
            None => append.await,
        }
    }))
    .await;
    outcomes.reverse();
    outcomes
}

pub(crate) async fn appends_under_way_together_are_numbered_as_they_began(store: Arc<dyn Store>) {
    for round in 0..3 {
        let mut expected = Vec::new();
        let mut messages = Vec::new();
        for number in 0..300_u64 {
            let text = format!("{round}.{number}");
            messages.push(match number % 3 {
                0 => message("a", "b", &text, 0),
                1 => resendable("b", "a", &text, 0),
                // The one before, again.
                _ => resendable("b", "a", &format!("{round}.{}", number - 1), 0),
            });
            expected.push(round * 200 + number / 3 * 2 + (number % 3).min(1) + 1);
        }

        let appended = together(&*store, messages).await;

        let seqs: Vec<u64> = appended
            .iter()
            .map(|appended| appended.as_ref().unwrap().message.seq)
            .collect();
        assert_eq!(seqs, expected);
        for (number, appended) in appended.iter().enumerate() {
            let is_stored = appended.as_ref().unwrap().outcome == AppendOutcome::Stored;
            assert_eq!(is_stored, number % 3 < 2, "{number}");
        }
    }
    let stored = store.history_after(&pair("a", "b"), 0, 1000).await.unwrap();
    assert!(stored.iter().map(|message| message.seq).eq(1..=600));
}

pub(crate) async fn one_that_fails_among_others_is_refused_alone(store: Arc<dyn Store>) {
    let first = message("a", "b", "first", 0);
    store.append_message(first.clone()).await.unwrap();
    let mut messages: Vec<NewMessage> = (0..9).map(|_| message("a", "b", "hi", 1)).collect();
    messages[2].id = first.id;
    messages[5].notification.id = first.notification.id;

    let appended = together(&*store, messages).await;

    let seqs: Vec<_> = appended
        .iter()
        .map(|appended| appended.as_ref().ok().map(|appended| appended.message.seq))
        .collect();
    let expected = [
        Some(2),
        Some(3),
        None,
        Some(4),
        Some(5),
        None,
        Some(6),
        Some(7),
        Some(8),
    ];
    assert_eq!(seqs, expected);
    assert!(matches!(appended[2], Err(StoreError::Corrupt { .. })));
    assert!(matches!(appended[5], Err(StoreError::Corrupt { .. })));
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 8);
    assert_eq!(store.notification_stats(&user("b")).await.unwrap().total, 8);
    let stored = store.history_after(&pair("a", "b"), 0, 100).await.unwrap();
    assert!(stored.iter().map(|message| message.seq).eq(1..=8));
}

pub(crate) async fn time_never_goes_back_along_seq(store: Arc<dyn Store>) {
    let mut stored = Vec::new();
    for millis in [100, 50, 150, -1000, 150, 151] {
        let appended = store
            .append_message(message("a", "b", "hi", millis))
            .await
            .unwrap();
        let notification = store.notification(appended.notification).await.unwrap().unwrap();
        assert_eq!(notification.content.created_at, appended.message.at);
        stored.push(appended.message.at);
    }
    let elsewhere = store.append_message(message("a", "c", "hi", 0)).await.unwrap();

    assert_eq!(stored, [100, 100, 150, 150, 150, 151].map(at));
    assert_eq!(elsewhere.message.at, at(0));
    assert_eq!(
        store.chats_of(&user("b"), 1).await.unwrap()[0].last_message.at,
        at(151)
    );
}

pub(crate) async fn a_resend_gets_the_first_message(store: Arc<dyn Store>) {
    let first = store
        .append_message(resendable("a", "b", "c-1", 0))
        .await
        .unwrap();
    store.mark_announced(first.message.id).await.unwrap();
    store
        .append_message(message("a", "b", "between", 1))
        .await
        .unwrap();
    let mut other_text = resendable("a", "b", "c-1", 2);
    other_text.text = "another text".into();

    let again = store.append_message(other_text.clone()).await.unwrap();

    assert_eq!(again.message, first.message);
    assert_eq!(again.notification, first.notification);
    assert_eq!(again.outcome, AppendOutcome::Duplicate);
    assert_eq!(store.history_page(&pair("a", "b"), 1, 50).await.unwrap().total, 2);
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 2);
    assert_eq!(store.notification_stats(&user("b")).await.unwrap().total, 2);
    assert_eq!(
        store.notification(other_text.notification.id).await.unwrap(),
        None
    );
}

pub(crate) async fn the_same_client_id_elsewhere_is_another_message(store: Arc<dyn Store>) {
    for (sender, receiver) in [
        ("a", "b"),
        ("b", "a"),
        ("a", "c"),
        ("a", "a"),
        ("a", "b_c"),
        ("a_b", "c"),
    ] {
        let appended = store
            .append_message(resendable(sender, receiver, "c-1", 0))
            .await
            .unwrap();
        assert_eq!(appended.outcome, AppendOutcome::Stored, "{sender} to {receiver}");
    }
    let case = store
        .append_message(resendable("a", "b", "C-1", 0))
        .await
        .unwrap();
    assert_eq!(case.outcome, AppendOutcome::Stored);
}

pub(crate) async fn one_of_many_resends_at_once_is_stored(store: Arc<dyn Store>) {
    let mut senders = JoinSet::new();
    for _ in 0..100 {
        let store = Arc::clone(&store);
        senders.spawn(async move {
            store
                .append_message(resendable("a", "b", "c-1", 0))
                .await
                .unwrap()
        });
    }
    let answers = senders.join_all().await;

    let stored: Vec<_> = answers
        .iter()
        .filter(|answer| answer.outcome == AppendOutcome::Stored)
        .collect();
    assert_eq!(stored.len(), 1);
    assert!(answers.iter().all(|answer| answer.message == stored[0].message));
    assert!(
        answers
            .iter()
            .all(|answer| answer.notification == stored[0].notification)
    );
    assert_eq!(store.history_page(&pair("a", "b"), 1, 50).await.unwrap().total, 1);
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 1);
}

pub(crate) async fn an_unannounced_message_is_announced_by_its_resend(store: Arc<dyn Store>) {
    let first = store
        .append_message(resendable("a", "b", "c-1", 0))
        .await
        .unwrap();

    let before = store
        .append_message(resendable("a", "b", "c-1", 1))
        .await
        .unwrap();
    store.mark_announced(before.message.id).await.unwrap();
    store.mark_announced(before.message.id).await.unwrap();
    store.flush().await.unwrap();
    let after = store
        .append_message(resendable("a", "b", "c-1", 2))
        .await
        .unwrap();

    assert_eq!(before.outcome, AppendOutcome::DuplicateUnannounced);
    assert_eq!(after.outcome, AppendOutcome::Duplicate);
    assert_eq!(
        (&before.message, before.notification),
        (&first.message, first.notification)
    );
    assert_eq!(
        (&after.message, after.notification),
        (&first.message, first.notification)
    );
}

pub(crate) async fn announcing_what_is_unknown_is_no_error(store: Arc<dyn Store>) {
    let plain = store.append_message(message("a", "b", "hi", 0)).await.unwrap();

    store.mark_announced(plain.message.id).await.unwrap();
    store.mark_announced(new_id()).await.unwrap();

    store.flush().await.unwrap();
    assert_eq!(
        store.history_page(&pair("a", "b"), 1, 50).await.unwrap().messages,
        [plain.message]
    );
}

pub(crate) async fn a_failed_append_leaves_nothing(store: Arc<dyn Store>) {
    let first = message("a", "b", "hi", 0);
    store.append_message(first.clone()).await.unwrap();
    let mut taken_id = resendable("a", "b", "c-1", 1);
    taken_id.id = first.id;
    let mut taken_notification = resendable("a", "new", "c-2", 2);
    taken_notification.notification.id = first.notification.id;

    let failures = [
        store.append_message(taken_id).await,
        store.append_message(taken_notification.clone()).await,
    ];

    assert!(
        failures
            .iter()
            .all(|failure| matches!(failure, Err(StoreError::Corrupt { .. })))
    );
    assert!(!store.chat_is_known(&pair("a", "new")).await.unwrap());
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 1);
    assert_eq!(store.notification_stats(&user("new")).await.unwrap().total, 0);
    let next = store
        .append_message(resendable("a", "b", "c-1", 3))
        .await
        .unwrap();
    assert_eq!((next.message.seq, next.outcome), (2, AppendOutcome::Stored));
}

pub(crate) async fn a_message_comes_with_its_notification(store: Arc<dyn Store>) {
    let sent = message("a", "b", "hi", 7);

    let appended = store.append_message(sent.clone()).await.unwrap();

    let inbox = store.unread_notifications(&user("b"), 10).await.unwrap();
    assert_eq!(inbox.len(), 1);
    assert_eq!(inbox[0].content, sent.notification);
    assert_eq!(inbox[0].content.id, appended.notification);
    assert_eq!(inbox[0].read_at, None);
    assert!(
        store
            .unread_notifications(&user("a"), 10)
            .await
            .unwrap()
            .is_empty()
    );
}

pub(crate) async fn any_text_survives(store: Arc<dyn Store>) {
    let texts = [
        "\0".to_owned(),
        "before\0after".to_owned(),
        "😀".repeat(500),
        "😀".repeat(1000),
        "'; DROP TABLE messages; -- \" \\ % _ ?1 $1".to_owned(),
        "{\"$gt\": \"\"}".to_owned(),
        "\u{feff}e\u{301} é \u{202e} \u{ffff} \u{1f468}\u{200d}\u{1f469}".to_owned(),
        "line\r\nline\ttab".to_owned(),
    ];
    for text in &texts {
        let mut sent = resendable("a", "b", text, 0);
        sent.sender_name = text.clone().into();
        sent.receiver_name = text.clone().into();
        sent.notification.text = text.clone().into();
        sent.notification.metadata.message_preview = Some(text.clone().into());

        let appended = store.append_message(sent.clone()).await.unwrap();
        let again = store.append_message(resendable("a", "b", text, 0)).await.unwrap();

        assert_eq!(appended.message.text, sent.text);
        assert_eq!(again.message, appended.message);
        let page = store.history_page(&pair("a", "b"), 1, 1).await.unwrap();
        assert_eq!(page.messages, [appended.message]);
        let notification = store.notification(appended.notification).await.unwrap().unwrap();
        assert_eq!(notification.content, sent.notification);
        assert_eq!(
            store.chats_of(&user("b"), 1).await.unwrap()[0].last_message.text,
            sent.text
        );
    }
    assert_eq!(
        store.history_page(&pair("a", "b"), 1, 1).await.unwrap().total,
        texts.len() as u64
    );
}
