use carillon_protocol::{adapter::Offset, event, message::Message, notification::NotificationKind};
use carillon_store::Notifications as _;

use super::*;
use crate::services::{
    broadcast,
    notifications::CreateRequest,
    presence::Scope,
    retold,
    testing::{Node, pair, text_of, user},
};

type Given = Arc<Mutex<Vec<(Broadcast, Option<Offset>)>>>;

/// What catches up, over a real store that other nodes write to.
struct Desk {
    node: Node,
    catch_up: CatchUp,
    gaps: Gaps,
    stopping: CancellationToken,
    given: Given,
}

impl Desk {
    /// Somebody is in the room of ann and bob, and in ann's own.
    fn new() -> Self {
        let (node, given) = (Node::new(Scope::All), Given::default());
        let record = Arc::clone(&given);
        let (gaps, stopping) = (node.gaps.clone(), CancellationToken::new());
        let catch_up = CatchUp::new(
            Arc::new(move |broadcast, offset| record.lock().push((broadcast.clone(), offset))),
            gaps.clone(),
            node.store.clone(),
            node.clock.clone(),
            node.tasks.clone(),
            stopping.clone(),
            node.metrics.clone(),
        );
        catch_up.occupied(&room());
        catch_up.occupied(&Room::of_user(&user("ann")));
        Self {
            node,
            catch_up,
            gaps,
            stopping,
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
        self.catch_up
            .deliver(&retold::message(message), Place::At(place()));
    }

    /// Another event, in another room, comes at this place; answers with what offset it is given.
    fn offset_of(&self, place: Place) -> Option<Offset> {
        let event = vec![Value::from("messageRead")];
        let other = broadcast(event, vec![pair("cid", "dan").room()], Vec::new());
        self.catch_up.deliver(&other, place);
        let given = self.given.lock().pop();
        given.unwrap().1
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

fn place() -> Offset {
    Offset::parse("k3Zp09aQ.0000000000000042").unwrap()
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
    desk.catch_up.interrupted(Duration::ZERO);
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
        desk.catch_up.interrupted(Duration::ZERO);
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
async fn a_store_that_stays_away_is_waited_for() {
    let desk = Desk::new();
    let messages = desk.stored(6).await;
    desk.comes(&messages[0]);
    desk.node.store.set_down(true);
    desk.comes(&messages[2]);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    desk.comes(&messages[3]);
    assert_eq!(desk.seqs(), [1]);

    desk.node.store.set_down(false);
    desk.read().await;

    assert_eq!(desk.seqs(), [2, 3, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_waited_for_by_those_who_stay() {
    for is_stopping in [false, true] {
        let desk = Desk::new();
        let messages = desk.stored(3).await;
        desk.comes(&messages[0]);
        desk.node.store.set_down(true);
        desk.comes(&messages[2]);
        desk.catch_up.interrupted(Duration::ZERO);
        desk.catch_up.resumed();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!desk.gaps.are_closed());

        if is_stopping {
            desk.stopping.cancel();
        } else {
            desk.catch_up.vacated(&room());
            desk.catch_up.vacated(&Room::of_user(&user("ann")));
        }
        desk.read().await;
        assert!(desk.gaps.are_closed());
        assert_eq!(desk.seqs(), [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_store_does_not_know_holds_nothing_up_for_ever() {
    let desk = Desk::new();
    let messages = desk.stored(1).await;
    desk.comes(&messages[0]);
    let lost = |seq| Message {
        seq,
        ..messages[0].clone()
    };

    desk.comes(&lost(9));
    desk.read().await;
    desk.comes(&lost(10));

    assert_eq!(desk.seqs(), [1, 10]);
}

#[tokio::test]
async fn what_other_servers_send_is_passed_on_and_counts_for_nothing() {
    let desk = Desk::new();
    let messages = desk.stored(2).await;
    desk.comes(&messages[0]);
    let forged = Message {
        seq: 1_000_000_000,
        ..messages[0].clone()
    };
    desk.catch_up.deliver(&retold::message(&forged), Place::Unkept);
    desk.catch_up
        .deliver(&retold::message(&messages[0]), Place::Unkept);
    desk.comes(&messages[1]);
    assert_eq!(desk.seqs(), [1, 1_000_000_000, 1, 2]);

    let alert = retold::notification(&desk.create("alert").await, &[]);
    for place in [Place::Unkept, Place::At(place()), Place::At(place())] {
        desk.catch_up.deliver(&alert, place);
    }
    assert_eq!(desk.notified().len(), 2);
    // Its id is of use to its user alone.
    let another = Broadcast {
        rooms: vec![Room::of_user(&user("bob"))],
        ..alert
    };
    desk.catch_up.deliver(&another, Place::At(place()));
    assert_eq!(desk.take().len(), 1);
}

#[tokio::test]
async fn while_something_is_missing_no_offset_is_given_that_would_go_past_it() {
    let desk = Desk::new();
    let messages = desk.stored(4).await;
    assert_eq!(desk.offset_of(Place::At(place())), Some(place()));
    assert_eq!(desk.offset_of(Place::Unlogged), Some(Offset::NOWHERE));
    assert_eq!(desk.offset_of(Place::Unkept), None);
    desk.comes(&messages[0]);
    desk.take();

    // A gap in a chat.
    desk.comes(&messages[2]);
    assert_eq!(desk.offset_of(Place::At(place())), Some(Offset::NOWHERE));
    while !desk.gaps.are_closed() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        desk.take()
            .iter()
            .all(|(_, offset)| *offset == Some(Offset::NOWHERE))
    );
    assert_eq!(desk.offset_of(Place::At(place())), Some(place()));

    // An outage, to the end of reading.
    desk.catch_up.interrupted(Duration::ZERO);
    assert_eq!(desk.offset_of(Place::At(place())), Some(Offset::NOWHERE));
    desk.catch_up.resumed();
    assert_eq!(desk.offset_of(Place::At(place())), Some(Offset::NOWHERE));
    desk.read().await;
    assert_eq!(desk.offset_of(Place::At(place())), Some(place()));
}

#[tokio::test]
async fn a_long_silence_is_looked_back_at_and_a_backdated_notification_is_told_by_its_id() {
    let desk = Desk::new();
    desk.node.clock.set(100_000);
    desk.stored(1).await;
    let before = desk.create("before").await;
    desk.node.clock.set(140_000);
    desk.stored(1).await;
    let request = CreateRequest {
        to_user: user("ann"),
        from_user: user("shop"),
        pair: pair("ann", "shop"),
        text: "backdated".into(),
        kind: NotificationKind::System,
        created_at: Some(Timestamp::from_millis(1)),
        metadata: Default::default(),
    };
    let missed = desk.node.services.notifications.create(request).await.unwrap();
    // The node was stopped, and finds that out a minute later.
    desk.node.clock.set(190_000);
    desk.catch_up.interrupted(Duration::from_secs(60));
    desk.catch_up.resumed();
    desk.read().await;

    let given = desk.take();
    let in_room = |room: &Room| -> Vec<_> {
        let of_room = given
            .iter()
            .filter(|(broadcast, _)| broadcast.rooms == [room.clone()]);
        of_room.map(|(broadcast, _)| broadcast.event[1].clone()).collect()
    };
    assert_eq!(in_room(&room()).len(), 1);
    let told: Vec<_> = in_room(&Room::of_user(&user("ann")))
        .iter()
        .map(|payload| payload.get("_id").and_then(Value::as_text).unwrap().to_string())
        .collect();
    assert!(
        told.contains(&missed.content.id.to_string()) && told.len() == 2,
        "{told:?}"
    );
    assert!(!told.contains(&before.content.id.to_string()));
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
    desk.catch_up.interrupted(Duration::ZERO);
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
    desk.catch_up.interrupted(Duration::ZERO);
    let given = desk.create("given meanwhile").await;
    let event = event::created_notification(&given);
    let live = broadcast(event, vec![Room::of_user(&user("ann"))], Vec::new());
    desk.catch_up.deliver(&live, Place::At(place()));
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
    desk.catch_up.deliver(&live, Place::At(place()));
    assert_eq!(desk.notified(), Vec::<String>::new());
    assert!(old.content.created_at < given.content.created_at);
}

#[tokio::test]
async fn who_came_during_the_outage_is_not_told_what_the_inbox_showed() {
    let desk = Desk::new();
    let own = Room::of_user(&user("ann"));
    desk.catch_up.vacated(&own);
    desk.node.clock.set(10_000);
    desk.catch_up.interrupted(Duration::ZERO);
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
