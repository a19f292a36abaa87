//! Which messages of this node are to be announced, and which have been though the database does not know it yet.

use std::collections::{HashMap, HashSet, VecDeque};

use mongodb::bson::oid::ObjectId;
use parking_lot::Mutex;

use crate::mongo::documents::{Place, StoredMessage};

/// How many messages are remembered. What is announced later than so many others is announced again by a resend.
const REMEMBERED: usize = 65_536;

/// The announcements of this node's messages.
#[derive(Debug, Default)]
pub(super) struct Announcements(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    expected: HashMap<ObjectId, Place>,
    /// As they came; those that have been announced since, too.
    order: VecDeque<ObjectId>,
    under_way: HashSet<ObjectId>,
}

/// A message that has been announced.
#[derive(Debug)]
pub(super) struct Announcement {
    id: ObjectId,
    pub(super) place: Place,
}

impl Announcements {
    /// A message is handed out; where a resend may ask for it, its announcement is to be noted.
    pub(super) fn expect(&self, message: &StoredMessage) {
        if message.unannounced != Some(true) {
            return;
        }
        let mut inner = self.0.lock();
        inner.expected.insert(message.id, message.place.clone());
        inner.order.push_back(message.id);
        if inner.order.len() > REMEMBERED
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.expected.remove(&oldest);
        }
    }

    /// A message has been announced. `None` where nothing is to be noted of it.
    pub(super) fn begin(&self, id: ObjectId) -> Option<Announcement> {
        let mut inner = self.0.lock();
        let place = inner.expected.remove(&id)?;
        inner.under_way.insert(id);
        Some(Announcement { id, place })
    }

    /// What has been announced though the database may not know it.
    pub(super) fn under_way(&self) -> HashSet<ObjectId> {
        self.0.lock().under_way.clone()
    }

    /// The database knows, or could not be told.
    pub(super) fn end(&self, announced: &[&Announcement]) {
        let mut inner = self.0.lock();
        for announcement in announced {
            inner.under_way.remove(&announcement.id);
        }
    }
}
