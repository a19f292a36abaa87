use carillon_backplane::Placement::{Early, Known, Placed, Unsettled};
use carillon_protocol::{adapter::Broadcast, value::Value};

use carillon_store::Messages as _;

use super::*;
use crate::services::{
    messages::SendRequest,
    presence::Scope,
    testing::{Node, pair, request, text_of, user},
};

/// How many times a message that is early is tried before its predecessors are published on behalf.
const PATIENT: usize = 9;

/// Stores messages from bob to ann that their node does not announce.
async fn stored_only(node: &Node, times: &[i64]) {
    node.backplane.set_down(true);
    for at in times {
        node.clock.set(*at);
        node.say("bob", "ann", "stored").await;
    }
    node.backplane.set_down(false);
}

fn resendable() -> SendRequest {
    SendRequest {
        client_message_id: Some("k".into()),
        ..request("ann", "first")
    }
}

/// Bob stores a message for Ann that its node does not announce, and can send it again.
async fn resendable_only(node: &Node) {
    node.backplane.set_down(true);
    resend(node).await;
    node.backplane.set_down(false);
}

async fn resend(node: &Node) {
    let sent = node.services.messages.send(&user("bob"), resendable()).await;
    assert_eq!(sent.unwrap().seq, 1);
}

/// The `seq` of each `receiveMessage` that was announced since the last call.
fn announced(node: &Node) -> Vec<u64> {
    let seq = |broadcast: Broadcast| {
        let is_message = broadcast.event[0] == Value::from("receiveMessage");
        is_message.then(|| broadcast.event[1].get("seq").and_then(Value::as_u64).unwrap())
    };
    node.announced.take().into_iter().filter_map(seq).collect()
}

#[test]
fn pauses_double_and_make_up_the_patience() {
    let pauses: Vec<_> = Pauses::new().map(|pause| pause.as_millis()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 73]);
    assert_eq!(pauses.len() + 1, PATIENT);
}

#[tokio::test]
async fn a_resend_that_was_published_before_is_left_at_that() {
    let node = Node::new(Scope::All);
    resendable_only(&node).await;
    node.backplane.script([Known]);

    resend(&node).await;

    assert!(announced(&node).is_empty());
    assert_eq!(node.backplane.take_order(), (vec![1], vec![]));
}

#[tokio::test]
async fn an_order_of_messages_that_the_store_lacks_is_forgotten() {
    for published in [3, 4, 9] {
        let node = Node::new(Scope::All);
        stored_only(&node, &[1_000, 2_000]).await;
        node.clock.set(10_000);
        node.backplane.set_order(published);
        node.backplane.script([Known, Unsettled, Placed]);

        node.say("bob", "ann", "three").await;

        assert_eq!(announced(&node), [3], "published up to {published}");
        assert_eq!(node.backplane.take_order(), (vec![3, 3, 3], vec![2]));
    }
}

#[tokio::test]
async fn a_message_that_another_node_announced_with_one_after_it_is_left_at_that() {
    let node = Node::new(Scope::All);
    let messages = &node.services.messages;
    let new = messages.new_message(&user("bob"), request("ann", "one"));
    let stored = node.store.append_message(new).await.unwrap();
    node.say("bob", "ann", "two").await;
    assert_eq!(announced(&node), [2]);
    for published in [1, 2] {
        node.backplane.set_order(published);
        node.backplane.script([Known]);

        messages.announce(&stored).await;

        assert!(announced(&node).is_empty(), "published up to {published}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_early_message_waits_for_its_predecessor() {
    let node = Node::new(Scope::All);
    stored_only(&node, &[0]).await;
    node.backplane
        .script([Early { expected: 1 }, Early { expected: 1 }, Placed]);

    node.say("bob", "ann", "two").await;

    assert_eq!(announced(&node), [2]);
    assert_eq!(node.backplane.take_order(), (vec![2, 2, 2], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_predecessor_whose_node_is_gone_is_announced_on_behalf_with_its_own_notification() {
    let node = Node::new(Scope::All);
    stored_only(&node, &[0, 0]).await;
    node.backplane.script(vec![Early { expected: 1 }; PATIENT]);

    node.say("bob", "ann", "three").await;

    let told = node.announced.take();
    let names: Vec<_> = told
        .iter()
        .map(|broadcast| broadcast.event[0].as_text().unwrap())
        .collect();
    assert_eq!(names, ["receiveMessage", "notification"].repeat(3));
    let ann = user("ann");
    let inbox = node.services.notifications.unread(&ann, 10).await.unwrap();
    for (notify, stored) in told.iter().skip(1).step_by(2).zip(inbox) {
        assert_eq!(text_of(&notify.event, "_id"), stored.content.id.to_string());
    }
    let (asked, _) = node.backplane.take_order();
    assert_eq!(asked[PATIENT..], [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_notification_that_was_read_is_not_told_of() {
    let node = Node::new(Scope::All);
    stored_only(&node, &[0]).await;
    let (ann, chat) = (user("ann"), pair("ann", "bob"));
    node.services
        .notifications
        .mark_all_read(&chat, &ann)
        .await
        .unwrap();
    node.backplane.script(vec![Early { expected: 1 }; PATIENT]);

    node.say("bob", "ann", "two").await;

    let lines = node.announced.take_lines();
    assert_eq!(
        lines,
        [
            "receiveMessage → chat_ann_bob",
            "receiveMessage → chat_ann_bob",
            "notification → user_ann"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_backplane_that_goes_in_circles_is_given_up_on() {
    let node = Node::new(Scope::All);
    stored_only(&node, &[0]).await;
    node.backplane.script(vec![Early { expected: 1 }; 1_000]);

    let message = node.say("bob", "ann", "two").await;

    assert_eq!((message.seq, announced(&node)), (2, vec![]));
    assert!(node.backplane.take_order().0.len() <= 2 * ATTEMPTS);
}

#[tokio::test(start_paused = true)]
async fn predecessors_that_are_nowhere_keep_a_message_back() {
    let node = Node::new(Scope::All);
    stored_only(&node, &[0]).await;
    node.backplane.script(vec![Early { expected: 2 }; 1_000]);

    node.say("bob", "ann", "two").await;

    assert!(announced(&node).is_empty());
}

#[tokio::test]
async fn an_unknown_chat_begins_at_its_first_message() {
    let node = Node::new(Scope::All);
    node.backplane.script([Unsettled, Placed]);

    node.say("bob", "ann", "one").await;

    assert_eq!(announced(&node), [1]);
    assert_eq!(node.backplane.take_order(), (vec![1, 1], vec![0]));
}

#[tokio::test]
async fn what_is_older_than_two_seconds_was_published() {
    let node = Node::new(Scope::All);
    stored_only(&node, &[1_000, 2_000, 8_000]).await;
    node.clock.set(10_000);
    node.backplane.script([Unsettled, Placed]);

    node.say("bob", "ann", "four").await;

    assert_eq!(announced(&node), [4]);
    assert_eq!(node.backplane.take_order().1, [3]);
}

#[tokio::test]
async fn what_is_younger_may_not_have_been_and_is_announced_on_behalf() {
    let node = Node::new(Scope::All);
    stored_only(&node, &[1_000, 8_001, 9_000]).await;
    node.clock.set(10_000);
    node.backplane.script([Unsettled]);
    node.backplane.script(vec![Early { expected: 2 }; PATIENT]);

    node.say("bob", "ann", "four").await;

    assert_eq!(announced(&node), [2, 3, 4]);
    assert_eq!(node.backplane.take_order().1, [1]);
}

#[tokio::test]
async fn not_more_than_a_hundred_are_looked_back_at() {
    let node = Node::new(Scope::All);
    stored_only(&node, &[5_000; 150]).await;
    node.backplane.script([Unsettled, Placed]);

    node.say("bob", "ann", "last").await;

    assert_eq!(node.backplane.take_order().1, [50]);
}

/// Where it was resent, a message has an id of its sender.
async fn send(node: &Node, text: &str, client_message_id: Option<&'static str>) -> Message {
    let request = SendRequest {
        client_message_id: client_message_id.map(Into::into),
        ..request("ann", text)
    };
    node.services.messages.send(&user("bob"), request).await.unwrap()
}

#[tokio::test]
async fn what_only_this_nodes_sockets_have_is_announced_when_the_others_are_in_reach() {
    let node = Node::new(Scope::All);
    send(&node, "before", None).await;
    node.backplane.set_cut(true);
    for text in ["one", "two"] {
        send(&node, text, None).await;
    }
    node.services.announce_backlog().await;
    assert_eq!(announced(&node), [1, 2, 3], "nobody else can be told yet");
    assert_eq!(node.services.waiting().now, 1);
    assert!(!node.gaps.are_closed());
    node.backplane.set_cut(false);
    node.backplane.take_order();

    for _ in 0..2 {
        node.services.announce_backlog().await;
    }

    assert_eq!(announced(&node), [2, 3]);
    assert_eq!(node.backplane.take_order(), (vec![2, 3], vec![]));
    assert_eq!(node.services.waiting(), Default::default());
    assert!(node.gaps.are_closed());
}

#[tokio::test]
async fn what_others_published_meanwhile_is_left_at_that_and_what_they_could_not_is_published_first() {
    let node = Node::new(Scope::All);
    stored_only(&node, &[0]).await;
    node.backplane.set_cut(true);
    for text in ["two", "three"] {
        send(&node, text, None).await;
    }
    node.backplane.set_cut(false);
    announced(&node);
    node.backplane.take_order();
    node.backplane
        .script([Early { expected: 1 }, Placed, Known, Placed]);

    node.services.announce_backlog().await;

    assert_eq!(node.backplane.take_order().0, [2, 1, 2, 3]);
    assert_eq!(announced(&node), [1, 3]);
}

#[tokio::test]
async fn a_chat_that_nobody_knows_any_more_is_settled_below_what_is_to_be_announced() {
    let node = Node::new(Scope::All);
    send(&node, "one", None).await;
    node.backplane.set_cut(true);
    send(&node, "two", None).await;
    node.backplane.set_cut(false);
    node.clock.set(10_000);
    announced(&node);
    node.backplane.script([Unsettled]);

    node.services.announce_backlog().await;

    assert_eq!(node.backplane.take_order().1, [1]);
    assert_eq!(announced(&node), [2]);
}

#[tokio::test]
async fn a_resend_is_not_told_here_again_and_counts_as_announced_once_the_others_have_it() {
    let node = Node::new(Scope::All);
    node.backplane.set_cut(true);
    send(&node, "one", Some("k")).await;
    assert_eq!(announced(&node), [1]);
    send(&node, "one", Some("k")).await;
    assert!(announced(&node).is_empty());
    node.backplane.set_cut(false);
    send(&node, "one", Some("k")).await;
    assert!(announced(&node).is_empty(), "it waits with the rest");

    node.services.announce_backlog().await;
    assert_eq!(announced(&node), [1]);
    node.backplane.take_order();
    send(&node, "one", Some("k")).await;
    assert_eq!(node.backplane.take_order().0, Vec::<u64>::new());
}

#[tokio::test]
async fn a_store_that_is_away_keeps_the_backlog_waiting() {
    let node = Node::new(Scope::All);
    node.backplane.set_cut(true);
    send(&node, "one", None).await;
    node.backplane.set_cut(false);
    node.store.set_down(true);
    node.services.announce_backlog().await;
    assert_eq!(node.services.waiting().now, 1);
    node.store.set_down(false);
    node.services.announce_backlog().await;
    assert_eq!(node.services.waiting().now, 0);
}

#[tokio::test]
async fn a_late_resend_in_an_unknown_chat_is_published_only_where_nothing_after_it_was() {
    // When messages after it were stored, up to where the chat is settled, what is announced. It is ten seconds past zero.
    let cases: [(&[i64], u64, &[u64]); 4] = [
        (&[], 0, &[1]),
        (&[1_000, 1_000, 1_000, 1_000], 5, &[]),
        (&[1_000, 9_000], 2, &[]),
        (&[9_000], 0, &[1]),
    ];
    for (after, settled, expected) in cases {
        let node = Node::new(Scope::All);
        resendable_only(&node).await;
        stored_only(&node, after).await;
        node.clock.set(10_000);
        let answer = if expected.is_empty() { Known } else { Placed };
        node.backplane.script([Unsettled, answer]);

        resend(&node).await;

        assert_eq!(announced(&node), expected, "{after:?}");
        assert_eq!(
            node.backplane.take_order(),
            (vec![1, 1], vec![settled]),
            "{after:?}"
        );
    }
}
