//! What MongoDB says, in the words of the store.

use std::error::Error;

use mongodb::error::{ErrorKind, WriteFailure};

use crate::StoreError;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is none of MongoDB's.
    #[error("the MongoDB address cannot be used")]
    Address(#[source] mongodb::error::Error),
    /// No server answers there, or it lets nobody in. Worth another attempt later.
    #[error("MongoDB does not answer: {reason}")]
    Unavailable {
        /// What was said last.
        reason: String,
    },
    /// The database was written by a later release. It was not touched.
    #[error(
        "the database has schema version {found}, this release knows versions up to {known}: use a later release"
    )]
    Newer {
        /// The database's version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// Collections or indexes could not be made.
    #[error("the database cannot be prepared: {reason}")]
    Schema {
        /// What the server said.
        reason: String,
    },
}

/// Why a command to the database did not succeed, by what may be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The server undid it because of another one; it may be repeated, whatever it is.
    RolledBack,
    /// It may have happened or not; it may be repeated where that changes nothing.
    Interrupted,
    /// There is no server, or it cannot do its work: waiting was in vain.
    Away,
    /// A unique key is taken.
    Taken,
    /// A fault of the data or of this code.
    Invalid,
}

/// A command that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// For the log; never for clients.
    pub(super) reason: String,
}

impl Failure {
    /// A failure for which the server gave a code.
    pub(super) fn of_code(code: i32, reason: String) -> Self {
        let cause = match code {
            // WriteConflict, LockTimeout, and FerretDB's deadlock, which it does not label as retryable.
            112 | 24 | 16_908_292 => Cause::RolledBack,
            // DuplicateKey.
            11_000 | 11_001 | 12_582 => Cause::Taken,
            // HostUnreachable, HostNotFound, NetworkTimeout, SocketException, the states of a primary that changes or
            // ends, WriteConcernFailed and -Timeout, ExceededTimeLimit.
            6 | 7 | 89 | 9001 | 91 | 189 | 10_058 | 10_107 | 11_600 | 11_602 | 13_435 | 13_436 | 64 | 134
            | 262 => Cause::Interrupted,
            // BadValue, FailedToParse, TypeMismatch, CommandNotFound, DocumentValidationFailure, BSONObjectTooLarge.
            2 | 9 | 14 | 59 | 121 | 10_334 => Cause::Invalid,
            // Everything else is a trouble of the server: its disk, its rights, its own database.
            _ => Cause::Away,
        };
        Self { cause, reason }
    }

    /// What the database holds or answered makes no sense.
    pub(super) fn invalid(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            cause: Cause::Invalid,
            reason: reason.into().to_string(),
        }
    }

    /// The database took too long.
    pub(super) fn late() -> Self {
        Self {
            cause: Cause::Away,
            reason: "the database does not answer in time".to_owned(),
        }
    }

    /// Whether a write that changes nothing when repeated is worth an immediate repetition.
    pub(super) const fn passes(&self) -> bool {
        matches!(self.cause, Cause::RolledBack | Cause::Interrupted)
    }

    /// Whether any write is worth an immediate repetition: it surely did not happen.
    pub(super) const fn was_rolled_back(&self) -> bool {
        matches!(self.cause, Cause::RolledBack)
    }
}

impl From<mongodb::error::Error> for Failure {
    fn from(error: mongodb::error::Error) -> Self {
        let reason = error.kind.to_string();
        let cause = match *error.kind {
            ErrorKind::Command(command) => return Self::of_code(command.code, reason),
            ErrorKind::Write(WriteFailure::WriteError(write)) => return Self::of_code(write.code, reason),
            ErrorKind::Write(WriteFailure::WriteConcernError(_))
            | ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. } => Cause::Interrupted,
            ErrorKind::ServerSelection { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::Authentication { .. }
            | ErrorKind::Shutdown => Cause::Away,
            _ => Cause::Invalid,
        };
        Self { cause, reason }
    }
}

impl From<mongodb::bson::error::Error> for Failure {
    fn from(error: mongodb::bson::error::Error) -> Self {
        Self::invalid(error)
    }
}

/// Faults of the server and of the way to it pass; everything else is a fault of the data or of this code.
impl From<Failure> for StoreError {
    fn from(Failure { cause, reason }: Failure) -> Self {
        match cause {
            Cause::RolledBack | Cause::Interrupted | Cause::Away => Self::Unavailable { reason },
            Cause::Taken | Cause::Invalid => Self::Corrupt { reason },
        }
    }
}

/// A [`StoreError::Unavailable`].
pub(super) fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadlock_is_repeated_though_the_server_does_not_say_so() {
        let deadlock = Failure::of_code(16_908_292, "deadlock detected".to_owned());
        assert!(deadlock.was_rolled_back() && deadlock.passes());
        assert!(matches!(
            StoreError::from(deadlock),
            StoreError::Unavailable { .. }
        ));
    }

    #[test]
    fn what_may_have_happened_is_repeated_only_where_that_changes_nothing() {
        let lost = Failure::of_code(91, "shutdown in progress".to_owned());
        assert!(lost.passes() && !lost.was_rolled_back());
    }

    #[test]
    fn an_unknown_trouble_of_the_server_is_no_fault_of_the_data() {
        let unknown = StoreError::from(Failure::of_code(
            1,
            "no connection to its own database".to_owned(),
        ));
        let broken = StoreError::from(Failure::of_code(9, "failed to parse".to_owned()));
        assert!(matches!(unknown, StoreError::Unavailable { .. }));
        assert!(matches!(broken, StoreError::Corrupt { .. }));
    }
}
