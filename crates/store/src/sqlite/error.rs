//! What SQLite says, in the words of the store.

use std::{error::Error, path::PathBuf};

use rusqlite::ErrorCode;

use crate::StoreError;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this one, has it open.
    #[error("{} is already in use by another node", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// It was written by a later release. It was not touched.
    #[error(
        "the database has schema version {found}, this release knows versions up to {known}: use a later release"
    )]
    Newer {
        /// The file's version.
        found: usize,
        /// The newest version known here.
        known: usize,
    },
    /// The folder, the file or the lock beside it cannot be made or opened.
    #[error("{} cannot be opened", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The writer's thread could not be started.
    #[error("the writer could not be started")]
    Thread(#[source] std::io::Error),
    /// SQLite cannot use the file: it is no database, read-only, locked or damaged.
    #[error("the database cannot be used")]
    Database(#[from] rusqlite::Error),
    /// The schema could not be brought up to date.
    #[error("the database schema could not be brought up to date")]
    Migration(#[from] rusqlite_migration::Error),
    /// The pool of readers could not be made.
    #[error("the readers could not be made")]
    Readers(#[from] deadpool_sqlite::BuildError),
}

/// Faults of the machine or of other processes pass; everything else is a fault of the data or of this code.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let reason = error.to_string();
        let passes = matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::ReadOnly
                    | ErrorCode::CannotOpen
                    | ErrorCode::PermissionDenied
                    | ErrorCode::FileLockingProtocolFailed
                    | ErrorCode::OutOfMemory
                    | ErrorCode::OperationInterrupted
                    | ErrorCode::OperationAborted
                    | ErrorCode::SchemaChanged
            )
        );
        if passes {
            Self::Unavailable { reason }
        } else {
            Self::Corrupt { reason }
        }
    }
}

/// An [`StoreError::Unavailable`].
pub(super) fn unavailable(reason: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::Unavailable {
        reason: reason.into().to_string(),
    }
}

/// A [`StoreError::Corrupt`].
pub(super) fn corrupt(reason: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::Corrupt {
        reason: reason.into().to_string(),
    }
}
