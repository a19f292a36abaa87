//! A Redis Cluster of three masters: the sharded adapter's wire, without a log.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use carillon_backplane::{
    Backplane as _, Fanout as _, Peers as _, Placement, Presence, Recovery as _, Routing as _, SessionRecord,
    redis::{RedisOptions, Wire},
};
use carillon_protocol::{id::Room, presence::Status, time::Timestamp};
use redis::cluster_routing::Slot;
use tokio::time::{Instant, sleep};

use crate::{
    server::{Port, RedisServer},
    support::{Node, PATIENCE, Told, announcement, assert_within, event, options, user, volatile},
};

/// The first slot of each master, and the end.
const BOUNDS: [u16; 4] = [0, 5_461, 10_923, 16_384];

struct Cluster {
    masters: Vec<RedisServer>,
    _buses: Vec<Port>,
}

/// A server that is to become one of a cluster, and the port of its bus.
async fn start_member() -> (RedisServer, Port) {
    let bus = Port::reserve();
    let arguments = [
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus.number().to_string(),
        "--cluster-node-timeout",
        "2000",
        "--repl-diskless-sync-delay",
        "0",
    ];
    (RedisServer::start_with(&arguments).await, bus)
}

/// Makes a master of a replica that lives beside its own.
async fn promote(replica: &RedisServer) {
    let is_master = async || {
        let state: String = replica.run(&["INFO", "replication"]).await;
        state.contains("role:master")
    };
    let promoted = async {
        let mut asked: Option<Instant> = None;
        while !is_master().await {
            // The other masters may not vote at first; a promotion that they let lapse after 5 s is asked for again.
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(6)) {
                let _: String = replica.run(&["CLUSTER", "FAILOVER"]).await;
                asked = Some(Instant::now());
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, promoted)
        .await
        .expect("the replica is promoted");
}

impl Cluster {
    async fn start() -> Self {
        let mut masters = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..3 {
            let (master, bus) = start_member().await;
            masters.push(master);
            buses.push(bus);
        }
        for (master, bounds) in masters.iter().zip(BOUNDS.windows(2)) {
            let (first, last) = (bounds[0].to_string(), (bounds[1] - 1).to_string());
            let _: String = master.run(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await;
        }
        for (epoch, master) in masters.iter().enumerate() {
            let epoch = (epoch + 1).to_string();
            let _: String = master.run(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
        }
        for (master, bus) in masters.iter().zip(&buses).skip(1) {
            let [port, bus] = [master.port(), bus.number()].map(|port| port.to_string());
            let _: String = masters[0]
                .run(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
                .await;
        }
        let cluster = Self {
            masters,
            _buses: buses,
        };
        let formed = async {
            for master in &cluster.masters {
                while !master
                    .run::<String>(&["CLUSTER", "INFO"])
                    .await
                    .contains("cluster_state:ok")
                    || master.run::<Vec<redis::Value>>(&["CLUSTER", "SLOTS"]).await.len() < 3
                {
                    sleep(Duration::from_millis(20)).await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, formed)
            .await
            .expect("the cluster forms");
        cluster
    }

    /// A replica of one of the masters, in step with it.
    async fn replica_of(&self, master: usize) -> RedisServer {
        let master = &self.masters[master];
        let (replica, bus) = start_member().await;
        let id: String = master.run(&["CLUSTER", "MYID"]).await;
        let [port, bus] = [replica.port(), bus.number()].map(|port| port.to_string());
        let _: String = master.run(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        let follows = async {
            while !replica.run::<String>(&["CLUSTER", "NODES"]).await.contains(&id) {
                sleep(Duration::from_millis(20)).await;
            }
            let _: String = replica.run(&["CLUSTER", "REPLICATE", &id]).await;
            // All who vote on a promotion have to know of it.
            let own: String = replica.run(&["CLUSTER", "MYID"]).await;
            let is_known = |nodes: String| {
                let line = nodes.lines().find(|line| line.starts_with(&own));
                line.is_some_and(|line| line.contains("slave") && line.contains(&id))
            };
            for member in &self.masters {
                while !is_known(member.run(&["CLUSTER", "NODES"]).await) {
                    sleep(Duration::from_millis(20)).await;
                }
            }
            let state = async || replica.run::<String>(&["INFO", "replication"]).await;
            while !state().await.contains("master_link_status:up") {
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, follows)
            .await
            .expect("the replica follows its master");
        replica
    }

    fn options(&self) -> RedisOptions {
        RedisOptions {
            wire: Wire::Sharded,
            ..options(&self.masters[0])
        }
    }

    /// The number of the master that has `channel`.
    fn of(&self, channel: &str) -> usize {
        let slot = Slot::for_key(channel);
        (0..3)
            .find(|n| (BOUNDS[*n]..BOUNDS[n + 1]).any(|other| Slot::new(other) == Some(slot)))
            .unwrap()
    }

    /// A room on each master.
    fn rooms(&self) -> [&'static str; 3] {
        let named = |n| {
            let mut rooms = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].into_iter();
            rooms
                .find(|room| self.of(&format!("socket.io#/#{room}#")) == n)
                .unwrap()
        };
        [named(0), named(1), named(2)]
    }

    async fn two_nodes(&self) -> (Node, Node) {
        let nodes = (
            Node::start_with(self.options()).await,
            Node::start_with(self.options()).await,
        );
        nodes.0.until_nodes(2).await;
        nodes.1.until_nodes(2).await;
        nodes
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_every_node_whichever_master_has_their_channel() {
    let cluster = Cluster::start().await;
    let (one, two) = cluster.two_nodes().await;
    let rooms = cluster.rooms();
    for node in [&one, &two] {
        node.occupy(&rooms).await;
    }
    for (n, room) in rooms.iter().enumerate() {
        one.backplane
            .publish(event(&format!("kept {n}"), &[room]))
            .await
            .unwrap();
        one.backplane
            .publish(volatile(&format!("volatile {n}"), &[room]))
            .await
            .unwrap();
    }
    one.backplane.publish(event("all", &[])).await.unwrap();
    // Each master has an order of its own, and there is none between them.
    let expected = [
        "all",
        "kept 0",
        "kept 1",
        "kept 2",
        "volatile 0",
        "volatile 1",
        "volatile 2",
    ];
    for node in [&one, &two] {
        node.recorder.until("all", |told| told.len() == 7).await;
        let mut names = node.recorder.names();
        names.sort();
        assert_eq!(names, expected);
    }

    // There is no order that could be continued.
    for node in [&one, &two] {
        assert!(node.recorder.events().iter().all(|(_, offset)| offset.is_none()));
    }
    assert!(one.backplane.head().await.is_err());
    assert!(!one.backplane.has_fences());
    assert!(one.backplane.fence(two.tag(), "f").await.is_err());
    assert_eq!(one.backplane.health().malformed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chats_messages_are_published_once_and_in_order() {
    let cluster = Cluster::start().await;
    let (one, two) = cluster.two_nodes().await;
    let room = cluster.rooms()[1];
    for node in [&one, &two] {
        node.occupy(&[room]).await;
    }
    let place = async |node: &Node, seq: u64| {
        let events = vec![event(&format!("m{seq}"), &[room])];
        node.backplane
            .publish_in_order("chat", seq, events)
            .await
            .unwrap()
    };
    assert_eq!(place(&one, 1).await, Placement::Unsettled);
    one.backplane.settle_order("chat", 0).await.unwrap();
    assert_eq!(place(&two, 2).await, Placement::Early { expected: 1 });
    assert_eq!(place(&one, 1).await, Placement::Placed);
    assert_eq!(place(&two, 2).await, Placement::Placed);
    assert_eq!(place(&one, 2).await, Placement::Known);
    one.recorder.has("m2").await;
    two.recorder.has("m2").await;
    assert_eq!(one.recorder.names(), ["m1", "m2"]);
    assert_eq!(two.recorder.names(), ["m1", "m2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_records_and_routing_work_as_on_a_single_redis() {
    let cluster = Cluster::start().await;
    let (one, two) = cluster.two_nodes().await;
    let ann = user("ann");
    assert!(
        one.backplane
            .connect(&ann, Timestamp::from_millis(1))
            .await
            .unwrap()
    );
    assert!(
        !two.backplane
            .connect(&ann, Timestamp::from_millis(2))
            .await
            .unwrap()
    );
    assert!(!Presence::disconnect(&*one.backplane, &ann).await.unwrap());
    assert_eq!(two.backplane.online().await.unwrap().len(), 1);
    one.occupy(&["a"]).await;
    for is_first in [true, false] {
        let came = announcement(&ann, Status::Online, Some(event("ann came", &["a"])));
        let announced = two.backplane.announce(vec![came]).await;
        assert_eq!(announced.unwrap(), [is_first]);
    }
    one.recorder.has("ann came").await;

    let record = SessionRecord {
        pid: "p".into(),
        socket_id: "s".into(),
        user: ann,
        rooms: vec![Room::new("r")],
        node: one.tag().clone(),
    };
    one.backplane.keep(record.clone()).await.unwrap();
    assert_eq!(two.backplane.take("p").await.unwrap(), Some(record));

    let answer = one.backplane.request(two.tag(), "x".into(), PATIENCE).await;
    assert_eq!(answer, Ok("x".into()));
    assert_eq!(one.backplane.server_count().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_frozen_master_is_found_out() {
    let cluster = Cluster::start().await;
    let (one, two) = cluster.two_nodes().await;
    let home = cluster.of("{carillon}:nodes");
    let other = (home + 1) % 3;
    let room = cluster.rooms()[other];
    one.occupy(&[room]).await;

    assert_within(Duration::from_secs(3), async |_| {
        cluster.masters[other].freeze();
        let frozen = Instant::now();
        one.until_up(false).await;
        two.until_up(false).await;
        let found_out = frozen.elapsed();
        cluster.masters[other].thaw();
        one.until_up(true).await;
        two.until_up(true).await;
        found_out
    })
    .await;
    two.backplane.publish(event("after", &[room])).await.unwrap();
    one.recorder.has("after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_is_followed() {
    let cluster = Cluster::start().await;
    let (one, two) = cluster.two_nodes().await;
    let room = cluster.rooms()[0];
    one.occupy(&[room]).await;
    let channel = format!("socket.io#/#{room}#");
    let (from, to) = (cluster.of(&channel), (cluster.of(&channel) + 1) % 3);
    let slot: u16 = cluster.masters[from].run(&["CLUSTER", "KEYSLOT", &channel]).await;
    let slot = slot.to_string();
    let target: String = cluster.masters[to].run(&["CLUSTER", "MYID"]).await;
    for n in [to, from, 3 - to - from] {
        let _: String = cluster.masters[n]
            .run(&["CLUSTER", "SETSLOT", &slot, "NODE", &target])
            .await;
    }
    let arrived = async {
        // Until both have looked again, an event may reach its own node alone.
        for n in 0.. {
            two.backplane
                .publish(event(&n.to_string(), &[room]))
                .await
                .unwrap();
            sleep(Duration::from_millis(50)).await;
            let heard: Vec<(String, usize)> = cluster.masters[to]
                .run(&["PUBSUB", "SHARDNUMSUB", &channel])
                .await;
            if heard[0].1 == 1 && two.backplane.health().is_up && one.backplane.health().is_up {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, arrived)
        .await
        .expect("the subscription moves");
    two.backplane.publish(event("moved", &[room])).await.unwrap();
    one.recorder.has("moved").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_promoted_is_found_while_events_are_published() {
    assert_within(Duration::from_secs(3), async |_| fail_over().await).await;
}

/// Answers how long it took until the nodes noticed, or how long a publish took where that was longer.
async fn fail_over() -> Duration {
    let cluster = Cluster::start().await;
    // The master of all of Carillon's own keys and channels, too.
    let home = cluster.of("{carillon}:nodes");
    let replica = cluster.replica_of(home).await;
    let (one, two) = cluster.two_nodes().await;
    let room = cluster.rooms()[home];
    let channel = format!("socket.io#/#{room}#");
    one.occupy(&[room]).await;
    let is_over = AtomicBool::new(false);
    let publish = async {
        let mut longest = Duration::ZERO;
        while !is_over.load(Ordering::Relaxed) {
            let published = Instant::now();
            two.backplane.publish(event("meanwhile", &[room])).await.unwrap();
            longest = longest.max(published.elapsed());
            sleep(Duration::from_millis(5)).await;
        }
        longest
    };
    let fail_over = async {
        one.recorder.has("meanwhile").await;
        promote(&replica).await;
        let promoted = Instant::now();
        for node in [&one, &two] {
            node.recorder.was_interrupted().await;
        }
        let noticed = promoted.elapsed();
        let subscribed = async {
            let heard =
                async || -> Vec<(String, usize)> { replica.run(&["PUBSUB", "SHARDNUMSUB", &channel]).await };
            while heard().await[0].1 == 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, subscribed)
            .await
            .expect("the subscription is where the slot is");
        for node in [&one, &two] {
            node.recorder.was_told(&Told::Resumed).await;
            node.until_up(true).await;
        }
        is_over.store(true, Ordering::Relaxed);
        noticed
    };
    let (longest, noticed) = tokio::join!(publish, fail_over);
    two.backplane.publish(event("after", &[room])).await.unwrap();
    one.recorder.has("after").await;
    assert_eq!(one.backplane.server_count().await.unwrap(), 2);
    let answer = one.backplane.request(two.tag(), "x".into(), PATIENCE).await;
    assert_eq!(answer, Ok("x".into()));
    longest.max(noticed)
}
