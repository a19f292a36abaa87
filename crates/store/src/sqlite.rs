//! The embedded backend: one SQLite file, WAL, one writer thread that groups commits, a pool of readers.
//!
//! The file belongs to one node: a lock file beside it keeps a second one out. Administrators may read it meanwhile.

mod chats;
mod error;
mod inspection;
mod messages;
mod notifications;
mod readers;
mod rows;
mod schema;
mod writer;

use std::{
    ffi::OsString,
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::Connection;

pub use self::{
    error::OpenError,
    inspection::{Inspection, inspect},
};
use self::{readers::Readers, writer::Writer};

/// More than there are statements, so that each is prepared once per connection.
const CACHED_STATEMENTS: usize = 64;

/// What can be set.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// What a commit survives.
    pub durability: Durability,
    /// How many connections read at a time; at least 1.
    pub readers: usize,
    /// How many operations may wait for the writer; more are refused as unavailable.
    pub queue: usize,
    /// How long an operation waits for a lock that another process holds.
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            readers: 4,
            queue: 4096,
            busy_timeout: Duration::from_secs(2),
        }
    }
}

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, of the system and of its power: every commit is synced.
    Full,
    /// The end of the process only; a power failure may take the latest commits.
    Process,
}

/// The store.
#[derive(Debug)]
pub struct SqliteStore {
    durability: Durability,
    readers: Readers,
    // Ends before the lock is given back.
    writer: Writer,
    /// Never used, and the last to go. Without it the writer, which opens its connection anew after a failure, could be the only
    /// one: SQLite would then make the files beside the database anew as well, and one made while the database was read-only
    /// stays read-only when that has passed.
    _anchor: Mutex<Connection>,
    _lock: File,
}

impl SqliteStore {
    /// Opens the database file at `path` for this process alone; makes it and its folder (for their owner only) where
    /// they are not there, and brings an older schema up to date. Blocks while it does.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        if let Some(folder) = path.parent() {
            make_folder(folder).map_err(|source| OpenError::File {
                path: folder.to_owned(),
                source,
            })?;
        }
        let lock = lock(path)?;
        open_private(path).map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        })?;

        let (durability, busy_timeout) = (options.durability, options.busy_timeout);
        let mut connection = connect(path, durability, busy_timeout)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        schema::migrate(&mut connection)?;

        let readers = Readers::new(path, options.readers.max(1), busy_timeout)?;
        let writer_path = path.to_owned();
        let connect = move || connect(&writer_path, durability, busy_timeout);
        let writer = Writer::start(connect, options.queue).map_err(OpenError::Thread)?;
        Ok(Self {
            durability,
            readers,
            writer,
            _anchor: Mutex::new(connection),
            _lock: lock,
        })
    }
}

/// A connection that writes.
///
/// The log is moved into the database every 8000 pages (32 MiB): many appends touch the same pages, which are then
/// written once. With SQLite's 1000 pages appends were measured a third slower.
fn connect(path: &Path, durability: Durability, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Process => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch(
        "PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -65536;
         PRAGMA wal_autocheckpoint = 8000;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    Ok(connection)
}

/// Takes the lock file beside the database. The system gives it back when the process ends, however it ends.
fn lock(path: &Path) -> Result<File, OpenError> {
    let lock_path = lock_path(path);
    let file_error = |source| OpenError::File {
        path: lock_path.clone(),
        source,
    };
    let file = open_private(&lock_path).map_err(file_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(file_error(source)),
    }
}

/// The lock file beside the database at `path`.
fn lock_path(path: &Path) -> PathBuf {
    let mut lock_path = OsString::from(path);
    lock_path.push(".lock");
    PathBuf::from(lock_path)
}

/// Makes a folder and those above it, for their owner only where the system has such a thing.
fn make_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    if path.as_os_str().is_empty() {
        Ok(())
    } else {
        builder.create(path)
    }
}

/// Opens a file for writing, made for its owner only where it is not there. SQLite gives its other files the same mode.
fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every statement that looks rows up, so all but plain inserts by key.
    const STATEMENTS: [&str; 20] = [
        messages::BY_CLIENT_ID,
        messages::ANNOUNCED,
        messages::PAGE,
        messages::AFTER,
        messages::BY_ID,
        messages::MARK_ONE,
        messages::MARK_ALL,
        notifications::INBOX,
        notifications::BY_ID,
        notifications::STATS,
        notifications::OWN,
        notifications::MARK_ONE,
        notifications::MARK_ALL,
        notifications::DELETE_ONE,
        notifications::DELETE_OLD,
        chats::LIST,
        chats::UNREAD,
        chats::ARE_CONTACTS,
        chats::CONTACTS,
        chats::LAST_SEQ,
    ];

    #[test]
    fn no_statement_scans_or_sorts() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();

        for sql in STATEMENTS {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next().unwrap() {
                let step: String = row.get("detail").unwrap();
                let scans = step.contains("SCAN") && step != "SCAN CONSTANT ROW";
                assert!(!scans && !step.contains("TEMP B-TREE"), "{step} in{sql}");
            }
        }
    }
}
