//! The secret of a development node: made on its first start, kept beside its data so that tokens outlive restarts.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;

use super::SettingsError;

/// The file's name in the data folder.
pub const DEV_SECRET_FILE: &str = "dev-secret";
/// 32 random bytes in base64.
const SECRET_CHARACTERS: usize = 43;
/// Its owner reads and writes it, nobody else does.
const OWNER_ONLY: u32 = 0o600;

/// The data folder's secret; where there is none, a new one.
pub(super) fn load_or_create(data_dir: &Path) -> Result<SecretString, SettingsError> {
    let path = data_dir.join(DEV_SECRET_FILE);
    let secret = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(data_dir, &path),
        read => read.and_then(|text| check(&path, &text)),
    };
    secret.map_err(|source| SettingsError::DevSecret { path, source })
}

fn check(path: &Path, text: &str) -> io::Result<SecretString> {
    let secret = text.trim();
    if secret.len() < SECRET_CHARACTERS {
        return Err(io::Error::other(
            "it is too short; delete the file and a new one is made",
        ));
    }
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?;
    Ok(SecretString::from(secret))
}

/// Writes a new secret under a passing name and then links it, so that the file is whole from its first moment
/// and of two nodes that start at once one wins and both read the same.
fn create(data_dir: &Path, path: &Path) -> io::Result<SecretString> {
    fs::create_dir_all(data_dir)?;
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let passing = path.with_extension(rand::random::<u64>().to_string());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(OWNER_ONLY)
        .open(&passing)?;
    let linked = writeln!(file, "{secret}").and_then(|()| fs::hard_link(&passing, path));
    fs::remove_file(&passing)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check(path, &fs::read_to_string(path)?),
        linked => linked.map(|()| SecretString::from(secret)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_restart_keeps_the_secret_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("new");

        let first = load_or_create(&data_dir).unwrap();
        let second = load_or_create(&data_dir).unwrap();

        assert_eq!(first.expose_secret(), second.expose_secret());
        assert_eq!(first.expose_secret().len(), SECRET_CHARACTERS);
        let file = fs::metadata(data_dir.join(DEV_SECRET_FILE)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, OWNER_ONLY);
        assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1);
    }

    #[test]
    fn two_folders_have_two_secrets() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, second) = (
            load_or_create(one.path()).unwrap(),
            load_or_create(other.path()).unwrap(),
        );
        assert_ne!(first.expose_secret(), second.expose_secret());
    }

    #[test]
    fn two_starts_at_once_read_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let secrets: Vec<String> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| load_or_create(folder.path()).unwrap()))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap().expose_secret().to_owned())
                .collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[test]
    fn a_cut_off_file_is_refused_and_an_open_one_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DEV_SECRET_FILE);

        fs::write(&path, "short").unwrap();
        assert!(
            load_or_create(folder.path())
                .unwrap_err()
                .to_string()
                .contains("too short")
        );

        fs::write(&path, "x".repeat(64)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        load_or_create(folder.path()).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            OWNER_ONLY
        );
    }
}
