//! The one thread that writes. It takes all jobs that wait into one transaction, commits once and then answers all.
//!
//! A job is work on the open transaction and the answer to its caller. Nothing is answered before the commit, so an
//! answer means durable. A job that fails by itself is undone alone: the group is undone and done again, each job by itself,
//! which is rare, and cheaper than to be ready for it each time. Where the transaction fails, nothing of it is kept
//! and every job in it answers `Unavailable`. The connection is then closed and opened again for the next group, so the
//! writer is well again as soon as the disk is.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::error::unavailable;
use crate::{Result, StoreError};

/// How many jobs share a commit at most; bounds what each waits for the others.
const MAX_GROUP: usize = 512;

/// The handle on the thread. Dropping it finishes what was accepted and waits for that.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` only while being dropped.
    jobs: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. `open` makes its connection, at first and after each failure; at most `queue` jobs wait.
    pub(super) fn start<Open>(open: Open, queue: usize) -> io::Result<Self>
    where
        Open: FnMut() -> rusqlite::Result<Connection> + Send + 'static,
    {
        let (jobs, waiting) = sync_channel(queue);
        let mut thread = Thread {
            open,
            connection: None,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.serve(&waiting))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Runs `work` in a transaction and waits until it is durable. What it did may be undone, and it is run again then.
    pub(super) async fn run<Value, Work>(&self, work: Work) -> Result<Value>
    where
        Value: Send + 'static,
        Work: FnMut(&Connection) -> Result<Value> + Send + 'static,
    {
        self.submit(work)?
            .await
            .unwrap_or_else(|_| Err(unavailable("the writer ended")))
    }

    /// Puts `work` into the queue; what comes back tells when it is durable, and may be dropped.
    pub(super) fn submit<Value, Work>(&self, work: Work) -> Result<oneshot::Receiver<Result<Value>>>
    where
        Value: Send + 'static,
        Work: FnMut(&Connection) -> Result<Value> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Task {
            work,
            outcome: None,
            reply,
        };
        let jobs = self
            .jobs
            .as_ref()
            .ok_or_else(|| unavailable("the writer ended"))?;
        match jobs.try_send(Box::new(job)) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(unavailable("too many operations wait")),
            Err(TrySendError::Disconnected(_)) => Err(unavailable("the writer ended")),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer had panicked");
        }
    }
}

/// What the thread sees of a [`Task`], whatever it answers with.
trait Job: Send {
    /// Does the work on the open transaction and keeps its outcome; says what went wrong.
    fn run(&mut self, connection: &Connection) -> std::result::Result<(), &StoreError>;

    /// Tells the caller: the outcome, or why its transaction failed.
    fn answer(self: Box<Self>, failure: Option<&str>);
}

struct Task<Value, Work> {
    work: Work,
    /// `None` before it ran.
    outcome: Option<Result<Value>>,
    reply: oneshot::Sender<Result<Value>>,
}

impl<Value, Work> Job for Task<Value, Work>
where
    Value: Send,
    Work: FnMut(&Connection) -> Result<Value> + Send,
{
    fn run(&mut self, connection: &Connection) -> std::result::Result<(), &StoreError> {
        match self.outcome.insert((self.work)(connection)) {
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn answer(self: Box<Self>, failure: Option<&str>) {
        let outcome = match (failure, self.outcome) {
            (None, Some(outcome)) => outcome,
            (Some(reason), _) => Err(unavailable(reason)),
            (None, None) => Err(unavailable("the operation was not reached")),
        };
        // A caller that no longer waits has no use for the answer.
        let _ = self.reply.send(outcome);
    }
}

/// What the thread owns.
struct Thread<Open> {
    open: Open,
    /// `None` at first and after a failure.
    connection: Option<Connection>,
}

impl<Open: FnMut() -> rusqlite::Result<Connection>> Thread<Open> {
    /// Serves until every handle is gone and the queue is empty.
    fn serve(&mut self, waiting: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = waiting.recv() {
            let mut group = vec![first];
            group.extend(waiting.try_iter().take(MAX_GROUP - 1));
            let Err(error) = self.commit(&mut group) else {
                group.into_iter().for_each(|job| job.answer(None));
                continue;
            };
            let (StoreError::Unavailable { reason } | StoreError::Corrupt { reason }) = error;
            tracing::warn!(reason, operations = group.len(), "store commit failed");
            self.connection = None;
            // Those that came meanwhile would run into the same, each group after another wait for a lock.
            group.extend(waiting.try_iter());
            group.into_iter().for_each(|job| job.answer(Some(&reason)));
        }
    }

    /// Runs a group in one transaction. On an error nothing of it is stored.
    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> Result<()> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => (self.open)()?,
        };
        let connection = self.connection.insert(connection);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if run_together(&transaction, group)? {
            return Ok(transaction.commit()?);
        }
        // Undone by SQLite already where it gave up the whole transaction.
        transaction.finish()?;
        let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for job in group {
            run_isolated(&mut transaction, job.as_mut())?;
        }
        Ok(transaction.commit()?)
    }
}

/// Runs jobs one after the other. Answers whether all did what they should; where one did not, the rest are not run. An error is the
/// transaction's failure.
fn run_together(transaction: &Transaction<'_>, group: &mut [Box<dyn Job>]) -> Result<bool> {
    for job in group {
        match job.run(transaction) {
            Ok(()) => {}
            Err(StoreError::Corrupt { .. }) => return Ok(false),
            Err(StoreError::Unavailable { reason }) => return Err(unavailable(reason.as_str())),
        }
    }
    Ok(true)
}

/// Runs one job so that its failure undoes it alone. An error is the transaction's failure.
fn run_isolated(transaction: &mut Transaction<'_>, job: &mut dyn Job) -> Result<()> {
    let savepoint = transaction.savepoint()?;
    match job.run(&savepoint) {
        Ok(()) => savepoint.commit()?,
        Err(StoreError::Corrupt { reason }) => {
            tracing::error!(reason, "store operation failed");
            // SQLite may have given up the whole transaction; then there is no savepoint to go back to.
            savepoint.finish()?;
        }
        Err(StoreError::Unavailable { reason }) => return Err(unavailable(reason.as_str())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        path::{Path, PathBuf},
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
            mpsc,
        },
    };

    use super::*;

    /// A file with rows that may point to each other, checked at commit.
    fn file(folder: &Path) -> PathBuf {
        let path = folder.join("store.db");
        let schema = "
            CREATE TABLE rows (number INTEGER PRIMARY KEY,
                before INTEGER REFERENCES rows DEFERRABLE INITIALLY DEFERRED)";
        Connection::open(&path).unwrap().execute_batch(schema).unwrap();
        path
    }

    fn open(path: &Path) -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(connection)
    }

    fn writer(path: PathBuf, queue: usize) -> Writer {
        Writer::start(move || open(&path), queue).unwrap()
    }

    fn insert(connection: &Connection, number: i64, before: Option<i64>) -> Result<()> {
        connection.execute("INSERT INTO rows VALUES (?1, ?2)", (number, before))?;
        Ok(())
    }

    fn numbers(path: &Path) -> Vec<i64> {
        let connection = Connection::open(path).unwrap();
        let mut statement = connection
            .prepare("SELECT number FROM rows ORDER BY number")
            .unwrap();
        statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(rusqlite::Result::unwrap)
            .collect()
    }

    /// Keeps the thread busy until the sender is dropped, so that what is submitted meanwhile is one group.
    fn hold(writer: &Writer) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel();
        let (running, runs) = mpsc::channel();
        let held = writer.submit(move |_| {
            running.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        });
        drop(held.unwrap());
        runs.recv().unwrap();
        release
    }

    #[tokio::test]
    async fn a_failing_job_is_undone_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let writer = writer(path.clone(), 16);

        let held = hold(&writer);
        let first = writer.submit(|connection| insert(connection, 1, None)).unwrap();
        let failing = writer.submit(|connection| {
            insert(connection, 2, None)?;
            insert(connection, 1, None)
        });
        let last = writer.submit(|connection| insert(connection, 3, None)).unwrap();
        drop(held);

        assert!(first.await.unwrap().is_ok());
        assert!(matches!(
            failing.unwrap().await.unwrap(),
            Err(StoreError::Corrupt { .. })
        ));
        assert!(last.await.unwrap().is_ok());
        assert_eq!(numbers(&path), [1, 3]);
    }

    #[tokio::test]
    async fn a_failing_commit_fails_the_group_and_nothing_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let writer = writer(path.clone(), 16);

        let held = hold(&writer);
        let good = writer.submit(|connection| insert(connection, 1, None)).unwrap();
        let dangling = writer
            .submit(|connection| insert(connection, 2, Some(77)))
            .unwrap();
        drop(held);

        assert!(matches!(good.await.unwrap(), Err(StoreError::Unavailable { .. })));
        assert!(matches!(
            dangling.await.unwrap(),
            Err(StoreError::Unavailable { .. })
        ));
        assert!(numbers(&path).is_empty());
        writer
            .run(|connection| insert(connection, 3, None))
            .await
            .unwrap();
        assert_eq!(numbers(&path), [3]);
    }

    #[tokio::test]
    async fn a_read_only_file_is_unavailable_until_it_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let read_only = Arc::new(AtomicBool::new(true));
        let opening = (path.clone(), Arc::clone(&read_only));
        let connect = move || {
            let connection = open(&opening.0)?;
            connection.pragma_update(None, "query_only", opening.1.load(Ordering::SeqCst))?;
            Ok(connection)
        };
        let writer = Writer::start(connect, 16).unwrap();

        let refused = writer.run(|connection| insert(connection, 1, None)).await;
        read_only.store(false, Ordering::SeqCst);
        let stored = writer.run(|connection| insert(connection, 2, None)).await;

        assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
        assert!(stored.is_ok());
        assert_eq!(numbers(&path), [2]);
    }

    #[tokio::test]
    async fn a_full_queue_is_unavailable() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(file(folder.path()), 1);

        let held = hold(&writer);
        let waiting = writer.submit(|connection| insert(connection, 1, None)).unwrap();
        let refused = writer.run(|connection| insert(connection, 2, None)).await;
        drop(held);

        assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn dropping_the_writer_finishes_what_it_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let writer = writer(path.clone(), 1000);

        for number in 0..1000 {
            drop(
                writer
                    .submit(move |connection| insert(connection, number, None))
                    .unwrap(),
            );
        }
        drop(writer);

        assert_eq!(numbers(&path).len(), 1000);
    }
}
