//! What writing does to chats: changes that may be made in any order, several times, and by several nodes at once.
//!
//! Each takes the greater or the lesser of what is there and what it brings, so that of two nodes' changes the newer
//! wins wherever it comes first, and a repetition changes nothing.

use std::collections::{BTreeMap, btree_map::Entry};

use carillon_protocol::{chat::Pair, message::Message, notification::NewNotification, time::Timestamp};
use mongodb::bson::{Document, doc};

use super::{
    commands,
    documents::{date, integer},
    error::Failure,
    schema::{CHATS, Collections},
};

/// Changes to chats, at most one statement per chat. Sorted, so that two nodes never wait for each other in a circle.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<String, Change>);

#[derive(Debug)]
struct Change {
    pair: Pair,
    /// The newest message: seq, and the fields of [`super::documents::Last`].
    last: Option<(u64, Document)>,
    first_wrote: bool,
    second_wrote: bool,
    /// The times of the first and the last notification.
    notified: Option<(Timestamp, Timestamp)>,
}

impl Changes {
    /// A message came to be.
    pub(super) fn message(&mut self, message: &Message) {
        let pair = message.pair();
        let (first, second) = (message.sender == *pair.first(), message.sender == *pair.second());
        let change = self.of(pair);
        change.first_wrote |= first;
        change.second_wrote |= second;
        if change.last.as_ref().is_none_or(|(seq, _)| *seq < message.seq) {
            let last = doc! {
                "seq": integer(message.seq),
                "at": date(message.at),
                "text": &*message.text,
                "senderName": &*message.sender_name,
            };
            change.last = Some((message.seq, last));
        }
    }

    /// A notification came to be.
    pub(super) fn notification(&mut self, new: &NewNotification) {
        let at = new.created_at;
        let change = self.of(new.pair.clone());
        let (first, last) = change.notified.unwrap_or((at, at));
        change.notified = Some((first.min(at), last.max(at)));
    }

    fn of(&mut self, pair: Pair) -> &mut Change {
        match self.0.entry(pair.key()) {
            Entry::Occupied(change) => change.into_mut(),
            Entry::Vacant(place) => place.insert(Change {
                pair,
                last: None,
                first_wrote: false,
                second_wrote: false,
                notified: None,
            }),
        }
    }

    /// Makes the changes.
    pub(super) async fn make(&self, collections: &Collections) -> Result<(), Failure> {
        let statements: Vec<Document> = self.0.iter().map(|(key, change)| change.statement(key)).collect();
        commands::update_all(&collections.database, CHATS, &statements).await
    }
}

impl Change {
    fn statement(&self, key: &str) -> Document {
        let (mut greater, mut lesser, mut set) = (Document::new(), Document::new(), Document::new());
        if let Some((_, last)) = &self.last {
            if let Some(at) = last.get("at") {
                greater.insert("lastAt", at.clone());
            }
            greater.insert("last", last.clone());
        }
        if let Some((first, last)) = self.notified {
            lesser.insert("notified.first", date(first));
            greater.insert("notified.last", date(last));
            greater.insert("notified.changed", date(last));
        }
        for (wrote, field) in [
            (self.first_wrote, "firstWrote"),
            (self.second_wrote, "secondWrote"),
        ] {
            if wrote {
                set.insert(field, true);
            }
        }
        let users = doc! { "users": [self.pair.first().as_str(), self.pair.second().as_str()] };
        let mut update = doc! { "$setOnInsert": users };
        for (operator, fields) in [("$max", greater), ("$min", lesser), ("$set", set)] {
            if !fields.is_empty() {
                update.insert(operator, fields);
            }
        }
        doc! { "q": { "_id": key }, "u": update, "upsert": true }
    }
}
