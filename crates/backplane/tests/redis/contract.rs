//! What every backplane promises: the same suite for the one in process and for Redis in both dialects.

use std::{sync::Arc, time::Duration};

use carillon_backplane::{
    Backplane, Peers, Placement, Presence, RouteError, SessionRecord,
    local::{LocalBackplane, LogBounds},
    redis::{RedisOptions, Wire},
};
use carillon_protocol::{
    adapter::Offset,
    id::{Room, UserId},
    presence::Status,
    time::Timestamp,
};

use crate::{
    server::RedisServer,
    support::{Node, Recorder, announcement, event, options, user, volatile},
};

/// A backplane with what it needs to live.
struct Subject {
    name: &'static str,
    backplane: Arc<dyn Backplane>,
    recorder: Arc<Recorder>,
    _redis: Option<(Node, RedisServer)>,
}

async fn subjects() -> Vec<Subject> {
    let recorder = Arc::new(Recorder::new());
    let local = LocalBackplane::new("local000", Duration::from_secs(120), LogBounds::default());
    local.join(Arc::clone(&recorder) as _);
    let mut subjects = vec![Subject {
        name: "local",
        backplane: Arc::new(local),
        recorder,
        _redis: None,
    }];
    for (name, wire) in [("classic", Wire::Classic), ("sharded", Wire::Sharded)] {
        let server = RedisServer::start().await;
        let node = Node::start_with(RedisOptions {
            wire,
            ..options(&server)
        })
        .await;
        subjects.push(Subject {
            name,
            backplane: Arc::clone(&node.backplane) as _,
            recorder: Arc::clone(&node.recorder),
            _redis: Some((node, server)),
        });
    }
    subjects
}

impl Subject {
    async fn occupy(&self, rooms: &[Room]) {
        for room in rooms {
            self.backplane.occupied(room);
        }
        self.backplane.attend(rooms).await.unwrap();
    }

    async fn missed(&self, offset: Offset, rooms: &[Room]) -> Option<Vec<String>> {
        let missed = self.backplane.missed(offset, rooms).await.unwrap()?;
        let names = missed
            .iter()
            .map(|one| one.broadcast.event[0].as_text().unwrap().to_string());
        Some(names.collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_publish_returns_the_nodes_sockets_have_the_event() {
    for subject in subjects().await {
        let rooms = ["a", "b"].map(Room::new);
        subject.occupy(&rooms).await;
        for (name, to) in [("one", &["a"][..]), ("several", &["a", "b"]), ("all", &[])] {
            subject.backplane.publish(event(name, to)).await.unwrap();
            assert_eq!(subject.recorder.names().last().unwrap(), name, "{}", subject.name);
        }
        subject
            .backplane
            .publish(volatile("typing", &["a"]))
            .await
            .unwrap();
        subject.recorder.has("typing").await;

        let events = subject.recorder.events();
        assert!(events[..3].is_sorted_by_key(|(_, offset)| offset.unwrap().number()));
        assert_eq!(events[3], ("typing".to_owned(), None), "{}", subject.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_after_an_offset_can_be_told() {
    for subject in subjects().await {
        let rooms = [Room::new("a"), Room::new("socket")];
        subject.occupy(&rooms).await;
        let start = subject.backplane.head().await.unwrap();
        let mut others = event("for others", &["a"]);
        others.except = vec![Room::new("socket")];
        for one in [
            event("a", &["a"]),
            event("b", &["b"]),
            others,
            volatile("v", &["a"]),
            event("all", &[]),
        ] {
            subject.backplane.publish(one).await.unwrap();
        }
        assert_eq!(
            subject.missed(start, &rooms).await.unwrap(),
            ["a", "all"],
            "{}",
            subject.name
        );
        let head = subject.backplane.head().await.unwrap();
        assert_eq!(
            subject.missed(head, &rooms).await.unwrap(),
            [""; 0],
            "{}",
            subject.name
        );
        let foreign = Offset::parse("foreign0.0000000000000001").unwrap();
        for foreign in [foreign, Offset::NOWHERE] {
            assert_eq!(subject.missed(foreign, &rooms).await, None, "{}", subject.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_settled_chat_is_placed() {
    for subject in subjects().await {
        subject.occupy(&[Room::new("a")]).await;
        subject.backplane.settle_order("chat", 4).await.unwrap();
        let events = vec![event("m", &["a"]), event("n", &[])];
        let placement = subject
            .backplane
            .publish_in_order("chat", 5, events)
            .await
            .unwrap();
        assert_eq!(placement, Placement::Placed, "{}", subject.name);
        assert_eq!(subject.recorder.names(), ["m", "n"], "{}", subject.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_found_until_it_is_taken_or_forgotten() {
    for subject in subjects().await {
        let record = |pid: &'static str| SessionRecord {
            pid: pid.into(),
            socket_id: "s".into(),
            user: user("ann"),
            rooms: vec![Room::new("a")],
            node: subject.backplane.tag().clone(),
        };
        for pid in ["taken", "forgotten", "lost"] {
            subject.backplane.keep(record(pid)).await.unwrap();
            assert_eq!(
                subject.backplane.find(pid).await.unwrap(),
                Some(record(pid)),
                "{}",
                subject.name
            );
        }
        assert_eq!(
            subject.backplane.take("taken").await.unwrap(),
            Some(record("taken"))
        );
        assert_eq!(
            subject.backplane.take("taken").await.unwrap(),
            None,
            "{}",
            subject.name
        );
        subject.backplane.forget("forgotten").await.unwrap();
        assert_eq!(
            subject.backplane.find("forgotten").await.unwrap(),
            None,
            "{}",
            subject.name
        );
        subject.backplane.lost("lost").await.unwrap();
        assert_eq!(
            subject.backplane.find("lost").await.unwrap(),
            Some(record("lost")),
            "{}",
            subject.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_online_from_the_first_connection_until_settled() {
    for subject in subjects().await {
        let presence: &dyn Backplane = &*subject.backplane;
        let (ann, at) = (user("ann"), Timestamp::from_millis);
        assert!(presence.connect(&ann, at(1)).await.unwrap());
        let announce = async |status| {
            let announced = presence.announce(vec![announcement(&ann, status, None)]).await;
            announced.unwrap()
        };
        assert_eq!(announce(Status::Online).await, [true], "{}", subject.name);
        assert!(!presence.connect(&ann, at(2)).await.unwrap());
        assert!(!Presence::disconnect(presence, &ann).await.unwrap());
        assert!(!presence.settle(&ann).await.unwrap());
        assert!(Presence::disconnect(presence, &ann).await.unwrap());
        let online = presence.online().await.unwrap();
        assert_eq!(
            (online.len(), online[0].last_seen),
            (1, at(2)),
            "{}",
            subject.name
        );
        assert!(presence.settle(&ann).await.unwrap());
        assert!(presence.online().await.unwrap().is_empty(), "{}", subject.name);
        assert_eq!(announce(Status::Offline).await, [true], "{}", subject.name);
        assert!(!presence.settle(&ann).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_announced_in_its_place_among_all_events_if_it_is_still_so() {
    for subject in subjects().await {
        let presence: &dyn Backplane = &*subject.backplane;
        let rooms = [Room::new("a")];
        subject.occupy(&rooms).await;
        let head = presence.head().await.unwrap();
        let (ann, at) = (user("ann"), Timestamp::from_millis);
        let announce = async |status, name| {
            let change = announcement(&ann, status, Some(event(name, &["a"])));
            presence.announce(vec![change]).await.unwrap() == [true]
        };
        presence.connect(&ann, at(1)).await.unwrap();
        assert!(!announce(Status::Offline, "not so").await);
        assert!(announce(Status::Online, "came").await, "{}", subject.name);
        Presence::disconnect(presence, &ann).await.unwrap();
        assert!(presence.settle(&ann).await.unwrap());
        presence.connect(&ann, at(2)).await.unwrap();
        assert!(!announce(Status::Offline, "too late").await);
        assert_eq!(subject.recorder.names(), ["came"], "{}", subject.name);
        let missed = subject.missed(head, &rooms).await.unwrap();
        assert_eq!(missed, ["came"], "{}", subject.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_announced_together_without_those_that_were_undone_before() {
    for subject in subjects().await {
        let presence: &dyn Backplane = &*subject.backplane;
        let rooms = ["a", "b"].map(Room::new);
        subject.occupy(&rooms).await;
        let head = presence.head().await.unwrap();
        let at = Timestamp::from_millis;
        let [ann, bob, eve, zoe] = ["ann", "bob", "eve", "zoe"].map(user);
        let goes = async |user| {
            assert!(Presence::disconnect(presence, user).await.unwrap());
            presence.settle(user).await.unwrap()
        };
        let came = |user: &UserId, rooms| {
            let name = format!("{user} came");
            announcement(user, Status::Online, Some(event(&name, rooms)))
        };

        for one in [&ann, &bob, &eve, &zoe] {
            assert!(presence.connect(one, at(1)).await.unwrap(), "{}", subject.name);
        }
        assert!(!goes(&bob).await, "nobody has heard of bob");
        let secret = announcement(&eve, Status::Online, None);
        let together = vec![
            came(&bob, &["a", "b"]),
            came(&ann, &["a"]),
            secret,
            came(&zoe, &[]),
        ];
        let announced = presence.announce(together).await.unwrap();
        assert_eq!(announced, [false, true, true, true], "{}", subject.name);

        // Gone and back before that was told.
        assert!(goes(&ann).await && !presence.connect(&ann, at(2)).await.unwrap());
        let both = vec![
            announcement(&ann, Status::Offline, Some(event("ann went", &["a"]))),
            came(&ann, &["a"]),
        ];
        assert_eq!(
            presence.announce(both).await.unwrap(),
            [false, false],
            "{}",
            subject.name
        );
        assert!(presence.announce(Vec::new()).await.unwrap().is_empty());

        let told = ["ann came", "zoe came"];
        assert_eq!(subject.recorder.names(), told, "{}", subject.name);
        assert_eq!(
            subject.missed(head, &rooms).await.unwrap(),
            told,
            "{}",
            subject.name
        );
        let online = presence.online().await.unwrap();
        let online: Vec<_> = online.iter().map(|one| one.user.as_str()).collect();
        assert_eq!(online, ["ann", "eve", "zoe"], "{}", subject.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_name_their_node_and_nobody_else_is_there() {
    for subject in subjects().await {
        let backplane = &subject.backplane;
        let sid = backplane.new_sid();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert!(sid.bytes().all(is_plain) && sid.len() >= 16, "{}", subject.name);
        assert_eq!(
            backplane.node_of(&sid).as_ref(),
            Some(backplane.tag()),
            "{}",
            subject.name
        );
        assert!(backplane.is_alive(backplane.tag()) && !backplane.is_alive("stranger"));
        assert_eq!(backplane.new_socket_id().len(), 20);
        let asked = backplane
            .request(&"stranger".into(), "x".into(), Duration::from_secs(1))
            .await;
        assert_eq!(asked, Err(RouteError::Gone), "{}", subject.name);
        assert_eq!(
            Peers::server_count(&**backplane).await.unwrap(),
            1,
            "{}",
            subject.name
        );
        let health = backplane.health();
        assert!(health.is_up && health.nodes == 1, "{}", subject.name);
    }
}
