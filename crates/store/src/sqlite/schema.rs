//! The tables and how a file of an older version comes to them.

use rusqlite::Connection;
use rusqlite_migration::{Error, M, MigrationDefinitionError, Migrations, SchemaVersion};

use super::OpenError;

/// Every version of the schema, in order; `user_version` of a file says how many it has. Never change one that was released.
const VERSIONS: &[M<'static>] = &[M::up(include_str!("schema/0001.sql"))];

/// The version that this release writes.
pub(super) const NEWEST: usize = VERSIONS.len();

/// The version of a file; 0 of an empty one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version = connection.query_row("SELECT user_version FROM pragma_user_version", [], |row| {
        row.get::<_, u32>(0)
    })?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Brings a file to the newest version, in one transaction per version.
///
/// # Errors
/// [`OpenError::Newer`] for a file of a later version; such a file stays as it is.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let migrations = Migrations::from_slice(VERSIONS);
    let before = migrations.current_version(connection)?;
    match migrations.to_latest(connection) {
        Ok(()) => {}
        Err(Error::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead)) => {
            return Err(OpenError::Newer {
                found: version(connection)?,
                known: NEWEST,
            });
        }
        Err(error) => return Err(error.into()),
    }
    if !matches!(before, SchemaVersion::Inside(version) if version.get() == NEWEST) {
        tracing::info!(version = NEWEST, "store schema brought up to date");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_applies_to_an_empty_file() {
        Migrations::from_slice(VERSIONS).validate().unwrap();
    }
}
