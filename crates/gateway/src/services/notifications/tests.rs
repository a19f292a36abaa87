use carillon_protocol::{event, id::Room};

use super::*;
use crate::services::{
    presence::Scope,
    testing::{Node, pair, text_of, user},
};

const DAY: i64 = 86_400_000;

fn created(to: &str, from: &str, created_at: Option<i64>) -> CreateRequest {
    CreateRequest {
        to_user: user(to),
        from_user: user(from),
        pair: pair(to, from),
        text: "hello".into(),
        kind: NotificationKind::Alert,
        created_at: created_at.map(Timestamp::from_millis),
        metadata: Metadata::default(),
    }
}

#[tokio::test]
async fn what_is_created_reaches_its_users_sockets() {
    let node = Node::new(Scope::All);
    node.clock.set(7_000);

    let notification = node
        .services
        .notifications
        .create(created("ann", "bob", None))
        .await
        .unwrap();

    let announced = node.announced.take();
    assert_eq!(announced[0].event, event::created_notification(&notification));
    assert_eq!(announced[0].rooms, [Room::of_user(&user("ann"))]);
    assert_eq!(
        text_of(&announced[0].event, "timestamp"),
        Timestamp::from_millis(7_000).to_string()
    );
    assert_eq!(
        node.services
            .notifications
            .find(notification.content.id)
            .await
            .unwrap(),
        Some(notification)
    );
}

#[tokio::test]
async fn a_time_in_the_future_counts_as_now() {
    let node = Node::new(Scope::All);
    node.clock.set(7_000);

    for (asked, stored) in [(Some(8_000), 7_000), (Some(6_000), 6_000), (None, 7_000)] {
        let notification = node
            .services
            .notifications
            .create(created("ann", "bob", asked))
            .await
            .unwrap();
        assert_eq!(notification.content.created_at, Timestamp::from_millis(stored));
    }
}

#[tokio::test]
async fn what_cannot_be_announced_waits_in_the_inbox() {
    let node = Node::new(Scope::All);
    node.backplane.set_down(true);

    node.services
        .notifications
        .create(created("ann", "bob", None))
        .await
        .unwrap();

    let notifications = &node.services.notifications;
    assert_eq!(notifications.unread(&user("ann"), 10).await.unwrap().len(), 1);
    assert_eq!(notifications.stats(&user("ann")).await.unwrap().unread, 1);
}

#[tokio::test]
async fn marking_all_needs_a_chat_that_was_ever_used() {
    let node = Node::new(Scope::All);
    let (notifications, ann) = (&node.services.notifications, user("ann"));
    assert!(
        !notifications
            .mark_all_read(&pair("ann", "bob"), &ann)
            .await
            .unwrap()
    );

    notifications.create(created("ann", "bob", None)).await.unwrap();

    assert!(
        notifications
            .mark_all_read(&pair("ann", "bob"), &ann)
            .await
            .unwrap()
    );
    assert!(
        notifications
            .mark_all_read(&pair("ann", "bob"), &ann)
            .await
            .unwrap()
    );
    assert!(notifications.unread(&ann, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_its_own_user_marks_and_deletes_one() {
    let node = Node::new(Scope::All);
    let (notifications, chat) = (&node.services.notifications, pair("ann", "bob"));
    let id = notifications
        .create(created("ann", "bob", None))
        .await
        .unwrap()
        .content
        .id;
    node.clock.set(9_000);

    assert_eq!(
        notifications.mark_read(&chat, id, &user("bob")).await.unwrap(),
        None
    );
    assert!(!notifications.delete(&chat, id, &user("bob")).await.unwrap());
    let (marked, _) = notifications
        .mark_read(&chat, id, &user("ann"))
        .await
        .unwrap()
        .unwrap();

    assert_eq!(marked.read_at, Some(Timestamp::from_millis(9_000)));
    assert!(notifications.delete(&chat, id, &user("ann")).await.unwrap());
    assert!(!notifications.delete(&chat, id, &user("ann")).await.unwrap());
}

#[tokio::test]
async fn cleaning_up_takes_what_is_older_than_the_days() {
    let node = Node::new(Scope::All);
    node.clock.set(40 * DAY);
    for at in [9 * DAY, 10 * DAY - 1, 10 * DAY] {
        node.services
            .notifications
            .create(created("ann", "bob", Some(at)))
            .await
            .unwrap();
    }

    assert_eq!(node.services.notifications.clean_up(30).await.unwrap(), 2);
    assert_eq!(node.services.notifications.clean_up(u32::MAX).await.unwrap(), 0);
}

#[tokio::test]
async fn what_only_this_nodes_sockets_have_is_announced_later_while_it_is_unread() {
    let node = Node::new(Scope::All);
    node.backplane.set_cut(true);
    let mut ids = Vec::new();
    for _ in 0..4 {
        let notification = node
            .services
            .notifications
            .create(created("ann", "bob", None))
            .await
            .unwrap();
        ids.push(notification.content.id);
    }
    let (ann, chat) = (user("ann"), pair("ann", "bob"));
    let notifications = &node.services.notifications;
    notifications.mark_read(&chat, ids[0], &ann).await.unwrap();
    notifications.delete(&chat, ids[1], &ann).await.unwrap();
    assert_eq!(node.announced.take().len(), 4);
    node.services.announce_backlog().await;
    assert_eq!(node.services.waiting().now, 4);
    node.backplane.set_cut(false);

    for _ in 0..2 {
        node.services.announce_backlog().await;
    }

    let told: Vec<_> = node
        .announced
        .take()
        .iter()
        .map(|broadcast| text_of(&broadcast.event, "_id"))
        .collect();
    assert_eq!(told, [ids[2].to_string(), ids[3].to_string()]);
    assert_eq!(node.services.waiting().now, 0);
}
