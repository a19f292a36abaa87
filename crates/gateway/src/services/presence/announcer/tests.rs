use carillon_protocol::adapter::Broadcast;
use proptest::prelude::*;

use super::*;
use crate::services::testing::{Node, text_of, user};

async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// What was told since the last call, one line each.
fn told(node: &Node) -> Vec<String> {
    let line = |one: &Broadcast| {
        format!(
            "{} {}",
            text_of(&one.event, "userId"),
            text_of(&one.event, "status")
        )
    };
    node.announced.take().iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn what_comes_within_the_window_is_told_together_in_order_and_in_time() {
    let node = Node::new(Scope::All);
    let presence = &node.services.presence;
    let since = Instant::now();
    for id in ["ann", "bob"] {
        presence.connected(&user(id)).await;
        pass(20).await;
    }
    assert_eq!(since.elapsed(), WINDOW, "nobody waits for it");
    presence.connected(&user("cid")).await;
    while node.announced.is_empty() {
        pass(1).await;
    }
    assert!(
        since.elapsed() <= Duration::from_millis(50),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(told(&node), ["ann online", "bob online", "cid online"]);

    // Quiet, then the next window begins.
    pass(1_000).await;
    presence.connected(&user("eve")).await;
    pass(39).await;
    assert_eq!(told(&node), [""; 0]);
    pass(2).await;
    assert_eq!(told(&node), ["eve online"]);
    assert!(!presence.announcer.gathered.lock().has_task);
}

#[tokio::test(start_paused = true)]
async fn what_is_undone_within_the_window_is_not_told() {
    let node = Node::new(Scope::All);
    let (presence, ann) = (&node.services.presence, user("ann"));
    presence.connected(&ann).await;
    pass(50).await;
    assert_eq!(told(&node), ["ann online"]);

    presence.disconnected(&ann).await;
    pass(401).await;
    assert!(
        presence.online(&ann).await.unwrap().is_empty(),
        "offline, which nobody was told"
    );
    presence.connected(&ann).await;
    presence.connected(&user("bob")).await;
    pass(50).await;
    assert_eq!(told(&node), ["bob online"]);

    presence.disconnected(&ann).await;
    pass(450).await;
    assert_eq!(told(&node), ["ann offline"]);
}

#[tokio::test(start_paused = true)]
async fn more_than_goes_together_is_told_in_order() {
    let node = Node::new(Scope::All);
    let users: Vec<String> = (0..MAX_TOGETHER * 3 + 1).map(|n| format!("u{n}")).collect();
    for id in &users {
        node.services.presence.connected(&user(id)).await;
    }
    pass(50).await;
    let expected: Vec<String> = users.iter().map(|id| format!("{id} online")).collect();
    assert_eq!(told(&node), expected);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_announced_is_when_the_backplane_brings_it_up_again() {
    let node = Node::new(Scope::All);
    let presence = &node.services.presence;
    for id in ["ann", "bob"] {
        presence.connected(&user(id)).await;
    }
    node.backplane.set_down(true);
    pass(50).await;
    node.backplane.set_down(false);
    pass(1_000).await;
    assert_eq!(told(&node), [""; 0]);

    let (ann, bob) = (user("ann"), user("bob"));
    let changes = [
        (ann.clone(), Status::Online),
        (bob, Status::Online),
        (ann, Status::Online),
    ];
    for _ in 0..2 {
        presence.changed_elsewhere(&changes);
        pass(50).await;
    }
    assert_eq!(told(&node), ["ann online", "bob online"], "once");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_tells_at_once_what_it_has() {
    let node = Node::new(Scope::All);
    node.services.presence.connected(&user("ann")).await;
    node.services.presence.drain();

    let since = Instant::now();
    node.services.announce_rest().await;

    assert_eq!(told(&node), ["ann online"]);
    assert_eq!(since.elapsed(), Duration::ZERO);
    node.tasks.close();
    node.tasks.wait().await;
    assert_eq!(told(&node), [""; 0]);
}

#[test]
fn what_waits_is_bounded_and_each_change_waits_once() {
    let mut gathered = Gathered::default();
    let at = Timestamp::from_millis(1);
    for _ in 0..2 {
        for n in 0..=MAX_GATHERED {
            gathered.add(&user(&n.to_string()), Status::Online, at);
        }
    }
    assert_eq!(gathered.changes.len(), MAX_GATHERED);
    assert_eq!(gathered.take().len(), MAX_GATHERED);
    assert!(gathered.add(&user("0"), Status::Online, at));
}

#[test]
fn what_goes_together_names_so_many_rooms_and_no_more() {
    let to = |rooms: usize| Announcement {
        user: user("ann"),
        status: Status::Online,
        event: Some(broadcast(Vec::new(), vec![Room::new("r"); rooms], Vec::new())),
    };
    let secret = Announcement { event: None, ..to(0) };
    let all = [MAX_ROOMS / 2, MAX_ROOMS / 2, 1, MAX_ROOMS * 2, 1, 1].map(to);
    let batches = batches(all.into_iter().chain([secret]));
    let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 1, 1, 3]);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Connect(usize),
    Disconnect(usize),
    Pass(u64),
}

const USERS: [&str; 3] = ["ann", "bob", "cid"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..USERS.len()).prop_map(Step::Connect),
        (0..USERS.len()).prop_map(Step::Disconnect),
        // Within a window, and over the end of a grace and the window after it.
        (0..60_u64).prop_map(Step::Pass),
        (360..480_u64).prop_map(Step::Pass),
    ]
}

/// How many connections each user has in the end, and what was told.
async fn walk(steps: &[Step]) -> ([usize; USERS.len()], Vec<String>) {
    let node = Node::new(Scope::All);
    let presence = &node.services.presence;
    let mut connections = [0; USERS.len()];
    for step in steps {
        match *step {
            Step::Connect(at) => {
                connections[at] += 1;
                presence.connected(&user(USERS[at])).await;
            }
            Step::Disconnect(at) if connections[at] > 0 => {
                connections[at] -= 1;
                presence.disconnected(&user(USERS[at])).await;
            }
            Step::Disconnect(_) => {}
            Step::Pass(millis) => pass(millis).await,
        }
    }
    node.tasks.close();
    node.tasks.wait().await;
    (connections, told(&node))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_told_of_a_user_alternates_and_ends_in_the_truth(steps in prop::collection::vec(step(), 0..60)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let (connections, told) = runtime.block_on(walk(&steps));
        for (id, connections) in USERS.into_iter().zip(connections) {
            let told = told.iter().filter_map(|line| line.strip_prefix(id));
            let told: Vec<&str> = told.collect();
            for (number, status) in told.iter().enumerate() {
                prop_assert_eq!(*status, if number % 2 == 0 { " online" } else { " offline" });
            }
            prop_assert_eq!(told.len() % 2 == 1, connections > 0);
        }
    }
}
