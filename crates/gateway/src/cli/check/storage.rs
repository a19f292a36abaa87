//! The data folder and the database in it.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
};

use carillon_store::sqlite;

use super::finding::Finding;
use crate::{node::database_path, settings::Settings};

/// Whether the folder can be written, or made.
pub(super) fn look_at_folder(settings: &Settings) -> Option<Finding> {
    const WHAT: &str = "data folder";
    let folder = &settings.data_dir;
    // The one that is there already.
    let existing = folder
        .ancestors()
        .map(|path| {
            if path.as_os_str().is_empty() {
                Path::new(".")
            } else {
                path
            }
        })
        .find(|path| path.exists())?;
    let shown = folder.display();
    Some(match write_to(existing) {
        Ok(()) if existing == folder => Finding::ok(WHAT, format!("{shown} can be written")),
        Ok(()) => Finding::ok(
            WHAT,
            format!("{shown} is not there, and is made by the first start"),
        ),
        Err(error) => Finding::failed(
            WHAT,
            format!("{} cannot be written: {error}", existing.display()),
            "give it to the user that the node runs as, or set CARILLON_DATA_DIR to a folder of its own",
        ),
    })
}

fn write_to(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".carillon-check-{:016x}", rand::random::<u64>()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(path)
}

/// Whether the database file is one, and whole.
pub(super) fn look_at_file(settings: &Settings) -> Finding {
    const WHAT: &str = "database";
    let path = database_path(settings);
    let shown = path.display();
    let found = match sqlite::inspect(&path) {
        Ok(Some(found)) => found,
        Ok(None) => {
            return Finding::ok(
                WHAT,
                format!("{shown} is not there, and is made by the first start"),
            );
        }
        Err(error) => {
            let advice = "give the node its own folder and file, or bring back a copy of the file";
            return Finding::failed(WHAT, format!("{:#}", anyhow::Error::from(error)), advice);
        }
    };
    if let [first, ..] = &*found.damages {
        let advice = "stop the node, keep a copy of the folder, and bring back a backup or what `sqlite3 … .recover` saves";
        return Finding::failed(WHAT, format!("{shown} is damaged: {first}"), advice);
    }
    let user = if found.is_in_use {
        "in use by a node"
    } else {
        "in use by nobody"
    };
    let age = if found.version < found.newest_version {
        ", brought up to date by the next start"
    } else {
        ""
    };
    Finding::ok(
        WHAT,
        format!("{shown} is whole, {user}, schema version {}{age}", found.version),
    )
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

    use super::{super::finding::Outcome, *};
    use carillon_store::sqlite::{SqliteOptions, SqliteStore};

    fn at(data_dir: PathBuf) -> Settings {
        Settings {
            data_dir,
            ..Settings::default()
        }
    }

    #[test]
    fn a_folder_is_tried_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let settings = at(folder.path().to_owned());
        assert!(
            look_at_folder(&settings)
                .unwrap()
                .found
                .ends_with("can be written")
        );
        let missing = look_at_folder(&at(folder.path().join("a/b"))).unwrap();
        assert!(
            missing.outcome == Outcome::Ok && missing.found.contains("a/b is not there"),
            "{missing:?}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(look_at_folder(&at(file.join("data"))).unwrap().is_failed());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
        // Who may do everything may do this, too.
        let may_anyway = fs::write(folder.path().join("x"), "").is_ok();
        assert_eq!(look_at_folder(&settings).unwrap().is_failed(), !may_anyway);
    }

    #[test]
    fn a_database_is_none_whole_or_no_database() {
        let folder = tempfile::tempdir().unwrap();
        let settings = at(folder.path().to_owned());
        assert!(look_at_file(&settings).found.contains("is not there"));

        let path = database_path(&settings);
        let store = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
        let found = look_at_file(&settings);
        assert!(
            found.outcome == Outcome::Ok && found.found.contains("is whole, in use by a node"),
            "{found:?}"
        );
        drop(store);
        assert!(look_at_file(&settings).found.contains("in use by nobody"));

        fs::write(&path, [b'x'; 8_192]).unwrap();
        let found = look_at_file(&settings);
        assert!(found.is_failed() && found.advice.is_some(), "{found:?}");
    }
}
