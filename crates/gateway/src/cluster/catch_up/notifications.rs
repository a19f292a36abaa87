//! The notifications of users with sockets here: after an outage, those of the inbox that were not given.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    sync::Arc,
};

use carillon_backplane::Offset;
use carillon_protocol::{
    adapter::Broadcast,
    chat::Pair,
    event::{self, Event},
    id::{ObjectId, Room, UserId},
    message::Message,
    notification::Notification,
    time::Timestamp,
};
use carillon_store::Store;
use parking_lot::Mutex;

use super::{Deliver, read};
use crate::services::broadcast;

/// How many of a user's unread notifications are looked at: as many as the inbox shows.
const INBOX: u32 = 1_000;
/// How many of a chat's newest messages are looked at for those that notifications are about.
const RECENT: u32 = 100;
/// How many notifications are remembered as given.
const MAX_GIVEN: usize = 20_000;

/// The users with sockets here.
pub(super) struct Inboxes {
    deliver: Deliver,
    store: Arc<dyn Store>,
    /// Each with the time of the first socket. Held for a look alone: it is taken under the lock of the hub's rooms.
    users: Mutex<HashMap<UserId, Timestamp>>,
    given: Mutex<Given>,
}

/// The newest notifications that were given.
#[derive(Default)]
struct Given {
    ids: HashSet<ObjectId>,
    order: VecDeque<ObjectId>,
}

impl Given {
    /// Whether `id` was not given yet; it counts as given from now on.
    fn insert(&mut self, id: ObjectId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > MAX_GIVEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

impl Inboxes {
    pub(super) fn new(deliver: Deliver, store: Arc<dyn Store>) -> Self {
        Self {
            deliver,
            store,
            users: Mutex::default(),
            given: Mutex::default(),
        }
    }

    pub(super) fn occupied(&self, user: UserId, now: Timestamp) {
        self.users.lock().insert(user, now);
    }

    pub(super) fn vacated(&self, user: &UserId) {
        self.users.lock().remove(user);
    }

    /// Everyone with sockets here, and since when.
    pub(super) fn users(&self) -> Vec<(UserId, Timestamp)> {
        let users = self.users.lock();
        users.iter().map(|(user, since)| (user.clone(), *since)).collect()
    }

    /// Gives a notification, unless it was given before.
    pub(super) fn deliver(&self, id: ObjectId, broadcast: &Broadcast, offset: Option<&Offset>) {
        if self.given.lock().insert(id) {
            (self.deliver)(broadcast, offset);
        }
    }

    /// Gives what is in the inbox of `user` since `since`, unread, and was not given.
    pub(super) async fn catch_up(&self, user: UserId, since: Timestamp) {
        let Some(unread) = read(|| self.store.unread_notifications(&user, INBOX)).await else {
            return;
        };
        let mut chats = HashMap::new();
        for notification in unread {
            let id = notification.content.id;
            if notification.content.created_at < since || self.given.lock().ids.contains(&id) {
                continue;
            }
            let event = self.event(&notification, &mut chats).await;
            let rooms = vec![Room::of_user(&user)];
            self.deliver(id, &broadcast(event, rooms, Vec::new()), None);
        }
    }

    /// The event that told, or should have told, of a notification: one that came with a message has that message's.
    async fn event(&self, notification: &Notification, chats: &mut HashMap<Pair, Vec<Message>>) -> Event {
        let content = &notification.content;
        let about = content.metadata.message_id.as_deref().and_then(ObjectId::parse);
        if let Some(about) = about {
            let recent = match chats.entry(content.pair.clone()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let page = read(|| self.store.history_page(&content.pair, 1, RECENT)).await;
                    entry.insert(page.map(|page| page.messages).unwrap_or_default())
                }
            };
            let message = recent.iter().find(|message| {
                message.id == about && message.receiver == content.to_user && message.at == content.created_at
            });
            if let Some(message) = message {
                return event::message_notification(message, content.id);
            }
        }
        event::created_notification(notification)
    }
}
