//! The notifications of users with sockets here: after an outage, those of the inbox that were not given.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    sync::Arc,
};

use carillon_backplane::Place;
use carillon_protocol::{
    adapter::Broadcast,
    chat::Pair,
    id::{ObjectId, Room, UserId},
    message::Message,
    notification::Notification,
    time::Timestamp,
};
use carillon_store::Store;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{outlet::Outlet, read};
use crate::services::retold;

/// How many of a user's unread notifications are looked at: as many as the inbox shows.
const INBOX: u32 = 1_000;
/// How many of a chat's newest messages are looked at for those that notifications are about.
const RECENT: u32 = 100;
/// How many notifications are remembered as given.
const MAX_GIVEN: usize = 20_000;

/// The users with sockets here.
pub(super) struct Inboxes {
    outlet: Arc<Outlet>,
    store: Arc<dyn Store>,
    /// Held for a look alone: it is taken under the lock of the hub's rooms.
    users: Mutex<HashMap<UserId, Present>>,
    given: Mutex<Given>,
}

/// A user with sockets here.
#[derive(Clone)]
pub(super) struct Present {
    since: Timestamp,
    vacated: CancellationToken,
}

/// The newest notifications that were given, each with the room of its user.
#[derive(Default)]
struct Given {
    known: HashSet<(Room, ObjectId)>,
    order: VecDeque<(Room, ObjectId)>,
}

impl Given {
    /// Whether the user of `room` was not given `id` yet; it counts as given from now on.
    fn insert(&mut self, room: &Room, id: ObjectId) -> bool {
        let entry = (room.clone(), id);
        if !self.known.insert(entry.clone()) {
            return false;
        }
        self.order.push_back(entry);
        if self.order.len() > MAX_GIVEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

impl Inboxes {
    pub(super) fn new(outlet: Arc<Outlet>, store: Arc<dyn Store>) -> Self {
        Self {
            outlet,
            store,
            users: Mutex::default(),
            given: Mutex::default(),
        }
    }

    pub(super) fn occupied(&self, user: UserId, now: Timestamp) {
        let present = Present {
            since: now,
            vacated: CancellationToken::new(),
        };
        self.users.lock().insert(user, present);
    }

    pub(super) fn vacated(&self, user: &UserId) {
        let gone = self.users.lock().remove(user);
        if let Some(gone) = gone {
            gone.vacated.cancel();
        }
    }

    /// Everyone with sockets here.
    pub(super) fn users(&self) -> Vec<(UserId, Present)> {
        let users = self.users.lock();
        let entry = |(user, present): (&UserId, &Present)| (user.clone(), present.clone());
        users.iter().map(entry).collect()
    }

    /// Gives a notification to the user of `room`, unless it was given before.
    pub(super) fn deliver(&self, room: &Room, id: ObjectId, broadcast: &Broadcast, place: Place) {
        if self.given.lock().insert(room, id) {
            self.outlet.give(broadcast, place);
        }
    }

    /// Gives what has come into the inbox of `user` since `since`, is unread, and was not given; however long the store
    /// takes, unless the user leaves.
    pub(super) async fn catch_up(&self, user: UserId, present: Present, since: Timestamp) {
        let since = since.max(present.since);
        present.vacated.run_until_cancelled(self.read(&user, since)).await;
    }

    async fn read(&self, user: &UserId, since: Timestamp) {
        let Some(unread) = read(|| self.store.unread_notifications(user, INBOX)).await else {
            return;
        };
        let room = Room::of_user(user);
        let mut chats = HashMap::new();
        for notification in unread {
            let id = notification.content.id;
            let key = (room.clone(), id);
            if is_older(&notification, since) || self.given.lock().known.contains(&key) {
                continue;
            }
            let event = self.event(&notification, &mut chats).await;
            self.deliver(&room, id, &event, Place::Unlogged);
        }
    }

    /// What told, or should have told, of a notification.
    async fn event(&self, notification: &Notification, chats: &mut HashMap<Pair, Vec<Message>>) -> Broadcast {
        let content = &notification.content;
        if content.metadata.message_id.is_none() {
            return retold::notification(notification, &[]);
        }
        let recent = match chats.entry(content.pair.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let page = read(|| self.store.history_page(&content.pair, 1, RECENT)).await;
                entry.insert(page.map(|page| page.messages).unwrap_or_default())
            }
        };
        retold::notification(notification, recent)
    }
}

/// Whether a notification came into being before `since`. Who creates one may say that it is older than it is; its id tells
/// that, to the second.
fn is_older(notification: &Notification, since: Timestamp) -> bool {
    let content = &notification.content;
    content.created_at < since && content.id.made_at().plus_millis(999) < since
}
