use carillon_protocol::{event, message::Message, notification::NotificationKind};
use carillon_store::Notifications as _;

use super::*;
use crate::services::{
    broadcast,
    notifications::CreateRequest,
    presence::Scope,
    testing::{Node, pair, text_of, user},
};

type Given = Arc<Mutex<Vec<(Broadcast, Option<Offset>)>>>;

/// What catches up, over a real store that other nodes write to.
struct Desk {
    node: Node,
    catch_up: CatchUp,
    given: Given,
}

impl Desk {
    /// Somebody is in the room of ann and bob, and in ann's own.
    fn new() -> Self {
        let (node, given) = (Node::new(Scope::All), Given::default());
        let record = Arc::clone(&given);
        let catch_up = CatchUp::new(
            Arc::new(move |broadcast, offset| record.lock().push((broadcast.clone(), offset.cloned()))),
            node.store.clone(),
            node.clock.clone(),
            node.tasks.clone(),
            CancellationToken::new(),
        );
        catch_up.occupied(&room());
        catch_up.occupied(&Room::of_user(&user("ann")));
        Self {
            node,
            catch_up,
            given,
        }
    }

    /// Messages from bob to ann, stored by another node.
    async fn stored(&self, count: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        for _ in 0..count {
            messages.push(self.node.say("bob", "ann", "hello").await);
        }
        messages
    }

    /// A message comes from the backplane.
    fn comes(&self, message: &Message) {
        let event = event::receive_message(message);
        self.catch_up
            .deliver(&broadcast(event, vec![room()], Vec::new()), Some(&"o".into()));
    }

    /// Waits until all is read that is to be.
    async fn read(&self) {
        self.node.tasks.close();
        self.node.tasks.wait().await;
    }

    /// The `seq`s of the messages that were given since the last call.
    fn seqs(&self) -> Vec<u64> {
        let seq = |(broadcast, _): (Broadcast, _)| broadcast.event[1].get("seq").and_then(Value::as_u64);
        let is_message = |(broadcast, _): &(Broadcast, _)| broadcast.rooms == [room()];
        self.take()
            .into_iter()
            .filter(is_message)
            .filter_map(seq)
            .collect()
    }

    fn take(&self) -> Vec<(Broadcast, Option<Offset>)> {
        std::mem::take(&mut self.given.lock())
    }

    /// The ids of the notifications that were given since the last call.
    fn notified(&self) -> Vec<String> {
        let in_inbox = |(broadcast, _): &(Broadcast, _)| broadcast.rooms == [Room::of_user(&user("ann"))];
        self.take()
            .iter()
            .filter(|given| in_inbox(given))
            .map(|(broadcast, _)| text_of(&broadcast.event, "_id"))
            .collect()
    }

    async fn create(&self, text: &'static str) -> carillon_protocol::notification::Notification {
        let request = CreateRequest {
            to_user: user("ann"),
            from_user: user("shop"),
            pair: pair("ann", "shop"),
            text: text.into(),
            kind: NotificationKind::System,
            created_at: None,
            metadata: Default::default(),
        };
        self.node.services.notifications.create(request).await.unwrap()
    }
}

fn room() -> Room {
    pair("ann", "bob").room()
}

#[tokio::test]
async fn messages_are_given_as_they_come_and_none_twice() {
    let desk = Desk::new();
    let messages = desk.stored(3).await;

    for index in [0, 0, 1, 0, 1, 2] {
        desk.comes(&messages[index]);
    }

    let given = desk.take();
    assert_eq!(given.len(), 3);
    assert!(given.iter().all(|(_, offset)| offset.is_some()));
}

#[tokio::test]
async fn a_chat_begins_with_whatever_comes_first() {
    let desk = Desk::new();
    let messages = desk.stored(5).await;
    desk.comes(&messages[3]);
    desk.comes(&messages[4]);
    assert_eq!(desk.seqs(), [4, 5]);
}

#[tokio::test]
async fn a_message_after_a_gap_waits_for_what_is_missing() {
    let desk = Desk::new();
    let messages = desk.stored(5).await;

    desk.comes(&messages[0]);
    desk.comes(&messages[3]);
    desk.comes(&messages[4]);
    assert_eq!(desk.seqs(), [1]);
    desk.read().await;

    assert_eq!(desk.seqs(), [2, 3, 4, 5]);
}

#[tokio::test]
async fn after_an_outage_what_others_sent_meanwhile_is_given_once() {
    let desk = Desk::new();
    let before = desk.stored(2).await;
    before.iter().for_each(|message| desk.comes(message));
    desk.catch_up.interrupted();
    let missed = desk.stored(250).await;
    // What was sent here was given here: it brings along what others sent before it.
    desk.comes(&missed[1]);
    desk.read().await;
    assert_eq!(desk.seqs(), (1..=252).collect::<Vec<_>>());

    let more = desk.stored(2).await;
    desk.catch_up.resumed();
    desk.comes(&more[1]);
    desk.read().await;
    missed.iter().chain(&more).for_each(|message| desk.comes(message));

    assert_eq!(desk.seqs(), [253, 254]);
}

#[tokio::test]
async fn a_chat_without_a_message_yet_is_given_what_is_newer_than_the_outage_and_the_join() {
    for (joined, missed_from) in [(0, 3), (11_500, 4)] {
        let desk = Desk::new();
        desk.catch_up.vacated(&room());
        desk.node.clock.set(joined);
        desk.catch_up.occupied(&room());
        for at in [1_000, 2_000] {
            desk.node.clock.set(at);
            desk.stored(1).await;
        }
        desk.node.clock.set(10_000);
        desk.catch_up.interrupted();
        for at in [11_000, 12_000] {
            desk.node.clock.set(at);
            desk.stored(1).await;
        }

        desk.catch_up.resumed();
        desk.read().await;

        assert_eq!(desk.seqs(), (missed_from..=4).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn more_than_may_wait_is_read_from_the_store_in_order() {
    let desk = Desk::new();
    let messages = desk.stored(700).await;
    desk.comes(&messages[0]);

    for message in &messages[2..] {
        desk.comes(message);
    }
    desk.read().await;

    assert_eq!(desk.seqs(), (1..=700).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_keeps_nothing_back_for_ever() {
    let desk = Desk::new();
    let messages = desk.stored(4).await;
    desk.comes(&messages[0]);
    desk.node.store.set_down(true);

    desk.comes(&messages[2]);
    desk.comes(&messages[3]);
    desk.read().await;

    assert_eq!(desk.seqs(), [1, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_store_does_not_know_is_given_in_the_end() {
    let desk = Desk::new();
    let messages = desk.stored(1).await;
    desk.comes(&messages[0]);
    let foreign = Message {
        seq: 9,
        ..messages[0].clone()
    };

    desk.comes(&foreign);
    desk.read().await;

    assert_eq!(desk.seqs(), [1, 9]);
}

#[tokio::test]
async fn a_room_that_was_left_is_forgotten() {
    let desk = Desk::new();
    let messages = desk.stored(3).await;
    desk.comes(&messages[2]);
    desk.catch_up.vacated(&room());
    desk.comes(&messages[0]);
    desk.catch_up.occupied(&room());
    desk.comes(&messages[1]);
    assert_eq!(desk.seqs(), [3, 1, 2]);

    desk.comes(&messages[2]);
    desk.catch_up.vacated(&room());
    desk.catch_up.interrupted();
    desk.stored(1).await;
    desk.catch_up.resumed();
    desk.read().await;
    assert_eq!(desk.seqs(), [3]);
}

#[tokio::test]
async fn after_an_outage_unread_notifications_are_given_once_as_they_would_have_come() {
    let desk = Desk::new();
    desk.node.clock.set(100_000);
    let old = desk.create("before").await;
    desk.node.clock.set(200_000);
    desk.catch_up.interrupted();
    let given = desk.create("given meanwhile").await;
    let event = event::created_notification(&given);
    let live = broadcast(event, vec![Room::of_user(&user("ann"))], Vec::new());
    desk.catch_up.deliver(&live, None);
    let message = desk.stored(1).await.remove(0);
    let alert = desk.create("missed").await;
    assert_eq!(desk.notified(), [given.content.id.to_string()]);

    desk.catch_up.resumed();
    desk.read().await;

    let of_message = desk
        .node
        .store
        .unread_notifications(&user("ann"), 10)
        .await
        .unwrap()
        .into_iter()
        .find(|notification| notification.content.from_user == user("bob"))
        .unwrap()
        .content
        .id;
    let expected = [
        event::message_notification(&message, of_message),
        event::created_notification(&alert),
    ];
    let events: Vec<_> = desk
        .take()
        .into_iter()
        .filter(|(broadcast, _)| broadcast.event[0] == Value::from("notification"))
        .map(|(broadcast, _)| broadcast.event)
        .collect();
    assert_eq!(events.len(), 2);
    assert!(expected.iter().all(|event| events.contains(event)));
    // A late copy of either is none of anybody's business any more, and what came before the outage was given then.
    desk.catch_up.deliver(&live, None);
    assert_eq!(desk.notified(), Vec::<String>::new());
    assert!(old.content.created_at < given.content.created_at);
}

#[tokio::test]
async fn who_came_during_the_outage_is_not_told_what_the_inbox_showed() {
    let desk = Desk::new();
    let own = Room::of_user(&user("ann"));
    desk.catch_up.vacated(&own);
    desk.node.clock.set(10_000);
    desk.catch_up.interrupted();
    desk.create("seen in the inbox").await;
    desk.node.clock.set(11_000);
    desk.catch_up.occupied(&own);
    desk.catch_up.resumed();
    desk.read().await;
    assert_eq!(desk.notified(), Vec::<String>::new());
}

#[test]
fn what_is_neither_message_nor_notification_passes() {
    let parse = |text: &str| match Value::from_json(text).unwrap() {
        Value::Array(event) => event,
        _ => panic!("an event is a list"),
    };
    let to = |text: &str, rooms: usize| broadcast(parse(text), vec![room(); rooms], Vec::new());
    for other in [
        to(r#"["receiveMessage",{"seq":1}]"#, 2),
        to(r#"["receiveMessage",{"seq":1}]"#, 0),
        to(r#"["receiveMessage",{"seq":"1"}]"#, 1),
        to(r#"["receiveMessage"]"#, 1),
        to(r#"["notification",{"_id":"x"}]"#, 1),
        to(r#"["userTyping",{"seq":1}]"#, 1),
        to(r#"[7,{"seq":1}]"#, 1),
        to("[]", 1),
        Broadcast {
            nsp: "/other".into(),
            ..to(r#"["receiveMessage",{"seq":1}]"#, 1)
        },
    ] {
        assert!(matches!(Kind::of(&other), Kind::Other), "{other:?}");
    }
    assert!(matches!(
        Kind::of(&to(r#"["receiveMessage",{"seq":1},"more"]"#, 1)),
        Kind::Message { seq: 1, .. }
    ));
}
