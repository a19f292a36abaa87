//! The database away, frozen and back; a node killed in the middle of its work.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use carillon_store::{
    Chats, Messages, Notifications, StoreError,
    mongo::{MongoOptions, MongoStore, OpenError},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    databases::Database,
    samples::{message, pair, resendable, user},
};

/// A little more than an operation may take.
const LIMIT: Duration = Duration::from_millis(5500);

/// Judges how long something takes by the quickest of five tries: a busy machine makes everything later.
async fn assert_within_limit(mut attempt: impl AsyncFnMut()) {
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        attempt().await;
        quickest = quickest.min(begun.elapsed());
        if quickest < LIMIT {
            break;
        }
    }
    assert!(quickest < LIMIT, "{quickest:?} at best");
}

#[tokio::test]
async fn where_nobody_listens_opening_is_unavailable_soon() {
    assert_within_limit(async || {
        let opened = MongoStore::connect("mongodb://127.0.0.1:1/", MongoOptions::default()).await;
        assert!(matches!(opened, Err(OpenError::Unavailable { .. })));
    })
    .await;
    let nonsense = MongoStore::connect("http://localhost/", MongoOptions::default()).await;
    assert!(matches!(nonsense, Err(OpenError::Address(_))));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Nothing passes, nothing is refused.
    Frozen,
    Closed,
}

/// A way to the server that can be closed.
struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, state) = watch::channel(Way::Open);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(pass(client, server.clone(), state.clone()));
            }
        });
        Self {
            address,
            way,
            _tasks: tasks,
        }
    }
}

async fn pass(mut client: TcpStream, server: String, mut way: watch::Receiver<Way>) {
    let closed = {
        let mut way = way.clone();
        async move { way.wait_for(|way| *way == Way::Closed).await.map(drop) }
    };
    let passing = async {
        let mut server = TcpStream::connect(server).await.unwrap();
        loop {
            way.wait_for(|way| *way == Way::Open).await.unwrap();
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => return,
                _ = way.wait_for(|way| *way == Way::Frozen) => {}
            }
        }
    };
    tokio::select! {
        _ = closed => {}
        () = passing => {}
    }
}

/// A store that reaches its database through a proxy.
async fn through_proxy() -> (MongoStore, Proxy, Database) {
    let database = Database::new();
    let uri = database.uri();
    let server = uri.split('/').nth(2).unwrap().to_owned();
    let proxy = Proxy::to(server.clone()).await;
    let uri = uri.replace(&server, &proxy.address.to_string());
    let store = MongoStore::connect(&uri, MongoOptions::default()).await.unwrap();
    (store, proxy, database)
}

async fn assert_unavailable(store: &MongoStore) {
    let (chat, b) = (pair("a", "b"), user("b"));
    let (appended, page, inbox, list, ping) = tokio::join!(
        store.append_message(resendable("a", "b", "c-2", 0)),
        store.history_page(&chat, 1, 10),
        store.unread_notifications(&b, 10),
        store.chats_of(&b, 10),
        store.ping(),
    );
    let outcomes = [appended.err(), page.err(), inbox.err(), list.err(), ping.err()];
    for outcome in outcomes {
        assert!(
            matches!(outcome, Some(StoreError::Unavailable { .. })),
            "{outcome:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_or_frozen_is_unavailable_until_it_is_back() {
    let (store, proxy, _database) = through_proxy().await;
    store
        .append_message(resendable("a", "b", "c-1", 0))
        .await
        .unwrap();
    for way in [Way::Frozen, Way::Closed] {
        proxy.way.send_replace(way);
        assert_within_limit(async || assert_unavailable(&store).await).await;
        proxy.way.send_replace(Way::Open);
        let back = async {
            while store.ping().await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(60), back).await.unwrap();
    }

    store
        .append_message(resendable("a", "b", "c-2", 0))
        .await
        .unwrap();
    let history = store.history_after(&pair("a", "b"), 0, 10).await.unwrap();
    assert!(history.iter().map(|message| message.seq).eq(1..=2));
    assert_eq!(store.notification_stats(&user("b")).await.unwrap().total, 2);
    assert_eq!(store.chats_of(&user("b"), 1).await.unwrap()[0].unread, 2);
}

#[tokio::test]
async fn more_than_the_queue_holds_is_unavailable_at_once() {
    let database = Database::new();
    let options = MongoOptions {
        queue: 3,
        ..MongoOptions::default()
    };
    let store = database.connect(options).await;
    let appends = (0..20).map(|_| store.append_message(message("a", "b", "hi", 0)));
    let outcomes = futures_util::future::join_all(appends).await;
    let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(stored, 3);
    assert!(
        outcomes
            .iter()
            .all(|outcome| !matches!(outcome, Err(StoreError::Corrupt { .. })))
    );
}

/// Where the child finds its database.
const CHILD_DATABASE: &str = "CARILLON_TEST_CHILD_DATABASE";
const PAIRS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as a child process of a_killed_node_leaves_nothing_half_done"]
async fn appends_until_killed() {
    #[expect(clippy::disallowed_methods, reason = "a test has no settings")]
    let uri = std::env::var(CHILD_DATABASE).unwrap();
    let store = Arc::new(MongoStore::connect(&uri, MongoOptions::default()).await.unwrap());
    let mut senders = JoinSet::new();
    for sender in 0..PAIRS * 4 {
        let store = Arc::clone(&store);
        senders.spawn(async move {
            let (from, to) = (format!("s{}", sender % PAIRS), format!("r{}", sender % PAIRS));
            loop {
                let stored = store.append_message(message(&from, &to, "hi", 0)).await.unwrap();
                println!("stored {} {}", sender % PAIRS, stored.message.seq);
            }
        });
    }
    senders.join_all().await;
}

/// Runs a node of its own and kills it after `count` messages; those that it confirmed, by pair.
async fn killed_after(database: &Database, count: usize) -> Vec<(usize, u64)> {
    let mut child = tokio_child(database);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut confirmed = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        // The harness writes the test's name in front of the first.
        if let Some((_, line)) = line.split_once("stored ") {
            let (pair, seq) = line.split_once(' ').unwrap();
            confirmed.push((pair.parse().unwrap(), seq.parse().unwrap()));
        }
        if confirmed.len() == count {
            child.start_kill().unwrap();
        }
    }
    child.wait().await.unwrap();
    confirmed
}

fn tokio_child(database: &Database) -> tokio::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--ignored",
            "--exact",
            "faults::appends_until_killed",
            "--nocapture",
        ])
        .env(CHILD_DATABASE, database.uri())
        .stdout(Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_leaves_nothing_half_done() {
    let database = Database::new();
    let survivor = database.connect(MongoOptions::default()).await;
    for count in [1, 60, 333] {
        let confirmed = killed_after(&database, count).await;
        for number in 0..PAIRS {
            let (from, to) = (format!("s{number}"), format!("r{number}"));
            let history = survivor
                .history_after(&pair(&from, &to), 0, 100_000)
                .await
                .unwrap();
            let total = history.len() as u64;
            assert!(history.iter().map(|message| message.seq).eq(1..=total));
            assert!(
                confirmed
                    .iter()
                    .all(|(pair, seq)| *pair != number || *seq <= total)
            );
            let stats = survivor.notification_stats(&user(&to)).await.unwrap();
            assert_eq!((stats.total, stats.unread), (total, total));
            assert_eq!(survivor.unread_count(&user(&to)).await.unwrap(), total);
            let list = survivor.chats_of(&user(&to), 1).await.unwrap();
            assert_eq!(list.first().map_or(0, |chat| chat.unread), total);
        }
        let next = survivor
            .append_message(message("s0", "r0", "next", 0))
            .await
            .unwrap();
        let history = survivor.history_page(&pair("s0", "r0"), 1, 1).await.unwrap();
        assert_eq!(next.message.seq, history.total);
    }
}
