//! The one task that hands out what a node writes. Messages of many chats share bulk writes, and so do notifications.
//!
//! Up to `groups` groups are in flight at a time. A chat is in one of them at most, so its messages keep their order
//! and take their numbers without rivals on this node; what comes for it meanwhile waits for the next group. A free
//! place is used at once: alone a message waits for nobody, under load groups grow by themselves.

mod admission;
mod announcements;
mod append;
mod flight;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::Future,
    sync::Arc,
    time::Duration,
};

use carillon_protocol::{
    message::NewMessage,
    notification::{NewNotification, Notification},
};
use mongodb::bson::{Bson, doc, oid::ObjectId, serialize_to_bson, serialize_to_raw_document_buf};
use tokio::{
    sync::{mpsc, oneshot},
    task::{Id, JoinError, JoinSet},
    time::timeout,
};

use self::{
    admission::{Admission, Ticket},
    announcements::{Announcement, Announcements},
    append::Append,
    flight::Flight,
};
use super::{
    MongoOptions,
    changes::Changes,
    commands,
    documents::StoredNotification,
    error::{Failure, unavailable},
    repair::Place,
    retry,
    schema::{Collections, NOTIFICATIONS},
};
use crate::{Result, messages::Appended};

/// How many messages share a group at most.
const MAX_GROUP: usize = 256;

/// How many messages of one chat a group takes at most.
const MAX_OF_CHAT: usize = 128;

/// How long announcements wait for others.
const GATHER: Duration = Duration::from_millis(20);

/// The handle on the task. What is not answered when it is dropped may be stored or not; see [`Writer::drained`].
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    admission: Arc<Admission>,
    expected: Arc<Announcements>,
    timeout: Duration,
    _task: JoinSet<()>,
}

#[derive(Debug)]
enum Job {
    Append(Box<Append>),
    Create(Box<Create>),
    Announce(Ticket, Announcement),
}

/// A notification to store, and who waits for it.
#[derive(Debug)]
struct Create {
    notification: NewNotification,
    reply: oneshot::Sender<Result<Notification>>,
    _ticket: Ticket,
}

impl Writer {
    /// Starts the task on the current runtime.
    pub(super) fn start(collections: Collections, options: &MongoOptions) -> Self {
        let (jobs, queue) = mpsc::channel(options.queue.max(1));
        let expected = Arc::<Announcements>::default();
        let task = Task {
            collections,
            expected: Arc::clone(&expected),
            timeout: options.timeout,
            waiting: HashMap::new(),
            ready: VecDeque::new(),
            flying: HashSet::new(),
            places: (0..options.groups.max(1)).map(|_| Place::new()).collect(),
            creations: Vec::new(),
            creating: false,
            announcements: Vec::new(),
            announcing: false,
            flights: JoinSet::new(),
            aloft: HashMap::new(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(task.serve(queue));
        Self {
            jobs,
            admission: Admission::new(options.queue.max(1)),
            expected,
            timeout: options.timeout,
            _task: tasks,
        }
    }

    /// Stores a message with what follows from it, and waits until all of it is durable.
    pub(super) async fn append(&self, message: NewMessage) -> Result<Appended> {
        let (reply, answer) = oneshot::channel();
        let append = Append::new(message, reply, self.admit()?);
        self.submit(Job::Append(Box::new(append)))?;
        self.answered(answer).await
    }

    /// Stores a notification of its own, and waits until it is durable.
    pub(super) async fn create(&self, notification: NewNotification) -> Result<Notification> {
        let (reply, answer) = oneshot::channel();
        let create = Create {
            notification,
            reply,
            _ticket: self.admit()?,
        };
        self.submit(Job::Create(Box::new(create)))?;
        self.answered(answer).await
    }

    /// Notes that a message has been announced: from now on for this node, soon for all.
    pub(super) fn announce(&self, message: ObjectId) -> Result<()> {
        let ticket = self.admit()?;
        match self.expected.begin(message) {
            Some(announcement) => self.submit(Job::Announce(ticket, announcement)),
            None => Ok(()),
        }
    }

    /// Waits for everything that was accepted before.
    pub(super) async fn drained(&self) {
        self.admission.drained().await;
    }

    fn admit(&self) -> Result<Ticket> {
        let ticket = self.admission.admit();
        ticket.ok_or_else(|| unavailable("too many operations wait"))
    }

    /// There is room for whoever has a ticket.
    fn submit(&self, job: Job) -> Result<()> {
        self.jobs
            .try_send(job)
            .map_err(|_| unavailable("the writer ended"))
    }

    async fn answered<Value>(&self, answer: oneshot::Receiver<Result<Value>>) -> Result<Value> {
        match timeout(self.timeout, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(unavailable("the write was given up")),
            Err(_) => Err(unavailable("the database does not answer in time")),
        }
    }
}

/// What is in flight.
enum Aloft {
    /// A group of messages of these chats.
    Group(Vec<String>),
    Creations,
    Announcements,
}

/// What a flight hands back: a group its place, unless something is left undone there.
type Landed = Option<Place>;

/// What the task owns.
struct Task {
    collections: Collections,
    expected: Arc<Announcements>,
    timeout: Duration,
    /// By chat; each queue holds at least one.
    waiting: HashMap<String, VecDeque<Append>>,
    /// The chats that wait and are not in flight, in the order they came.
    ready: VecDeque<String>,
    flying: HashSet<String>,
    /// Those free now.
    places: Vec<Place>,
    creations: Vec<Create>,
    creating: bool,
    announcements: Vec<(Ticket, Announcement)>,
    announcing: bool,
    flights: JoinSet<Landed>,
    aloft: HashMap<Id, Aloft>,
}

impl Task {
    /// Serves until every handle is gone.
    async fn serve(mut self, mut queue: mpsc::Receiver<Job>) {
        loop {
            tokio::select! {
                job = queue.recv() => {
                    let Some(job) = job else { return };
                    self.take(job);
                    // What came together flies together.
                    while let Ok(job) = queue.try_recv() {
                        self.take(job);
                    }
                }
                Some(landed) = self.flights.join_next_with_id() => self.land(landed),
            }
            self.launch();
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Append(append) => {
                let key = append.chat();
                if let Some(queue) = self.waiting.get_mut(&key) {
                    queue.push_back(*append);
                    return;
                }
                if !self.flying.contains(&key) {
                    self.ready.push_back(key.clone());
                }
                self.waiting.insert(key, VecDeque::from([*append]));
            }
            Job::Create(create) => self.creations.push(*create),
            Job::Announce(ticket, announcement) => self.announcements.push((ticket, announcement)),
        }
    }

    fn land(&mut self, landed: std::result::Result<(Id, Landed), JoinError>) {
        let (id, place) = landed.unwrap_or_else(|error| {
            tracing::error!(%error, "a write was lost");
            (error.id(), None)
        });
        match self.aloft.remove(&id) {
            Some(Aloft::Group(chats)) => {
                self.places.push(place.unwrap_or_else(Place::new));
                for chat in chats {
                    self.flying.remove(&chat);
                    if self.waiting.contains_key(&chat) {
                        self.ready.push_back(chat);
                    }
                }
            }
            Some(Aloft::Creations) => self.creating = false,
            Some(Aloft::Announcements) => self.announcing = false,
            None => {}
        }
    }

    fn fly(&mut self, what: Aloft, flight: impl Future<Output = Landed> + Send + 'static) {
        let id = self.flights.spawn(flight).id();
        self.aloft.insert(id, what);
    }

    /// Starts what can start.
    fn launch(&mut self) {
        while !self.ready.is_empty()
            && let Some(place) = self.places.pop()
        {
            let chats = self.group();
            self.fly_group(place, chats);
        }
        if let Some(index) = self.places.iter().position(|place| place.noted) {
            let place = self.places.swap_remove(index);
            self.clear(place);
        }
        if !self.creating && !self.creations.is_empty() {
            self.fly_creations();
        }
        if !self.announcing && !self.announcements.is_empty() {
            self.fly_announcements();
        }
    }

    /// Takes the messages of the next group.
    fn group(&mut self) -> Vec<(String, VecDeque<Append>)> {
        let mut chats = Vec::new();
        let mut room = MAX_GROUP;
        while room > 0
            && let Some(key) = self.ready.pop_front()
        {
            let Some(mut appends) = self.waiting.remove(&key) else {
                continue;
            };
            let rest = appends.split_off(appends.len().min(MAX_OF_CHAT).min(room));
            if !rest.is_empty() {
                self.waiting.insert(key.clone(), rest);
            }
            room -= appends.len();
            self.flying.insert(key.clone());
            chats.push((key, appends));
        }
        chats
    }

    fn fly_group(&mut self, place: Place, chats: Vec<(String, VecDeque<Append>)>) {
        let keys: Vec<String> = chats.iter().map(|(key, _)| key.clone()).collect();
        let flight = Flight::new(self.collections.clone(), Arc::clone(&self.expected), chats);
        let limit = self.timeout;
        self.fly(Aloft::Group(keys), async move {
            let flown = timeout(limit, flight.fly(place)).await;
            if flown.is_err() {
                tracing::warn!("the database does not answer in time");
            }
            flown.ok().flatten()
        });
    }

    /// Empties the document of a place where nothing is written now, off everybody's way.
    fn clear(&mut self, mut place: Place) {
        let collections = self.collections.clone();
        let limit = self.timeout;
        self.fly(Aloft::Group(Vec::new()), async move {
            let cleared = timeout(limit, place.note(&collections, &[])).await;
            matches!(cleared, Ok(Ok(()))).then_some(place)
        });
    }

    fn fly_creations(&mut self) {
        let count = self.creations.len().min(MAX_GROUP);
        let creations: Vec<Create> = self.creations.drain(..count).collect();
        let (collections, limit) = (self.collections.clone(), self.timeout);
        self.creating = true;
        self.fly(Aloft::Creations, async move {
            let stored = bounded(limit, create(&collections, &creations)).await;
            for create in creations {
                let outcome = stored.clone().map(|()| Notification {
                    content: create.notification,
                    read_at: None,
                });
                // Who no longer waits has no use for the answer.
                let _ = create.reply.send(outcome.map_err(Into::into));
            }
            None
        });
    }

    fn fly_announcements(&mut self) {
        let (announcements, expected) = (
            std::mem::take(&mut self.announcements),
            Arc::clone(&self.expected),
        );
        let (collections, limit) = (self.collections.clone(), self.timeout);
        self.announcing = true;
        self.fly(Aloft::Announcements, async move {
            tokio::time::sleep(GATHER).await;
            let announced: Vec<&Announcement> = announcements.iter().map(|(_, one)| one).collect();
            if let Err(failure) = bounded(limit, announce(&collections, &announced)).await {
                tracing::warn!(
                    reason = failure.reason,
                    "announcements were not noted: a resend repeats them"
                );
            }
            expected.end(&announced);
            None
        });
    }
}

async fn bounded<Value>(
    limit: Duration,
    work: impl Future<Output = std::result::Result<Value, Failure>>,
) -> std::result::Result<Value, Failure> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(Failure::late()))
}

/// Stores notifications: their chats know of them first, so that none is ever in an unknown chat.
async fn create(collections: &Collections, creations: &[Create]) -> std::result::Result<(), Failure> {
    let mut changes = Changes::default();
    let mut documents = Vec::with_capacity(creations.len());
    for Create { notification, .. } in creations {
        changes.notification(notification);
        let stored = StoredNotification::new(notification, collections.notification_age);
        documents.push(serialize_to_raw_document_buf(&stored)?);
    }
    changes.make(collections).await?;
    commands::insert_missing(&collections.database, NOTIFICATIONS, &documents).await
}

async fn announce(
    collections: &Collections,
    announced: &[&Announcement],
) -> std::result::Result<(), Failure> {
    let places: Vec<Bson> = announced
        .iter()
        .map(|one| serialize_to_bson(&one.place))
        .collect::<std::result::Result<_, _>>()?;
    retry::idempotent(|| async {
        let waiting = doc! { "_id": { "$in": &places }, "unannounced": true };
        let update = doc! { "$unset": { "unannounced": "" } };
        collections.messages.update_many(waiting, update).await?;
        Ok(())
    })
    .await
}
