//! A JSON Web Key Set that changes while a node runs.
//!
//! [`JwksSource`] is what the settings say, [`Jwks`] what the node verifies by: the set of the moment, which
//! verifying takes without a lock and a look at the source replaces. A source that fails or holds no key set
//! changes nothing. It is the operator's alone: a token that names a key has the source looked at, and no other.

mod key_set;
mod remote;

use std::{
    fmt,
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
pub use remote::JwksUrl;

/// The longest time between two looks at a file.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// The shortest time between two looks at a file, however many unknown keys are named.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// How long after [`SHORTEST_INTERVAL`] an unknown key is waited for.
const PATIENCE: Duration = LONGEST_INTERVAL.saturating_sub(SHORTEST_INTERVAL);
/// Longest key set in a file, in bytes.
const MAX_BYTES: u64 = 1_024 * 1_024;

/// Where a key set comes from.
#[derive(Debug, Clone)]
pub enum JwksSource {
    /// A file, which has been read.
    File(JwksFile),
    /// An address that it is fetched from, which has not been asked.
    Url(JwksUrl),
}

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
    place: Place,
    set: ArcSwap<KeySet>,
    /// Of what the last look found.
    fingerprint: AtomicU64,
    unknown_kid: Notify,
    /// When a key set was read last.
    read_at: Mutex<Instant>,
    /// Looks that found a key set, and looks that did not.
    looks: [AtomicU64; 2],
}

/// Where is looked.
#[derive(Debug)]
enum Place {
    File(PathBuf),
    Url(remote::Remote),
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
}

impl JwksSource {
    /// Whether there are no keys before it was asked.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(self, Self::Url(_))
    }
}

impl fmt::Display for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(remote) => remote.url().fmt(f),
        }
    }
}

impl Jwks {
    /// The key set of a file, as the file was when it was opened; that of an address is empty before
    /// [`Jwks::first_look`].
    pub(super) fn new(source: JwksSource) -> Self {
        let (place, set, fingerprint) = match source {
            JwksSource::File(file) => (Place::File(file.path), file.set, file.fingerprint),
            JwksSource::Url(url) => (Place::Url(remote::Remote::new(url)), Arc::default(), 0),
        };
        Self {
            place,
            set: ArcSwap::new(set),
            fingerprint: AtomicU64::new(fingerprint),
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

    /// Has the source looked at soon, as a token named a key that the set lacks. That token is refused without waiting
    /// for it.
    pub(super) fn miss(&self) {
        self.unknown_kid.notify_one();
    }

    /// Fetches the keys, where they come from an address. Before this has worked there are none.
    ///
    /// # Errors
    /// Why it did not, in words for the operator.
    pub async fn first_look(&self) -> Result<(), String> {
        match &self.place {
            Place::File(_) => Ok(()),
            Place::Url(remote) => remote.first_look(self).await,
        }
    }

    /// Looks at a file every minute, and sooner where tokens name unknown keys, at most once a second; at an address
    /// as its answers ask for, and sooner where tokens name unknown keys, at most once a minute. Never ends; the node runs
    /// it until it stops.
    pub async fn keep_fresh(self: Arc<Self>) {
        match &self.place {
            Place::File(path) => self.follow_file(path).await,
            Place::Url(remote) => remote.follow(&self).await,
        }
    }

    async fn follow_file(self: &Arc<Self>, path: &Path) {
        self.current().report(&self.place);
        loop {
            time::sleep(SHORTEST_INTERVAL).await;
            // It is time to look whether a key was missed or patience ended.
            let _ = time::timeout(PATIENCE, self.unknown_kid.notified()).await;
            let (jwks, path) = (Arc::clone(self), path.to_path_buf());
            if let Err(problem) = tokio::task::spawn_blocking(move || jwks.take(read(&path))).await {
                tracing::warn!(%problem, "the key set was not looked at");
            }
        }
    }

    /// Takes the keys of what a look found, unless the last look found the same. The last good keys stay where there
    /// is no key set in it. Answers whether there is.
    fn take(&self, found: Result<Vec<u8>, String>) -> bool {
        let fingerprint = fingerprint(&found);
        let is_known = self.fingerprint.swap(fingerprint, Ordering::Relaxed) == fingerprint;
        let parsed = found.and_then(|text| KeySet::parse(&text));
        let is_good = parsed.is_ok();
        self.looked(is_good);
        if is_known {
            return is_good;
        }
        match parsed {
            Ok(set) => self.put(set),
            Err(reason) => {
                let source = &self.place;
                tracing::warn!(%source, reason, "no key set to be read, the last good keys stay");
            }
        }
        is_good
    }

    /// Takes the first keys.
    fn begin(&self, found: Result<Vec<u8>, String>) -> Result<(), String> {
        let fingerprint = fingerprint(&found);
        let parsed = found.and_then(|text| KeySet::parse(&text));
        self.looked(parsed.is_ok());
        self.put(parsed?);
        self.fingerprint.store(fingerprint, Ordering::Relaxed);
        Ok(())
    }

    fn put(&self, set: KeySet) {
        set.report(&self.place);
        self.set.store(Arc::new(set));
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
