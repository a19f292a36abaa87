//! What the tests of use cases and events share: a node's services over the real store and the in-process backplane,
//! each of which can be taken down, and a record of what was announced.

mod flaky_backplane;
mod flaky_store;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use bytestring::ByteString;
use carillon_backplane::{
    Asked, Inbound, NodeTag, Place, Selection, SocketSummary,
    local::{LocalBackplane, LogBounds},
};
use carillon_protocol::{
    adapter::Broadcast,
    chat::Pair,
    id::{ObjectId, Room, UserId},
    message::Message,
    presence::Status,
    time::Timestamp,
    value::Value,
};
use carillon_store::sqlite::{Durability, SqliteOptions, SqliteStore};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

pub(crate) use self::flaky_store::UNSTORABLE;
use self::{flaky_backplane::FlakyBackplane, flaky_store::FlakyStore};
use super::{Services, messages::SendRequest, presence::Scope};
use crate::{clock::Clock, gaps::Gaps, telemetry::Metrics};

/// A node's services and what is around them.
pub(crate) struct Node {
    pub(crate) services: Arc<Services>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: Arc<FlakyStore>,
    pub(crate) backplane: Arc<FlakyBackplane>,
    pub(crate) announced: Arc<Announced>,
    pub(crate) tasks: TaskTracker,
    pub(crate) gaps: Gaps,
    pub(crate) metrics: Arc<Metrics>,
    _folder: TempDir,
}

impl Node {
    pub(crate) fn new(scope: Scope) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions {
            durability: Durability::Process,
            readers: 1,
            ..SqliteOptions::default()
        };
        let store = SqliteStore::open(&folder.path().join("store.db"), &options).unwrap();
        let store = Arc::new(FlakyStore::new(store));
        let local = LocalBackplane::new("test", Duration::from_secs(120), LogBounds::default());
        let announced = Arc::new(Announced::default());
        local.join(announced.clone());
        let backplane = Arc::new(FlakyBackplane::new(local));
        let clock = Arc::new(TestClock::default());
        let (tasks, gaps) = (TaskTracker::new(), Gaps::default());
        let metrics = Arc::new(Metrics::new([]).unwrap());
        let services = Services::new(
            store.clone(),
            backplane.clone(),
            clock.clone(),
            scope,
            gaps.clone(),
            tasks.clone(),
            metrics.clone(),
        );
        Self {
            services: Arc::new(services),
            clock,
            store,
            backplane,
            announced,
            tasks,
            gaps,
            metrics,
            _folder: folder,
        }
    }

    /// Sends `text` from one user to another.
    pub(crate) async fn say(&self, from: &str, to: &str, text: &str) -> Message {
        self.services
            .messages
            .send(&user(from), request(to, text))
            .await
            .unwrap()
    }
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub(crate) fn pair(one: &str, other: &str) -> Pair {
    Pair::new(user(one), user(other))
}

pub(crate) fn request(to: &str, text: &str) -> SendRequest {
    SendRequest {
        receiver: user(to),
        text: text.into(),
        sender_name: ByteString::from_static("Sender"),
        receiver_name: ByteString::from_static("Receiver"),
        client_message_id: None,
    }
}

/// Stands still until it is set; ids count up.
#[derive(Debug, Default)]
pub(crate) struct TestClock {
    millis: AtomicI64,
    ids: AtomicU32,
}

impl TestClock {
    pub(crate) fn set(&self, millis: i64) {
        self.millis.store(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn new_id(&self) -> ObjectId {
        let mut bytes = [0; 12];
        let seconds = u32::try_from(self.now().as_millis() / 1_000).unwrap();
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[8..].copy_from_slice(&self.ids.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        ObjectId::from_bytes(bytes)
    }
}

/// What a node's sockets were given.
#[derive(Debug, Default)]
pub(crate) struct Announced(Mutex<Vec<Broadcast>>);

#[async_trait]
impl Inbound for Announced {
    fn deliver(&self, broadcast: &Broadcast, place: Place) {
        assert_eq!(
            place == Place::Unkept,
            broadcast.volatile,
            "only what is volatile is not kept"
        );
        self.0.lock().push(broadcast.clone());
    }

    fn ask(&self, _broadcast: &Broadcast, _timeout: Duration) -> Asked {
        let (_, answers) = mpsc::channel(1);
        Asked { sockets: 0, answers }
    }

    fn sockets(&self, _selection: &Selection) -> Vec<SocketSummary> {
        Vec::new()
    }

    fn rooms(&self, _nsp: &str) -> Vec<Room> {
        Vec::new()
    }

    fn join(&self, _selection: &Selection, _rooms: &[Room]) {}

    fn leave(&self, _selection: &Selection, _rooms: &[Room]) {}

    fn disconnect(&self, _selection: &Selection, _close: bool) {}

    fn server_event(&self, _nsp: &str, _args: &[Value]) -> Value {
        Value::Null
    }

    fn presence_changed(&self, _changes: Vec<(UserId, Status)>) {}

    fn interrupted(&self, _unsure: Duration) {}

    fn resumed(&self) {}

    fn fence(&self, _id: &str) {}

    async fn request(&self, _from: NodeTag, _body: Bytes) -> Bytes {
        Bytes::new()
    }
}

impl Announced {
    /// Everything since the last call.
    pub(crate) fn take(&self) -> Vec<Broadcast> {
        std::mem::take(&mut self.0.lock())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Everything since the last call, one line each: `name → rooms` and `except rooms`.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.take().iter().map(line).collect()
    }
}

fn line(broadcast: &Broadcast) -> String {
    let names = |rooms: &[Room]| {
        rooms
            .iter()
            .map(|room| room.as_str().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let name = broadcast.event[0].as_text().unwrap();
    let except = if broadcast.except.is_empty() {
        String::new()
    } else {
        format!(" except {}", names(&broadcast.except))
    };
    format!("{name} → {}{except}", names(&broadcast.rooms))
}

/// The text under `key` of an event's payload.
pub(crate) fn text_of(event: &[Value], key: &str) -> String {
    event[1].get(key).and_then(Value::as_text).unwrap().to_string()
}
