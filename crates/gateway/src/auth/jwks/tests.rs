use std::fs;

use jsonwebtoken::Algorithm;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::*;
use crate::telemetry::capture::Lines;

const ED25519: &str = "FCWqmJHTwTXgZHyHdNriCjibVR_apIaT53fV6OIAJy0";

/// A folder with a file in which there is one key, called `kid`.
fn started(kid: &str) -> (TempDir, Arc<Jwks>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    fs::write(&path, set_of(kid)).unwrap();
    let jwks = Arc::new(Jwks::new(JwksSource::File(JwksFile::open(&path).unwrap())));
    (folder, jwks)
}

fn set_of(kid: &str) -> String {
    format!(r#"{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "x": "{ED25519}", "kid": "{kid}"}}]}}"#)
}

fn has(jwks: &Jwks, kid: &str) -> bool {
    jwks.current().named(kid, Algorithm::EdDSA) == Named::Key
}

fn path(jwks: &Jwks) -> &Path {
    match &jwks.place {
        Place::File(path) => path,
        Place::Url(_) => unreachable!("these are files"),
    }
}

fn write(jwks: &Jwks, text: &str) {
    fs::write(path(jwks), text).unwrap();
}

fn look(jwks: &Jwks) {
    jwks.take(read(path(jwks)));
}

/// The lines that the work writes to the log.
fn logged(work: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // Whether a line is wanted at all is asked of every subscriber that there is. Were there one alone, it would be asked of
    // whichever thread comes by the line first, and those of other tests have none.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    tracing::subscriber::with_default(subscriber, work);
    lines.text().lines().map(str::to_owned).collect()
}

#[test]
fn a_changed_file_gives_its_keys_and_takes_the_old_ones() {
    let (_folder, jwks) = started("old");
    write(&jwks, &set_of("new"));
    look(&jwks);
    assert!(has(&jwks, "new") && !has(&jwks, "old"));
}

#[test]
fn a_file_that_is_the_same_is_not_taken_again() {
    let (_folder, jwks) = started("old");
    let before = jwks.set.load_full();
    assert!(logged(|| look(&jwks)).is_empty());
    assert!(Arc::ptr_eq(&before, &jwks.set.load_full()));
}

#[test]
fn the_last_good_keys_stay_with_one_warning_for_each_broken_content() {
    let (_folder, jwks) = started("good");
    let looks = |text: &str| {
        write(&jwks, text);
        logged(|| {
            look(&jwks);
            look(&jwks);
        })
    };
    for broken in ["", "{\"keys\": [", "[]"] {
        let lines = looks(broken);
        assert!(lines.len() == 1 && lines[0].contains("WARN") && lines[0].contains("jwks.json"));
        assert!(has(&jwks, "good"));
    }
    fs::remove_file(path(&jwks)).unwrap();
    let lines = logged(|| {
        look(&jwks);
        look(&jwks);
    });
    assert!(lines.len() == 1 && lines[0].contains("WARN") && has(&jwks, "good"));

    write(&jwks, &set_of("new"));
    look(&jwks);
    assert!(has(&jwks, "new"));
}

#[test]
fn a_set_without_keys_is_taken_with_a_warning() {
    let (_folder, jwks) = started("old");
    write(&jwks, r#"{"keys": []}"#);
    let lines = logged(|| look(&jwks));
    assert!(lines.len() == 1 && lines[0].contains("WARN"));
    assert!(!has(&jwks, "old"));
}

#[test]
fn keys_that_are_passed_over_are_in_the_log_without_their_numbers() {
    let (_folder, jwks) = started("old");
    write(
        &jwks,
        r#"{"keys": [{"kty": "oct", "k": "aHVudGVyMg", "kid": "shared"}, {"kty": "RSA", "use": "enc"}]}"#,
    );
    let lines = logged(|| look(&jwks));
    assert!(lines[0].contains("DEBUG") && lines[0].contains("shared"));
    assert!(lines[1].contains("DEBUG") && lines[1].contains("keys[1]"));
    assert!(!lines.concat().contains("aHVudGVyMg"));
}

#[test]
fn a_file_over_1_mib_is_refused() {
    let (_folder, jwks) = started("good");
    let padded = |bytes: usize| {
        let set = set_of("new");
        let blanks = " ".repeat(bytes - set.len());
        set + &blanks
    };

    write(&jwks, &padded(1_024 * 1_024 + 1));
    assert!(JwksFile::open(path(&jwks)).unwrap_err().contains("1048576 bytes"));
    look(&jwks);
    assert!(has(&jwks, "good"));

    write(&jwks, &padded(1_024 * 1_024));
    look(&jwks);
    assert!(has(&jwks, "new"));
}

#[tokio::test(start_paused = true)]
async fn the_file_is_looked_at_every_minute() {
    let (_folder, jwks) = started("old");
    TaskTracker::new().spawn(Arc::clone(&jwks).keep_fresh());
    for (old, new) in [("old", "new"), ("new", "newest")] {
        write(&jwks, &set_of(new));
        time::sleep(LONGEST_INTERVAL - SHORTEST_INTERVAL).await;
        assert!(has(&jwks, old));
        time::sleep(SHORTEST_INTERVAL + Duration::from_millis(10)).await;
        assert!(has(&jwks, new));
    }
}

#[tokio::test(start_paused = true)]
async fn a_miss_has_the_file_looked_at_at_once_but_once_a_second_at_most() {
    let (_folder, jwks) = started("old");
    TaskTracker::new().spawn(Arc::clone(&jwks).keep_fresh());
    time::sleep(Duration::from_secs(2)).await;

    write(&jwks, &set_of("new"));
    jwks.miss();
    time::sleep(Duration::from_millis(10)).await;
    assert!(has(&jwks, "new"));

    write(&jwks, &set_of("newest"));
    for _ in 0..100 {
        jwks.miss();
    }
    time::sleep(Duration::from_millis(900)).await;
    assert!(has(&jwks, "new"));
    time::sleep(Duration::from_millis(200)).await;
    assert!(has(&jwks, "newest"));
}
