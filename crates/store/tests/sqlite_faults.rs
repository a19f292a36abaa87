//! What happens to the SQLite store when disk, file, lock or process fail.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "contract/samples.rs"]
mod samples;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use carillon_protocol::id::ObjectId;
use carillon_store::{
    Chats, Messages, Notifications, StoreError,
    messages::AppendOutcome,
    sqlite::{Durability, OpenError, SqliteOptions, SqliteStore},
};
use rusqlite::Connection;
use tokio::{task::JoinSet, time::Instant};

use samples::{at, message, pair, resendable, user};

const FILE: &str = "store.db";

fn options() -> SqliteOptions {
    SqliteOptions {
        busy_timeout: Duration::from_millis(50),
        ..SqliteOptions::default()
    }
}

fn open(folder: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(&folder.join(FILE), &options())
}

/// Opens what was open here a moment ago. A process that another test starts has its lock file, too, until it is its own program.
fn reopen(folder: &Path, options: &SqliteOptions) -> Result<SqliteStore, OpenError> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match SqliteStore::open(&folder.join(FILE), options) {
            Err(OpenError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

fn assert_unavailable<Value: std::fmt::Debug>(outcome: &Result<Value, StoreError>) {
    assert!(
        matches!(outcome, Err(StoreError::Unavailable { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_lock_by_another_process_is_unavailable_until_it_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let stored = store
        .append_message(message("a", "b", "before", 0))
        .await
        .unwrap();
    let other = Connection::open(folder.path().join(FILE)).unwrap();

    for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        other.execute_batch(lock).unwrap();
        assert_unavailable(&store.append_message(resendable("a", "b", lock, 1)).await);
        assert_unavailable(&store.mark_chat_read(&pair("a", "b"), &user("b"), at(1)).await);
        assert_unavailable(&store.ping().await);
        let page = store.history_page(&pair("a", "b"), 1, 1).await.unwrap();
        assert_eq!((page.total, &page.messages[0]), (1, &stored.message));
        other.execute_batch("ROLLBACK").unwrap();
    }

    store.ping().await.unwrap();
    let resent = store
        .append_message(resendable("a", "b", "BEGIN IMMEDIATE", 2))
        .await
        .unwrap();
    assert_eq!((resent.outcome, resent.message.seq), (AppendOutcome::Stored, 2));
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_in_a_group_spoil_no_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()).unwrap());
    let taken = message("a", "b", "hi", 0);
    store.append_message(taken.clone()).await.unwrap();

    let mut tasks = JoinSet::new();
    for number in 0..400 {
        let store = Arc::clone(&store);
        let mut new = message("a", "b", "hi", 0);
        if number % 4 == 0 {
            new.notification.id = taken.notification.id;
        }
        tasks.spawn(async move { store.append_message(new).await });
    }
    let answers = tasks.join_all().await;

    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Err(StoreError::Corrupt { .. })))
        .count();
    assert_eq!(
        (refused, answers.iter().filter(|answer| answer.is_ok()).count()),
        (100, 300)
    );
    let history = store.history_after(&pair("a", "b"), 0, 1000).await.unwrap();
    assert!(history.iter().map(|message| message.seq).eq(1..=301));
    assert_eq!(store.unread_count(&user("b")).await.unwrap(), 301);
    assert_eq!(store.notification_stats(&user("b")).await.unwrap().unread, 301);
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    for durability in [Durability::Full, Durability::Process] {
        let options = SqliteOptions {
            durability,
            ..SqliteOptions::default()
        };
        let store = reopen(folder.path(), &options).unwrap();
        let chat = pair("a", "b");
        let before = store.history_page(&chat, 1, 1).await.unwrap().total;
        let client_id = format!("{durability:?}");
        let unannounced = store
            .append_message(resendable("a", "b", &client_id, 0))
            .await
            .unwrap();
        let announced = store
            .append_message(resendable("b", "a", &client_id, 0))
            .await
            .unwrap();
        store.mark_announced(announced.message.id).await.unwrap();
        store.flush().await.unwrap();
        drop(store);

        let store = reopen(folder.path(), &options).unwrap();
        let history = store.history_after(&chat, before, 10).await.unwrap();
        assert_eq!(history, [unannounced.message.clone(), announced.message.clone()]);
        let again = store
            .append_message(resendable("a", "b", &client_id, 1))
            .await
            .unwrap();
        assert_eq!(
            (again.message, again.outcome),
            (unannounced.message, AppendOutcome::DuplicateUnannounced)
        );
        let again = store
            .append_message(resendable("b", "a", &client_id, 1))
            .await
            .unwrap();
        assert_eq!(
            (again.message, again.outcome),
            (announced.message, AppendOutcome::Duplicate)
        );
    }
}

#[test]
fn a_store_can_be_dropped_outside_the_runtime_it_was_used_in() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = open(folder.path()).unwrap();
    runtime.block_on(store.unread_count(&user("a"))).unwrap();
    drop(runtime);
    drop(store);

    reopen(folder.path(), &options()).unwrap();
}

#[tokio::test]
async fn a_second_store_on_the_same_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();

    let second = open(folder.path()).unwrap_err();

    assert!(matches!(second, OpenError::InUse { .. }), "{second:?}");
    assert!(second.to_string().contains("already in use"), "{second}");
    first.ping().await.unwrap();
    drop(first);
    let again = reopen(folder.path(), &options()).unwrap();
    again.ping().await.unwrap();
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), "").unwrap();

    let store = open(folder.path()).unwrap();

    store.append_message(message("a", "b", "hi", 0)).await.unwrap();
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();

    let refused = reopen(folder.path(), &options()).unwrap_err();

    assert!(
        matches!(refused, OpenError::Newer { found: 99, .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("version 99"), "{refused}");
    let version: i64 = file
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 99);
}

#[test]
fn what_is_no_database_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let text = "this is a text, and no database by any means\n".repeat(100);
    std::fs::write(folder.path().join(FILE), &text).unwrap();

    let refused = open(folder.path()).unwrap_err();

    assert!(matches!(refused, OpenError::Database(_)), "{refused:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join(FILE)).unwrap(), text);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();

    let refused = open(&folder.path().join("file")).unwrap_err();

    assert!(
        matches!(&refused, OpenError::File { path, .. } if path.ends_with("file")),
        "{refused:?}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn its_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("made/deep");
    let store = open(&data).unwrap();
    store.ping().await.unwrap();

    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = std::fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 3);
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
}

/// This binary again, running one ignored test in `folder`; under a limit on the size of files where one is given (KiB).
fn child(test: &str, folder: &Path, limit: Option<u32>) -> Child {
    let limit = limit.map_or(String::new(), |kibibytes| {
        format!("trap '' XFSZ; ulimit -S -f {};", 2 * kibibytes)
    });
    let script = format!("{limit} exec \"$0\" --exact {test} --ignored --nocapture");
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(script)
        .arg(std::env::current_exe().unwrap())
        .current_dir(folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What follows `word` in a child's lines; the test harness writes before it on the first.
fn lines<'a>(child: &'a mut Child, word: &'a str) -> impl Iterator<Item = String> + 'a {
    let output = BufReader::new(child.stdout.take().unwrap());
    output
        .lines()
        .map_while(Result::ok)
        .filter_map(move |line| Some(line.split_once(word)?.1.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as a child process of a_killed_process_loses_nothing_it_acknowledged"]
async fn appends_until_killed() {
    let store = Arc::new(SqliteStore::open(Path::new(FILE), &SqliteOptions::default()).unwrap());
    let mut writers = JoinSet::new();
    for writer in 0..50 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let receiver = format!("r{}", writer % 5);
            for turn in 0.. {
                let new = resendable("s", &receiver, &format!("{writer}-{turn}"), 0);
                let stored = store.append_message(new).await.unwrap().message;
                println!("acknowledged {receiver} {} {}", stored.seq, stored.id);
            }
        });
    }
    writers.join_all().await;
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: HashMap<String, Vec<(u64, ObjectId)>> = HashMap::new();
    for lives in 1..=3 {
        let mut writer = child("appends_until_killed", folder.path(), None);
        // Each life begins with resends of what the one before has sent.
        for line in lines(&mut writer, "acknowledged ").take(lives * 1000) {
            let mut words = line.split(' ');
            let receiver = words.next().unwrap().to_owned();
            let seq = words.next().unwrap().parse().unwrap();
            let id = ObjectId::parse(words.next().unwrap()).unwrap();
            acknowledged.entry(receiver).or_default().push((seq, id));
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
    }

    let store = open(folder.path()).unwrap();
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    let integrity: String = file
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(integrity, "ok");
    assert_eq!(acknowledged.len(), 5);
    for (receiver, messages) in acknowledged {
        let history = store
            .history_after(&pair("s", &receiver), 0, u32::MAX)
            .await
            .unwrap();
        assert!(
            history
                .iter()
                .map(|message| message.seq)
                .eq(1..=history.len() as u64)
        );
        let stored: HashMap<_, _> = history.iter().map(|message| (message.seq, message.id)).collect();
        assert!(messages.iter().all(|(seq, id)| stored.get(seq) == Some(id)));
        let client_ids: HashMap<_, _> = history
            .iter()
            .map(|one| (&one.client_message_id, one.seq))
            .collect();
        assert_eq!(client_ids.len(), history.len());
        assert_eq!(
            store.unread_count(&user(&receiver)).await.unwrap(),
            history.len() as u64
        );
        let stats = store.notification_stats(&user(&receiver)).await.unwrap();
        assert_eq!(
            (stats.total, stats.unread),
            (history.len() as u64, history.len() as u64)
        );
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "runs as a child process of a_full_disk_is_unavailable_until_there_is_room"]
async fn appends_until_full_and_again() {
    let store = SqliteStore::open(Path::new(FILE), &SqliteOptions::default()).unwrap();
    let text = "x".repeat(1000);
    let (mut stored, mut refusals) = (0, 0);
    // After a first refusal there may be room again, where the log could be moved into the database.
    while refusals < 3 {
        match store.append_message(message("a", "b", &text, 0)).await {
            Ok(appended) => (stored, refusals) = (appended.message.seq, 0),
            Err(StoreError::Unavailable { .. }) => refusals += 1,
            Err(corrupt) => panic!("{corrupt}"),
        }
    }
    assert_eq!(
        store.history_page(&pair("a", "b"), 1, 1).await.unwrap().total,
        stored
    );

    println!("full {stored}");
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();

    store.ping().await.unwrap();
    let next = store.append_message(message("a", "b", &text, 0)).await.unwrap();
    assert_eq!(next.message.seq, stored + 1);
    println!("full {}", next.message.seq);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_unavailable_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = child("appends_until_full_and_again", folder.path(), Some(2048));
    let (id, mut input) = (writer.id().to_string(), writer.stdin.take().unwrap());

    let mut reports = lines(&mut writer, "full ");
    let stored: u64 = reports.next().unwrap().parse().unwrap();
    let lifted = Command::new("prlimit")
        .args(["--pid", &id, "--fsize=unlimited"])
        .status()
        .unwrap();
    assert!(lifted.success());
    input.write_all(b"\n").unwrap();
    let next: u64 = reports.next().unwrap().parse().unwrap();
    reports.for_each(drop);

    assert!(writer.wait().unwrap().success());
    assert!(stored > 10);
    assert_eq!(next, stored + 1);
    let store = open(folder.path()).unwrap();
    let history = store.history_after(&pair("a", "b"), 0, u32::MAX).await.unwrap();
    assert!(history.iter().map(|message| message.seq).eq(1..=next));
}
