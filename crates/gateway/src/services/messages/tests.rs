use carillon_protocol::notification::{NotificationKind, Priority};
use futures_util::future::join_all;

use super::*;
use crate::services::{
    presence::Scope,
    testing::{Node, pair, request, text_of, user},
};

fn resendable(to: &str, text: &str, id: &str) -> SendRequest {
    SendRequest {
        client_message_id: Some(id.into()),
        ..request(to, text)
    }
}

#[tokio::test]
async fn a_message_goes_to_the_chat_then_to_the_receiver() {
    let node = Node::new(Scope::All);
    node.clock.set(1_000);

    let message = node.say("bob", "ann", "hello").await;

    let announced = node.announced.take();
    assert_eq!(announced[0].event, event::receive_message(&message));
    assert_eq!(announced[0].rooms, [pair("ann", "bob").room()]);
    assert_eq!(announced[1].rooms, [Room::of_user(&user("ann"))]);
    assert_eq!(text_of(&announced[1].event, "fromUser"), "Sender");
    assert_eq!(text_of(&announced[1].event, "fromUserId"), "bob");
    assert_eq!(text_of(&announced[1].event, "messageId"), message.id.to_string());
    assert_eq!(announced.len(), 2);
    assert!(
        announced
            .iter()
            .all(|broadcast| broadcast.except.is_empty() && !broadcast.volatile)
    );
}

#[tokio::test]
async fn the_stored_notification_quotes_the_message() {
    let node = Node::new(Scope::All);
    // 100 units end inside the second half of a pair: the pair is left out whole.
    let text = format!("{}😀 and on", "x".repeat(99));

    let message = node.say("bob", "ann", &text).await;
    node.say("bob", "ann", &"y".repeat(100)).await;

    let announced = text_of(&node.announced.take()[1].event, "_id");
    let inbox = node
        .services
        .notifications
        .unread(&user("ann"), 10)
        .await
        .unwrap();
    let content = &inbox[0].content;
    assert_eq!(content.id.to_string(), announced);
    assert_eq!(
        content.text,
        format!("New message from Sender: {}...", "x".repeat(99))
    );
    assert_eq!(
        (&content.from_user, content.kind),
        (&user("bob"), NotificationKind::Chat)
    );
    assert_eq!(
        content.metadata.message_id.as_deref(),
        Some(&*message.id.to_string())
    );
    assert_eq!(content.metadata.priority, Priority::Medium);
    assert_eq!(
        inbox[1].content.text,
        format!("New message from Sender: {}", "y".repeat(100))
    );
}

#[tokio::test]
async fn a_message_to_oneself_is_notified_and_never_unread() {
    let node = Node::new(Scope::All);

    node.say("ann", "ann", "note").await;

    assert_eq!(
        node.announced.take_lines(),
        ["receiveMessage → chat_ann_ann", "notification → user_ann"]
    );
    assert_eq!(node.services.chats.unread_count(&user("ann")).await.unwrap(), 0);
    assert_eq!(
        node.services
            .notifications
            .unread(&user("ann"), 10)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sends_of_one_chat_are_announced_in_the_order_of_seq() {
    let node = std::sync::Arc::new(Node::new(Scope::All));

    let sends = (0..50).map(|number| {
        let node = std::sync::Arc::clone(&node);
        node.tasks.clone().spawn(async move {
            for round in 0..4 {
                let (from, to) = if number % 2 == 0 {
                    ("ann", "bob")
                } else {
                    ("bob", "ann")
                };
                node.say(from, to, &format!("{number}.{round}")).await;
                node.say("bob", "cid", "aside").await;
            }
        })
    });
    join_all(sends).await.into_iter().for_each(|sent| sent.unwrap());

    let announced = node.announced.take();
    for room in [pair("ann", "bob").room(), pair("bob", "cid").room()] {
        let seqs: Vec<_> = announced
            .iter()
            .filter(|broadcast| {
                broadcast.event[0] == Value::from("receiveMessage") && broadcast.rooms.contains(&room)
            })
            .map(|broadcast| broadcast.event[1].get("seq").cloned().unwrap())
            .collect();
        assert_eq!(seqs, (1..=200_i64).map(Value::from).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_resend_is_the_first_message_and_reaches_nobody() {
    let node = Node::new(Scope::All);
    let first = node
        .services
        .messages
        .send(&user("bob"), resendable("ann", "one", "k"))
        .await
        .unwrap();
    node.announced.take();
    node.clock.set(5_000);

    let again = node
        .services
        .messages
        .send(&user("bob"), resendable("ann", "other text", "k"))
        .await
        .unwrap();
    let theirs = node
        .services
        .messages
        .send(&user("ann"), resendable("bob", "mine", "k"))
        .await
        .unwrap();

    assert_eq!(again, first);
    assert_eq!((theirs.seq, &*theirs.text), (2, "mine"));
    assert_eq!(
        node.announced.take_lines(),
        ["receiveMessage → chat_ann_bob", "notification → user_bob"]
    );
    assert_eq!(
        node.services
            .messages
            .history(&pair("ann", "bob"), 1, 10)
            .await
            .unwrap()
            .total,
        2
    );
}

#[tokio::test]
async fn what_was_stored_but_not_announced_is_announced_by_its_resend_once() {
    let node = Node::new(Scope::All);
    node.backplane.set_down(true);
    let first = node
        .services
        .messages
        .send(&user("bob"), resendable("ann", "one", "k"))
        .await
        .unwrap();
    node.backplane.set_down(false);
    assert!(node.announced.take().is_empty());

    for _ in 0..2 {
        let again = node
            .services
            .messages
            .send(&user("bob"), resendable("ann", "one", "k"))
            .await
            .unwrap();
        assert_eq!(again, first);
    }

    let announced = node.announced.take();
    assert_eq!(announced.len(), 2);
    assert_eq!(announced[0].event, event::receive_message(&first));
}

#[tokio::test]
async fn resends_at_the_same_time_make_one_message_and_one_announcement() {
    let node = Node::new(Scope::All);
    let bob = user("bob");

    let sends = (0..20).map(|_| node.services.messages.send(&bob, resendable("ann", "one", "k")));
    let sent = join_all(sends).await;

    let first = sent[0].clone().unwrap();
    assert!(sent.iter().all(|message| message.as_ref() == Ok(&first)));
    assert_eq!(node.announced.take().len(), 2);
}

#[tokio::test]
async fn a_store_that_is_down_announces_nothing() {
    let node = Node::new(Scope::All);
    node.store.set_down(true);

    let problem = node
        .services
        .messages
        .send(&user("bob"), request("ann", "one"))
        .await
        .unwrap_err();

    assert_eq!(
        (problem.code, problem.retry_after_ms),
        (Code::Unavailable, Some(1_000))
    );
    assert!(
        !problem.to_string().contains("taken down"),
        "the reason is for the log alone"
    );
    assert!(node.announced.take().is_empty());
}

#[tokio::test]
async fn marking_as_read_is_told_every_time_with_its_own_time() {
    let node = Node::new(Scope::All);
    let message = node.say("bob", "ann", "one").await;
    let (ann, chat, asking) = (user("ann"), pair("ann", "bob"), Room::new("socket-1"));
    node.announced.take();

    for at in [1_000, 2_000] {
        node.clock.set(at);
        let told = node
            .services
            .messages
            .mark_read(&ann, &chat, message.id, Some(asking.clone()))
            .await
            .unwrap();
        assert_eq!(told, Timestamp::from_millis(at));
        assert_eq!(
            text_of(&node.announced.take()[0].event, "timestamp"),
            told.to_string()
        );
    }

    let history = node.services.messages.history(&chat, 1, 1).await.unwrap();
    assert_eq!(history.messages[0].read_at, Some(Timestamp::from_millis(1_000)));
}

#[tokio::test]
async fn only_its_receiver_marks_a_message_and_only_in_its_chat() {
    let node = Node::new(Scope::All);
    let first = node.say("bob", "ann", "one").await;
    let second = node.say("bob", "ann", "two").await;
    node.announced.take();
    let mark = async |reader: &str, other: &str, id| {
        node.services
            .messages
            .mark_read(&user(reader), &pair(reader, other), id, None)
            .await
            .map_err(|problem| problem.code)
    };

    assert_eq!(mark("bob", "ann", second.id).await, Err(Code::Forbidden));
    assert_eq!(mark("ann", "cid", second.id).await, Err(Code::NotFound));
    assert_eq!(
        mark("ann", "bob", ObjectId::from_bytes([7; 12])).await,
        Err(Code::NotFound)
    );
    assert!(node.announced.take().is_empty());
    assert!(mark("ann", "bob", second.id).await.is_ok());

    assert_eq!(node.announced.take_lines(), ["messageRead → chat_ann_bob"]);
    assert_eq!(node.services.chats.unread_count(&user("ann")).await.unwrap(), 1);
    let unread = node
        .services
        .messages
        .history(&pair("ann", "bob"), 1, 10)
        .await
        .unwrap();
    assert_eq!(unread.messages[1].id, first.id);
    assert_eq!(unread.messages[1].read_at, None);
}

#[tokio::test]
async fn what_came_after_a_seq_says_whether_there_is_more() {
    let node = Node::new(Scope::All);
    let chat = pair("ann", "bob");
    for _ in 0..4 {
        node.say("bob", "ann", "x").await;
    }

    let after = async |seq, limit| {
        let (messages, more) = node
            .services
            .messages
            .history_after(&chat, seq, limit)
            .await
            .unwrap();
        (
            messages.iter().map(|message| message.seq).collect::<Vec<_>>(),
            more,
        )
    };

    assert_eq!(after(0, 2).await, (vec![1, 2], true));
    assert_eq!(after(2, 2).await, (vec![3, 4], false));
    assert_eq!(after(9, 2).await, (vec![], false));
}

#[tokio::test]
async fn marking_a_chat_leaves_the_others_messages_alone() {
    let node = Node::new(Scope::All);
    node.say("bob", "ann", "x").await;
    node.say("ann", "bob", "y").await;

    node.services
        .messages
        .mark_all_read(&pair("ann", "bob"), &user("ann"))
        .await
        .unwrap();

    assert_eq!(node.services.chats.unread_count(&user("ann")).await.unwrap(), 0);
    assert_eq!(node.services.chats.unread_count(&user("bob")).await.unwrap(), 1);
    assert_eq!(
        node.services.chats.list(&user("bob"), 10).await.unwrap()[0].unread,
        1
    );
}

#[tokio::test]
async fn pairs_with_the_same_chatbox_id_never_meet() {
    let node = Node::new(Scope::All);
    let theirs = node.say("a", "b_c", "for b_c").await;
    let ours = node.say("a_b", "c", "for c").await;

    let rooms: Vec<_> = node
        .announced
        .take()
        .iter()
        .map(|broadcast| broadcast.rooms[0].as_str().to_owned())
        .collect();
    assert_eq!(rooms, ["chat_a_b_c~1", "user_b_c", "chat_a_b_c~3", "user_c"]);
    assert_eq!((theirs.seq, ours.seq), (1, 1));
    let page = node
        .services
        .messages
        .history(&pair("a_b", "c"), 1, 10)
        .await
        .unwrap();
    assert_eq!(page.messages, [ours]);
    let marked = node
        .services
        .messages
        .mark_read(&user("c"), &pair("a_b", "c"), theirs.id, None)
        .await;
    assert_eq!(marked.unwrap_err().code, Code::NotFound);
}
