//! A node that ends between two writes: what it left is finished by whoever comes across it.

use std::collections::HashMap;

use carillon_protocol::{id::ObjectId, message::NewMessage};
use tokio::sync::oneshot;

use super::{super::admission::Admission, *};
use crate::{
    Chats, Messages, Notifications,
    mongo::{MongoOptions, MongoStore},
    test_support::{
        databases::Database,
        samples::{at, message, pair, resendable, user},
    },
};

/// A group of `messages` in one chat, on its way.
fn flight(store: &MongoStore, messages: Vec<NewMessage>) -> Flight {
    let admission = Admission::new(messages.len());
    let appends: VecDeque<Append> = messages
        .into_iter()
        .map(|message| Append::new(message, oneshot::channel().0, admission.admit().unwrap()))
        .collect();
    let key = appends[0].chat();
    let mut flight = Flight::new(
        store.collections.clone(),
        Arc::default(),
        vec![(key, VecDeque::new())],
    );
    // Not through `new`: nobody waits for these.
    flight.chats[0].waiting = appends;
    flight
}

/// A node inserts `messages` and ends. Another one looks at what it left.
async fn left(messages: Vec<NewMessage>) -> (MongoStore, Database) {
    let database = Database::new();
    let store = database.connect(MongoOptions::default()).await;
    let mut flight = flight(&store, messages);
    flight.prepare(&mut Place::new()).await.unwrap();
    flight.insert().await.unwrap();
    (store, database)
}

#[tokio::test]
async fn a_chat_list_shows_what_was_left() {
    let (store, _database) = left(vec![message("a", "b", "one", 1), message("a", "b", "two", 2)]).await;
    for id in ["a", "b"] {
        let chats = store.chats_of(&user(id), 10).await.unwrap();
        assert_eq!(chats[0].last_message.text, "two");
        assert_eq!(chats[0].unread, if id == "b" { 2 } else { 0 });
    }
}

#[tokio::test]
async fn an_inbox_shows_what_was_left() {
    let sent = message("a", "b", "one", 1);
    let (store, _database) = left(vec![sent.clone()]).await;
    let inbox = store.unread_notifications(&user("b"), 10).await.unwrap();
    assert_eq!(inbox.len(), 1);
    assert_eq!(inbox[0].content, sent.notification);
}

#[tokio::test]
async fn counts_include_what_was_left() {
    let (store, _database) = left(vec![message("a", "b", "one", 1), message("a", "b", "two", 2)]).await;
    let stats = store.notification_stats(&user("b")).await.unwrap();
    assert_eq!((stats.total, stats.unread, stats.active_chats), (2, 2, 1));
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 2);
    let marked = store.mark_chat_read(&pair("a", "b"), &user("b"), at(3)).await;
    assert_eq!(marked.unwrap(), 2);
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 0);
}

#[tokio::test]
async fn a_history_and_contacts_know_what_was_left() {
    let (store, _database) = left(vec![message("a", "b", "one", 1), message("b", "a", "two", 2)]).await;
    let chat = pair("a", "b");
    assert_eq!(store.history_page(&chat, 1, 10).await.unwrap().total, 2);
    assert!(store.chat_is_known(&chat).await.unwrap());
    assert!(store.are_contacts(&chat).await.unwrap());
    assert_eq!(store.contacts(&user("b")).await.unwrap(), [user("a")]);
}

#[tokio::test]
async fn a_notification_that_was_left_is_found_and_marked() {
    let sent = message("a", "b", "one", 1);
    let (store, _database) = left(vec![sent.clone()]).await;
    let (chat, id) = (pair("a", "b"), sent.notification.id);
    assert!(store.notification(id).await.unwrap().is_some());
    let (_, activity) = store
        .mark_notification_read(&chat, id, &user("b"), at(5))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((activity.created_at, activity.updated_at), (at(1), at(5)));
}

#[tokio::test]
async fn marking_all_marks_what_was_left() {
    let (store, _database) = left(vec![message("a", "b", "one", 1)]).await;
    let marked = store
        .mark_notifications_read(&pair("a", "b"), &user("b"), at(5))
        .await;
    assert_eq!(marked.unwrap(), 1);
    assert!(
        store
            .unread_notifications(&user("b"), 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn the_next_message_comes_after_what_was_left() {
    let (store, _database) = left(vec![message("a", "b", "one", 50), message("a", "b", "two", 60)]).await;
    let next = store
        .append_message(message("b", "a", "three", 1))
        .await
        .unwrap()
        .message;
    assert_eq!((next.seq, next.at), (3, at(60)));
}

#[tokio::test]
async fn a_resend_of_what_was_left_is_announced_with_all_that_follows_from_it() {
    let first = resendable("a", "b", "c-1", 1);
    let (store, _database) = left(vec![first.clone()]).await;
    let again = store
        .append_message(resendable("a", "b", "c-1", 9))
        .await
        .unwrap();
    assert_eq!(again.message.id, first.id);
    assert_eq!(again.notification, first.notification.id);
    assert_eq!(again.outcome, AppendOutcome::DuplicateUnannounced);
    let raw = &store.collections.notifications;
    assert_eq!(raw.count_documents(mongodb::bson::doc! {}).await.unwrap(), 1);
}

#[tokio::test]
async fn the_same_message_again_is_one_message() {
    let sent = message("a", "b", "one", 1);
    let (store, _database) = left(vec![sent.clone()]).await;
    let again = store.append_message(sent.clone()).await.unwrap();
    assert_eq!((again.message.id, again.message.seq), (sent.id, 1));
    assert_eq!(store.history_page(&pair("a", "b"), 1, 10).await.unwrap().total, 1);
    assert_eq!(store.notification_stats(&user("b")).await.unwrap().total, 1);
}

#[tokio::test]
async fn what_is_deleted_does_not_come_back_with_what_was_left() {
    let sent = message("a", "b", "one", 1);
    let (store, _database) = left(vec![sent.clone()]).await;
    let id: ObjectId = sent.notification.id;
    assert!(
        store
            .delete_notification(&pair("a", "b"), id, &user("b"))
            .await
            .unwrap()
    );

    // Its own node was only slow, and goes on.
    let mut late = flight(&store, vec![sent]);
    late.prepare(&mut Place::new()).await.unwrap();
    late.insert().await.unwrap();
    late.finish().await.unwrap();

    assert!(
        store
            .unread_notifications(&user("b"), 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.notification(id).await.unwrap(), None);
    assert_eq!(store.notification_stats(&user("b")).await.unwrap().total, 0);
}

#[tokio::test]
async fn a_group_that_stays_as_it_is_is_worked_off_and_removed() {
    let (store, _database) = left(vec![message("a", "b", "one", 1)]).await;
    let collections = &store.collections;
    let seen = repair::sweep_once(collections, &HashMap::new()).await.unwrap();
    assert_eq!(seen.len(), 1);
    assert!(repair::sweep_once(collections, &seen).await.unwrap().is_empty());

    let everything = mongodb::bson::doc! {};
    assert_eq!(
        collections
            .groups
            .count_documents(everything.clone())
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        collections
            .notifications
            .count_documents(everything)
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn a_group_that_was_only_noted_leaves_nothing() {
    let database = Database::new();
    let store = database.connect(MongoOptions::default()).await;
    let mut flight = flight(&store, vec![message("a", "b", "one", 1)]);
    flight.prepare(&mut Place::new()).await.unwrap();
    drop(flight);

    assert!(store.chats_of(&user("b"), 10).await.unwrap().is_empty());
    assert!(!store.chat_is_known(&pair("a", "b")).await.unwrap());
    let next = store.append_message(message("a", "b", "two", 2)).await.unwrap();
    assert_eq!(next.message.seq, 1);
}

#[tokio::test]
async fn a_number_that_another_node_took_is_passed_over() {
    let database = Database::new();
    let store = database.connect(MongoOptions::default()).await;
    let mut slow = flight(
        &store,
        (0..5).map(|n| message("a", "b", &n.to_string(), n)).collect(),
    );
    slow.prepare(&mut Place::new()).await.unwrap();
    for _ in 0..3 {
        store
            .append_message(message("b", "a", "faster", 100))
            .await
            .unwrap();
    }
    slow.insert().await.unwrap();
    slow.finish().await.unwrap();

    let history = store.history_after(&pair("a", "b"), 0, 100).await.unwrap();
    assert!(history.iter().map(|message| message.seq).eq(1..=8));
    assert!(history.iter().skip(3).all(|message| message.at == at(100)));
    assert!(
        history
            .iter()
            .skip(3)
            .map(|message| message.text.to_string())
            .eq((0..5).map(|n| n.to_string()))
    );
}
