//! A JSON Web Key Set that changes while a node runs.
//!
//! [`JwksFile`] is what the settings have read, [`Jwks`] what the node verifies by: the set of the moment, which
//! verifying takes without a lock and a look at the source replaces. A source that fails or holds no key set
//! changes nothing.

mod key_set;

use std::{
    fs::File,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{self, Instant},
};

pub(super) use key_set::{KeySet, Named};

/// The longest time between two looks.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// The shortest time between two looks, however many unknown keys are named.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// How long after [`SHORTEST_INTERVAL`] an unknown key is waited for.
const PATIENCE: Duration = LONGEST_INTERVAL.saturating_sub(SHORTEST_INTERVAL);
/// Longest key set, in bytes.
const MAX_BYTES: u64 = 1_024 * 1_024;

/// A file with a key set, and the set that it held when it was opened.
#[derive(Debug, Clone)]
pub struct JwksFile {
    path: PathBuf,
    fingerprint: u64,
    set: Arc<KeySet>,
}

/// A key set that is kept fresh by [`Jwks::keep_fresh`].
#[derive(Debug)]
pub struct Jwks {
    path: PathBuf,
    set: ArcSwap<KeySet>,
    /// Of what the last look found.
    fingerprint: AtomicU64,
    unknown_kid: Notify,
    /// When a key set was read last.
    read_at: Mutex<Instant>,
    /// Looks that found a key set, and looks that did not.
    looks: [AtomicU64; 2],
}

impl JwksFile {
    /// Reads a key set. Keys that cannot be used are passed over.
    ///
    /// # Errors
    /// Why there is no key set in the file, in words for the operator.
    pub fn open(path: &Path) -> Result<Self, String> {
        let text = read(path);
        let fingerprint = fingerprint(&text);
        let set = Arc::new(KeySet::parse(&text?)?);
        Ok(Self {
            path: path.to_path_buf(),
            fingerprint,
            set,
        })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Jwks {
    /// The key set of a file, as the file was when it was opened.
    pub(super) fn new(file: JwksFile) -> Self {
        Self {
            path: file.path,
            set: ArcSwap::new(file.set),
            fingerprint: AtomicU64::new(file.fingerprint),
            unknown_kid: Notify::new(),
            read_at: Mutex::new(Instant::now()),
            looks: Default::default(),
        }
    }

    /// The set of the moment.
    pub(super) fn current(&self) -> Guard<Arc<KeySet>> {
        self.set.load()
    }

    /// How long ago a key set was read, and how many looks found one and did not.
    #[must_use]
    pub fn freshness(&self) -> (Duration, [u64; 2]) {
        let looks = self.looks.each_ref().map(|count| count.load(Ordering::Relaxed));
        (self.read_at.lock().elapsed(), looks)
    }

    fn looked(&self, is_good: bool) {
        let [good, bad] = &self.looks;
        if is_good {
            *self.read_at.lock() = Instant::now();
        }
        (if is_good { good } else { bad }).fetch_add(1, Ordering::Relaxed);
    }

    /// Has the file looked at soon, as a token named a key that the set lacks.
    pub(super) fn miss(&self) {
        self.unknown_kid.notify_one();
    }

    /// Looks at the file every minute, and sooner where tokens name unknown keys, at most once a second. Never ends;
    /// the node runs it until it stops.
    pub async fn keep_fresh(self: Arc<Self>) {
        self.current().report(&self.path);
        loop {
            time::sleep(SHORTEST_INTERVAL).await;
            // It is time to look whether a key was missed or patience ended.
            let _ = time::timeout(PATIENCE, self.unknown_kid.notified()).await;
            let jwks = Arc::clone(&self);
            if let Err(problem) = tokio::task::spawn_blocking(move || jwks.take(read(&jwks.path))).await {
                tracing::warn!(%problem, "the key set was not looked at");
            }
        }
    }

    /// Takes the keys of what a look found, unless the last look found the same. The last good keys stay where there
    /// is no key set in it.
    fn take(&self, found: Result<Vec<u8>, String>) {
        let fingerprint = fingerprint(&found);
        let is_known = self.fingerprint.swap(fingerprint, Ordering::Relaxed) == fingerprint;
        let parsed = found.and_then(|text| KeySet::parse(&text));
        self.looked(parsed.is_ok());
        if is_known {
            return;
        }
        match parsed {
            Ok(set) => {
                set.report(&self.path);
                self.set.store(Arc::new(set));
            }
            Err(reason) => {
                let path = self.path.display();
                tracing::warn!(%path, reason, "no key set to be read, the last good keys stay");
            }
        }
    }
}

/// The text of the file, or why there is none.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error| format!("it cannot be read: {error}"))?;
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes <= MAX_BYTES) {
        Ok(text)
    } else {
        Err(format!("it has more than {MAX_BYTES} bytes"))
    }
}

/// Tells one finding from another without keeping the text, in which there may be secrets.
fn fingerprint(found: &Result<Vec<u8>, String>) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(found)
}

#[cfg(test)]
mod tests;
