//! Several nodes on one MongoDB: what none of them could get wrong alone, and what happens when the database goes away.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "contract/databases.rs"]
mod databases;
#[path = "mongo_nodes/faults.rs"]
mod faults;
#[path = "contract/samples.rs"]
mod samples;

use std::{collections::HashSet, sync::Arc, time::Duration};

use carillon_store::{
    Chats, Messages, Notifications, StoreError,
    messages::{AppendOutcome, MarkOutcome},
    mongo::{self, MongoOptions, MongoStore, OpenError},
};
use databases::Database;
use mongodb::bson::{Document, doc};
use samples::{at, message, pair, resendable, user};
use tokio::task::JoinSet;

/// So many nodes on one empty database.
async fn nodes(count: usize) -> (Vec<Arc<MongoStore>>, Database) {
    let database = Database::new();
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Arc::new(database.connect(MongoOptions::default()).await));
    }
    (nodes, database)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seq_has_no_hole_and_time_never_goes_back_over_nodes() {
    let (nodes, _database) = nodes(3).await;
    let chats = [("a", "b"), ("b", "a"), ("a", "c"), ("d", "d")];
    let mut writers = JoinSet::new();
    for writer in 0..120_usize {
        let node = Arc::clone(&nodes[writer % nodes.len()]);
        let (sender, receiver) = chats[writer % chats.len()];
        writers.spawn(async move {
            for turn in 0..5 {
                // Each node's clock is off by some seconds.
                let millis = i64::try_from(writer % 3).unwrap() * 5000 - turn;
                node.append_message(message(sender, receiver, "hi", millis))
                    .await
                    .unwrap();
            }
        });
    }
    writers.join_all().await;

    for (one, other, expected) in [("a", "b", 300), ("a", "c", 150), ("d", "d", 150)] {
        let history = nodes[0].history_after(&pair(one, other), 0, 1000).await.unwrap();
        assert!(history.iter().map(|message| message.seq).eq(1..=expected));
        assert!(history.is_sorted_by_key(|message| message.at));
        let newest = nodes[1].history_page(&pair(one, other), 1, 1).await.unwrap();
        assert_eq!(
            (newest.total, newest.messages.first()),
            (expected, history.last())
        );
    }
    for node in &nodes {
        assert_eq!(node.notification_stats(&user("b")).await.unwrap().total, 150);
        assert_eq!(node.unread_count(&user("a")).await.unwrap(), 150);
        let list = node.chats_of(&user("a"), 10).await.unwrap();
        assert_eq!(list.len(), 2);
        assert!(list.iter().all(|chat| chat.last_message.at == at(10_000)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_answered_every_node_shows() {
    let (nodes, _database) = nodes(2).await;
    for turn in 1..=20 {
        let (writer, reader) = (&nodes[turn % 2], &nodes[(turn + 1) % 2]);
        let appended = writer
            .append_message(message("a", "b", &turn.to_string(), 0))
            .await
            .unwrap();
        let page = reader.history_page(&pair("a", "b"), 1, 1).await.unwrap();
        assert_eq!(page.messages, [appended.message]);
        assert!(
            reader
                .notification(appended.notification)
                .await
                .unwrap()
                .is_some()
        );
        let list = reader.chats_of(&user("b"), 1).await.unwrap();
        assert_eq!(list[0].last_message.text, turn.to_string());
        assert_eq!(list[0].unread, turn as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_the_same_client_id_on_several_nodes_is_stored() {
    let (nodes, _database) = nodes(3).await;
    for turn in 0..10 {
        let mut senders = JoinSet::new();
        for sender in 0..6 {
            let node = Arc::clone(&nodes[sender % nodes.len()]);
            let resent = resendable("a", "b", &format!("c-{turn}"), 0);
            senders.spawn(async move { node.append_message(resent).await.unwrap() });
        }
        let answers = senders.join_all().await;
        let stored = answers.iter().filter(|one| one.outcome == AppendOutcome::Stored);
        assert_eq!(stored.count(), 1);
        assert!(answers.iter().all(|one| one.message == answers[0].message));
        assert!(
            answers
                .iter()
                .all(|one| one.notification == answers[0].notification)
        );
    }
    assert_eq!(
        nodes[0].history_page(&pair("a", "b"), 1, 1).await.unwrap().total,
        10
    );
    assert_eq!(nodes[1].notification_stats(&user("b")).await.unwrap().total, 10);
}

#[tokio::test]
async fn an_announcement_by_one_node_is_known_to_the_others() {
    let (nodes, _database) = nodes(2).await;
    let first = nodes[0]
        .append_message(resendable("a", "b", "c-1", 0))
        .await
        .unwrap();
    let unannounced = nodes[1]
        .append_message(resendable("a", "b", "c-1", 1))
        .await
        .unwrap();
    nodes[1].mark_announced(first.message.id).await.unwrap();
    nodes[1].flush().await.unwrap();
    let announced = nodes[0]
        .append_message(resendable("a", "b", "c-1", 2))
        .await
        .unwrap();
    assert_eq!(unannounced.outcome, AppendOutcome::DuplicateUnannounced);
    assert_eq!(announced.outcome, AppendOutcome::Duplicate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_is_exact_under_marks_and_appends_on_two_nodes() {
    let (nodes, _database) = nodes(2).await;
    let chat = pair("a", "b");
    let mut tasks = JoinSet::new();
    for writer in 0..20_usize {
        let (node, other) = (
            Arc::clone(&nodes[writer % 2]),
            Arc::clone(&nodes[(writer + 1) % 2]),
        );
        let chat = chat.clone();
        tasks.spawn(async move {
            let mut marked = 0;
            for turn in 0..10 {
                let stored = node.append_message(message("a", "b", "hi", turn)).await.unwrap();
                if turn % 3 == 0 {
                    let id = stored.message.id;
                    let outcome = other
                        .mark_message_read(&chat, id, &user("b"), at(1))
                        .await
                        .unwrap();
                    marked += u64::from(matches!(outcome, MarkOutcome::Marked(one) if one.first));
                }
                if turn % 5 == 4 {
                    marked += other.mark_chat_read(&chat, &user("b"), at(2)).await.unwrap();
                }
            }
            marked
        });
    }
    let marked: u64 = tasks.join_all().await.into_iter().sum();
    for node in &nodes {
        assert_eq!(node.unread_count(&user("b")).await.unwrap(), 200 - marked);
        assert_eq!(
            node.chats_of(&user("b"), 1).await.unwrap()[0].unread,
            200 - marked
        );
    }
    assert_eq!(
        nodes[0].mark_chat_read(&chat, &user("b"), at(3)).await.unwrap(),
        200 - marked
    );
    assert_eq!(nodes[1].unread_count(&user("b")).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_may_start_at_once_and_again() {
    let database = Arc::new(Database::new());
    let mut starts = JoinSet::new();
    for _ in 0..5 {
        let database = Arc::clone(&database);
        starts.spawn(async move { database.connect(MongoOptions::default()).await });
    }
    let nodes = starts.join_all().await;
    nodes[0].append_message(message("a", "b", "hi", 0)).await.unwrap();
    let again = database.connect(MongoOptions::default()).await;
    assert_eq!(again.unread_count(&user("b")).await.unwrap(), 1);
    let indexes = database.raw().await.collection::<Document>("carillon_messages");
    assert_eq!(indexes.list_index_names().await.unwrap().len(), 4);
}

#[tokio::test]
async fn collections_of_other_applications_are_left_alone() {
    let database = Database::new();
    let raw = database.raw().await;
    for name in [
        "chatboxes",
        "chatnotifications",
        "messages",
        "notifications",
        "chats",
    ] {
        raw.collection(name)
            .insert_one(doc! { "_id": name })
            .await
            .unwrap();
    }
    let store = database.connect(MongoOptions::default()).await;
    store.append_message(message("a", "b", "hi", 0)).await.unwrap();
    for name in [
        "chatboxes",
        "chatnotifications",
        "messages",
        "notifications",
        "chats",
    ] {
        let collection = raw.collection::<Document>(name);
        assert_eq!(
            collection.find_one(doc! {}).await.unwrap(),
            Some(doc! { "_id": name })
        );
        assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 1);
        assert_eq!(collection.list_index_names().await.unwrap(), ["_id_"]);
    }
}

#[tokio::test]
async fn a_database_of_a_later_release_is_refused() {
    let database = Database::new();
    let meta = database.raw().await.collection("carillon_meta");
    meta.insert_one(doc! { "_id": "schema", "version": 2 })
        .await
        .unwrap();
    let refused = MongoStore::connect(&database.uri(), MongoOptions::default()).await;
    assert!(matches!(refused, Err(OpenError::Newer { found: 2, known: 1 })));
}

#[tokio::test]
async fn what_makes_no_sense_is_corrupt_and_spoils_nothing_else() {
    let (nodes, database) = nodes(1).await;
    let raw = database.raw().await;
    let kept = nodes[0]
        .append_message(message("a", "c", "hi", 0))
        .await
        .unwrap()
        .message;
    let messages = raw.collection("carillon_messages");
    messages
        .insert_one(doc! { "_id": { "chat": pair("a", "b").key(), "seq": 1_i64 }, "sender": 7 })
        .await
        .unwrap();
    raw.collection("carillon_notifications")
        .insert_one(doc! { "toUser": "b", "read": false })
        .await
        .unwrap();
    raw.collection("carillon_chats")
        .insert_one(doc! { "_id": "9:x_y", "users": ["b", "x"], "lastAt": "yesterday" })
        .await
        .unwrap();

    let page = nodes[0].history_page(&pair("a", "b"), 1, 10).await;
    assert!(matches!(page, Err(StoreError::Corrupt { .. })));
    assert!(nodes[0].unread_notifications(&user("b"), 10).await.is_err());
    assert!(nodes[0].chats_of(&user("b"), 10).await.is_err());
    let page = nodes[0].history_page(&pair("a", "c"), 1, 10).await.unwrap();
    assert_eq!(page.messages, [kept]);
}

#[tokio::test]
async fn notifications_expire_by_the_age_that_is_set() {
    let database = Database::new();
    let raw = database
        .raw()
        .await
        .collection::<Document>("carillon_notifications");
    let ages = [(None, 0), (Some(Duration::from_secs(86_400)), 2)];
    for (notification_age, expected) in ages {
        let options = MongoOptions {
            notification_age,
            ..MongoOptions::default()
        };
        let store = database.connect(options).await;
        store.append_message(message("a", "b", "hi", 0)).await.unwrap();
        store
            .create_notification(samples::notification("a", "b", 0))
            .await
            .unwrap();
        let day_later = mongodb::bson::DateTime::from_millis(at(86_400_000).as_millis());
        let expiring = doc! { "expiresAt": day_later };
        assert_eq!(raw.count_documents(expiring).await.unwrap(), expected);
    }
    let mut indexes = raw.list_indexes().await.unwrap();
    let mut expire = HashSet::new();
    while indexes.advance().await.unwrap() {
        let index = indexes.deserialize_current().unwrap();
        if index.options.and_then(|options| options.expire_after).is_some() {
            expire.insert(index.keys.to_string());
        }
    }
    assert_eq!(expire.len(), 1);
    assert!(expire.iter().all(|keys| keys.contains("expiresAt")));
}

#[tokio::test]
async fn an_inspection_tells_what_a_node_would_find_and_leaves_nothing_behind() {
    let database = Database::new();
    let empty = mongo::inspect(&database.uri()).await.unwrap();
    assert!(!empty.is_prepared && empty.missing_indexes.is_empty());

    drop(database.connect(MongoOptions::default()).await);
    let used = mongo::inspect(&database.uri()).await.unwrap();
    assert!(used.is_prepared && used.time_ms.is_some() && !used.server.is_empty());
    assert_eq!(used.missing_indexes, Vec::<String>::new());

    let raw = database.raw().await;
    let chats = raw.collection::<Document>("carillon_chats");
    // FerretDB does it and answers in a way that the driver does not take.
    let _ = chats.drop_index("users_1_lastAt_-1").await;
    let lacking = mongo::inspect(&database.uri()).await.unwrap();
    assert!(
        matches!(&*lacking.missing_indexes, [index] if index.starts_with("carillon_chats: ")),
        "{:?}",
        lacking.missing_indexes
    );

    let meta = raw.collection::<Document>("carillon_meta");
    let left = meta.count_documents(doc! { "_id": { "$regex": "^check" } });
    assert_eq!(left.await.unwrap(), 0);
    let schema = doc! { "_id": "schema" };
    let later = doc! { "$set": { "version": 99_i64 } };
    meta.update_one(schema, later).await.unwrap();
    assert!(matches!(
        mongo::inspect(&database.uri()).await,
        Err(OpenError::Newer { found: 99, .. })
    ));
}

#[tokio::test]
async fn an_inspection_without_a_server_says_so() {
    let refused = mongo::inspect("mongodb://127.0.0.1:1/chat?directConnection=true").await;
    assert!(
        matches!(refused, Err(OpenError::Unavailable { .. })),
        "{refused:?}"
    );
}
