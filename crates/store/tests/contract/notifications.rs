//! Cases of [`carillon_store::Notifications`].

use std::sync::Arc;

use carillon_protocol::{
    id::ObjectId,
    notification::{ChatActivity, Metadata, Notification, NotificationKind, NotificationStats, Priority},
};
use carillon_store::Store;

use super::samples::{at, message, new_id, notification, pair, user};

/// Stores a notification from one user to another; its id.
async fn create(store: &dyn Store, from_user: &str, to_user: &str, millis: i64) -> ObjectId {
    store
        .create_notification(notification(from_user, to_user, millis))
        .await
        .unwrap()
        .content
        .id
}

async fn inbox(store: &dyn Store, id: &str, limit: u32) -> Vec<ObjectId> {
    let unread = store.unread_notifications(&user(id), limit).await.unwrap();
    unread
        .iter()
        .map(|notification| notification.content.id)
        .collect()
}

async fn stats(store: &dyn Store, id: &str) -> (u64, u64, u64) {
    let NotificationStats {
        total,
        unread,
        active_chats,
    } = store.notification_stats(&user(id)).await.unwrap();
    (total, unread, active_chats)
}

pub(crate) async fn a_notification_is_stored_as_created(store: Arc<dyn Store>) {
    for (kind, priority) in [
        (NotificationKind::Chat, Priority::Low),
        (NotificationKind::System, Priority::Medium),
        (NotificationKind::Alert, Priority::High),
    ] {
        let mut new = notification("a", "b", 1);
        new.kind = kind;
        new.metadata = Metadata {
            message_id: Some("any text".into()),
            message_preview: Some("a preview".into()),
            priority,
        };

        let created = store.create_notification(new.clone()).await.unwrap();

        assert_eq!(
            created,
            Notification {
                content: new,
                read_at: None
            }
        );
        assert_eq!(
            store.notification(created.content.id).await.unwrap(),
            Some(created)
        );
    }
    assert_eq!(store.notification(new_id()).await.unwrap(), None);
}

pub(crate) async fn the_inbox_is_oldest_first_and_its_limit_keeps_the_newest(store: Arc<dyn Store>) {
    let store = &*store;
    let [late, early, middle] = [30, 10, 20].map(|millis| create(store, "a", "b", millis));
    let (late, early, middle) = (late.await, early.await, middle.await);

    assert_eq!(inbox(store, "b", 10).await, [early, middle, late]);
    assert_eq!(inbox(store, "b", 2).await, [middle, late]);
    assert_eq!(inbox(store, "b", 1).await, [late]);
    assert!(inbox(store, "b", 0).await.is_empty());
}

pub(crate) async fn equal_times_are_ordered_by_id(store: Arc<dyn Store>) {
    let (first, second, third) = (new_id(), new_id(), new_id());
    for id in [second, third, first] {
        let mut new = notification("a", "b", 0);
        new.id = id;
        store.create_notification(new).await.unwrap();
    }

    assert_eq!(inbox(&*store, "b", 10).await, [first, second, third]);
    assert_eq!(inbox(&*store, "b", 2).await, [second, third]);
}

pub(crate) async fn the_inbox_holds_the_unread_of_its_user_alone(store: Arc<dyn Store>) {
    let store = &*store;
    let read = create(store, "a", "b", 0).await;
    let unread = create(store, "c", "b", 1).await;
    create(store, "b", "a", 2).await;
    store
        .mark_notification_read(&pair("a", "b"), read, &user("b"), at(3))
        .await
        .unwrap();

    assert_eq!(inbox(store, "b", 10).await, [unread]);
    assert!(inbox(store, "nobody", 10).await.is_empty());
}

pub(crate) async fn stats_count_read_and_unread(store: Arc<dyn Store>) {
    let store = &*store;
    assert_eq!(stats(store, "b").await, (0, 0, 0));

    let first = create(store, "a", "b", 0).await;
    create(store, "a", "b", 1).await;
    create(store, "c", "b", 2).await;
    create(store, "b", "a", 2).await;
    store.append_message(message("d", "b", "hi", 3)).await.unwrap();
    assert_eq!(stats(store, "b").await, (4, 4, 3));

    store
        .mark_notification_read(&pair("a", "b"), first, &user("b"), at(4))
        .await
        .unwrap();
    store
        .mark_notification_read(&pair("a", "b"), first, &user("b"), at(5))
        .await
        .unwrap();
    assert_eq!(stats(store, "b").await, (4, 3, 3));
    store
        .mark_notifications_read(&pair("c", "b"), &user("b"), at(6))
        .await
        .unwrap();
    assert_eq!(stats(store, "b").await, (4, 2, 3));
    store
        .delete_notification(&pair("a", "b"), first, &user("b"))
        .await
        .unwrap();
    assert_eq!(stats(store, "b").await, (3, 2, 3));
    store.delete_notifications_before(at(3)).await.unwrap();
    assert_eq!(stats(store, "b").await, (1, 1, 1));
    assert_eq!(stats(store, "a").await, (0, 0, 0));
}

pub(crate) async fn marking_needs_the_user_and_the_chat(store: Arc<dyn Store>) {
    let id = create(&*store, "a", "b", 0).await;
    store.append_message(message("b", "c", "hi", 0)).await.unwrap();

    for (chat, reader, id) in [
        (pair("a", "b"), "a", id),
        (pair("b", "c"), "b", id),
        (pair("b", "unknown"), "b", id),
        (pair("a", "b"), "b", new_id()),
    ] {
        assert_eq!(
            store
                .mark_notification_read(&chat, id, &user(reader), at(1))
                .await
                .unwrap(),
            None
        );
    }
    assert_eq!(inbox(&*store, "b", 10).await, [id]);
}

pub(crate) async fn marking_answers_with_the_first_time(store: Arc<dyn Store>) {
    let new = notification("a", "b", 0);
    store.create_notification(new.clone()).await.unwrap();

    for millis in [5, 6] {
        let marked = store
            .mark_notification_read(&pair("a", "b"), new.id, &user("b"), at(millis))
            .await
            .unwrap();
        let (marked, _) = marked.unwrap();
        assert_eq!(
            marked,
            Notification {
                content: new.clone(),
                read_at: Some(at(5))
            }
        );
        assert_eq!(store.notification(new.id).await.unwrap(), Some(marked));
    }
}

pub(crate) async fn the_activity_of_a_chat_follows_its_notifications(store: Arc<dyn Store>) {
    let chat = pair("a", "b");
    let id = create(&*store, "a", "b", 10).await;
    store.append_message(message("b", "a", "hi", 20)).await.unwrap();
    create(&*store, "a", "b", 15).await;

    for millis in [30, 40] {
        let marked = store
            .mark_notification_read(&chat, id, &user("b"), at(millis))
            .await
            .unwrap();
        let expected = ChatActivity {
            created_at: at(10),
            last_notification_at: at(20),
            updated_at: at(30),
        };
        assert_eq!(marked.unwrap().1, expected);
    }
}

pub(crate) async fn marking_all_leaves_other_users_and_chats(store: Arc<dyn Store>) {
    let store = &*store;
    let chat = pair("a", "b");
    let first = create(store, "a", "b", 0).await;
    let second = create(store, "a", "b", 1).await;
    let to_a = create(store, "b", "a", 2).await;
    let elsewhere = create(store, "c", "b", 3).await;
    store
        .mark_notification_read(&chat, first, &user("b"), at(5))
        .await
        .unwrap();

    let marked = store
        .mark_notifications_read(&chat, &user("b"), at(6))
        .await
        .unwrap();
    let again = store
        .mark_notifications_read(&chat, &user("b"), at(7))
        .await
        .unwrap();
    let unknown = store
        .mark_notifications_read(&pair("b", "x"), &user("b"), at(7))
        .await
        .unwrap();

    assert_eq!((marked, again, unknown), (1, 0, 0));
    assert_eq!(
        store.notification(first).await.unwrap().unwrap().read_at,
        Some(at(5))
    );
    assert_eq!(
        store.notification(second).await.unwrap().unwrap().read_at,
        Some(at(6))
    );
    assert_eq!(inbox(store, "a", 10).await, [to_a]);
    assert_eq!(inbox(store, "b", 10).await, [elsewhere]);
}

pub(crate) async fn deleting_needs_the_user_and_the_chat(store: Arc<dyn Store>) {
    let id = create(&*store, "a", "b", 0).await;
    let chat = pair("a", "b");

    for (chat, owner) in [(&chat, "a"), (&chat, "c"), (&pair("b", "c"), "b")] {
        assert!(!store.delete_notification(chat, id, &user(owner)).await.unwrap());
    }
    assert!(store.delete_notification(&chat, id, &user("b")).await.unwrap());
    assert!(!store.delete_notification(&chat, id, &user("b")).await.unwrap());

    assert_eq!(store.notification(id).await.unwrap(), None);
    assert_eq!(stats(&*store, "b").await, (0, 0, 0));
}

pub(crate) async fn cleanup_deletes_what_is_older_read_or_not(store: Arc<dyn Store>) {
    let store = &*store;
    let read = create(store, "a", "b", 0).await;
    create(store, "c", "d", 1).await;
    let kept = create(store, "a", "b", 2).await;
    store
        .mark_notification_read(&pair("a", "b"), read, &user("b"), at(3))
        .await
        .unwrap();
    let appended = store.append_message(message("a", "b", "hi", 1)).await.unwrap();

    assert_eq!(store.delete_notifications_before(at(2)).await.unwrap(), 3);
    assert_eq!(store.delete_notifications_before(at(2)).await.unwrap(), 0);

    assert_eq!(inbox(store, "b", 10).await, [kept]);
    assert_eq!(stats(store, "d").await, (0, 0, 0));
    assert_eq!(
        store.history_page(&pair("a", "b"), 1, 10).await.unwrap().messages,
        [appended.message]
    );
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 1);
}

pub(crate) async fn cleanup_of_thousands_counts_them_all(store: Arc<dyn Store>) {
    let mut creations = tokio::task::JoinSet::new();
    for millis in 0..2500 {
        let store = Arc::clone(&store);
        let from_user = format!("u{}", millis % 7);
        creations.spawn(async move { create(&*store, &from_user, "b", millis).await });
    }
    creations.join_all().await;

    assert_eq!(store.delete_notifications_before(at(2400)).await.unwrap(), 2400);
    assert_eq!(stats(&*store, "b").await, (100, 100, 7));
}

pub(crate) async fn a_notification_for_someone_outside_its_chat(store: Arc<dyn Store>) {
    let mut new = notification("service", "b", 0);
    new.pair = pair("x", "y");
    store.create_notification(new.clone()).await.unwrap();

    assert_eq!(inbox(&*store, "b", 10).await, [new.id]);
    assert!(store.chat_is_known(&pair("x", "y")).await.unwrap());
    assert!(!store.chat_is_known(&pair("service", "b")).await.unwrap());
    let marked = store
        .mark_notification_read(&pair("x", "y"), new.id, &user("b"), at(1))
        .await
        .unwrap();
    assert_eq!(marked.unwrap().0.content, new);
}
