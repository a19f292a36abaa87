//! A look at a database file that changes nothing in it.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{OpenError, lock_path, schema};

/// How many damages are told; what is damaged is seldom damaged once.
const MOST_DAMAGES: usize = 5;

/// What was found in a database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Whether a node has it open.
    pub is_in_use: bool,
    /// The version of its schema; the release at hand brings an older one up to date when it opens it.
    pub version: usize,
    /// The version that the release at hand writes.
    pub newest_version: usize,
    /// What SQLite's integrity check finds, one sentence each; empty where nothing is wrong.
    pub damages: Vec<String>,
}

/// Looks at the database file at `path`, also while a node works on it; `None` where there is none. Reads the whole file, so
/// it takes its time with a large one. Blocks while it does.
///
/// # Errors
/// [`OpenError::File`] and [`OpenError::Database`] where it cannot be read, [`OpenError::Newer`] where it was written by a
/// later release.
pub fn inspect(path: &Path) -> Result<Option<Inspection>, OpenError> {
    let exists = path.try_exists().map_err(|source| OpenError::File {
        path: path.to_owned(),
        source,
    })?;
    if !exists {
        return Ok(None);
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let version = schema::version(&connection)?;
    if version > schema::NEWEST {
        return Err(OpenError::Newer {
            found: version,
            known: schema::NEWEST,
        });
    }
    Ok(Some(Inspection {
        is_in_use: is_locked(path)?,
        version,
        newest_version: schema::NEWEST,
        damages: damages(&connection)?,
    }))
}

fn damages(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let told = || {
        let mut statement = connection.prepare(&format!("PRAGMA integrity_check({MOST_DAMAGES})"))?;
        let told = statement.query_map([], |row| row.get::<_, String>(0))?;
        told.collect::<rusqlite::Result<Vec<_>>>()
    };
    match told() {
        Ok(told) => Ok(told.into_iter().filter(|line| line != "ok").collect()),
        // Too damaged to be checked to its end.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            Ok(vec![error.to_string()])
        }
        Err(error) => Err(error),
    }
}

/// Whether a process holds the lock file beside the database.
fn is_locked(path: &Path) -> Result<bool, OpenError> {
    let path = lock_path(path);
    let file = match std::fs::File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(|source| OpenError::File { path, source })?,
    };
    // Shared, so that a node that starts at this moment is the only one that could be in the way.
    Ok(file.try_lock_shared().is_err())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{File, OpenOptions},
        io::{Seek as _, SeekFrom, Write as _},
    };

    use super::*;
    use crate::sqlite::{SqliteOptions, SqliteStore};

    #[test]
    fn a_file_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(inspect(&folder.path().join("carillon.db")).unwrap(), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_whole_file_is_told_from_one_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("carillon.db");
        let whole = |is_in_use| {
            Some(Inspection {
                is_in_use,
                version: schema::NEWEST,
                newest_version: schema::NEWEST,
                damages: Vec::new(),
            })
        };

        let store = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
        assert_eq!(inspect(&path).unwrap(), whole(true));
        drop(store);
        assert_eq!(inspect(&path).unwrap(), whole(false));
        // And it hinders nobody.
        drop(SqliteStore::open(&path, &SqliteOptions::default()).unwrap());
    }

    #[test]
    fn what_is_damaged_or_foreign_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("carillon.db");
        drop(SqliteStore::open(&path, &SqliteOptions::default()).unwrap());

        let connection = Connection::open(&path).unwrap();
        let page = connection.query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'messages'",
            [],
            |row| row.get::<_, u32>(0),
        );
        drop(connection);
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(u64::from(page.unwrap() - 1) * 4096))
            .unwrap();
        file.write_all(&[0xff; 4096]).unwrap();
        drop(file);
        assert!(!inspect(&path).unwrap().unwrap().damages.is_empty());

        let foreign = folder.path().join("foreign.db");
        File::create(&foreign).unwrap().write_all(&[b'x'; 8192]).unwrap();
        assert!(matches!(inspect(&foreign), Err(OpenError::Database(_))));
    }

    #[test]
    fn a_file_of_a_later_release_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("carillon.db");
        drop(SqliteStore::open(&path, &SqliteOptions::default()).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);

        assert!(matches!(inspect(&path), Err(OpenError::Newer { found: 99, .. })));
    }
}
