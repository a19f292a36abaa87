//! One group's way into the database: noted, numbered, inserted, finished, answered. See [`crate::mongo::repair`].
//!
//! A message takes the number after the newest that was seen. Where another node was faster the unique index says so,
//! and it takes the next: no number is given that is not used, so no hole can arise. Within one command several
//! messages of a chat are only in order, each after its predecessor; otherwise each chat has one in it.

mod insert;
mod known;

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use mongodb::bson::{DateTime, oid::ObjectId};

use self::known::{Found, Verdict};
use super::{announcements::Announcements, append::Append};
use crate::{
    messages::AppendOutcome,
    mongo::{
        documents::{StoredMessage, oid},
        error::Failure,
        repair::{self, Concerned, Noted, Place},
        schema::Collections,
    },
};

/// A group of messages.
pub(super) struct Flight {
    collections: Collections,
    announcements: Arc<Announcements>,
    chats: Vec<Chat>,
    /// Inserted, and not answered yet.
    stored: Vec<(Append, StoredMessage)>,
    /// Stored before this flight.
    resent: Vec<(Append, StoredMessage, AppendOutcome)>,
    /// Sent again while the first is in this flight.
    followers: Vec<Append>,
}

/// What goes into one chat.
struct Chat {
    key: String,
    newest: Newest,
    /// Not inserted yet, in order.
    waiting: VecDeque<Append>,
}

/// The newest message of a chat, as far as seen: there may be later ones by other nodes.
#[derive(Debug, Clone, Copy, Default)]
struct Newest {
    /// 0 before the first.
    seq: i64,
    at: Option<DateTime>,
}

impl Newest {
    fn see(&mut self, message: &StoredMessage) {
        if self.seq < message.place.seq {
            (self.seq, self.at) = (message.place.seq, Some(message.at));
        }
    }
}

impl Flight {
    pub(super) fn new(
        collections: Collections,
        announcements: Arc<Announcements>,
        mut chats: Vec<(String, VecDeque<Append>)>,
    ) -> Self {
        // Every node's commands lock chats in the same order, so that none waits for another in a circle.
        chats.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut followers = Vec::new();
        let chats = chats.into_iter().map(|(key, waiting)| {
            let mut ids = HashSet::new();
            let (waiting, resends) = waiting
                .into_iter()
                .filter(|append| !append.is_given_up())
                .partition::<Vec<_>, _>(|Append { message, .. }| {
                    message.client_message_id.is_none()
                        || ids.insert((message.sender.clone(), message.client_message_id.clone()))
                });
            followers.extend(resends);
            Chat {
                key,
                newest: Newest::default(),
                waiting: waiting.into(),
            }
        });
        Self {
            collections,
            announcements,
            chats: chats.collect(),
            stored: Vec::new(),
            resent: Vec::new(),
            followers,
        }
    }

    /// Stores the group and answers everybody. Gives the place back where nothing is left undone.
    pub(super) async fn fly(mut self, mut place: Place) -> Option<Place> {
        match self.write(&mut place).await {
            Ok(()) => Some(place),
            Err(failure) => {
                tracing::warn!(reason = failure.reason, "messages were not stored");
                self.fail(&failure);
                None
            }
        }
    }

    async fn write(&mut self, place: &mut Place) -> Result<(), Failure> {
        self.prepare(place).await?;
        self.insert().await?;
        self.finish().await?;
        self.answer_resends().await
    }

    /// Notes the group, and reads what its chats hold.
    async fn prepare(&mut self, place: &mut Place) -> Result<(), Failure> {
        let noted: Vec<Noted> = self.waiting().map(Append::noted).collect();
        let notifications: Vec<ObjectId> = self
            .waiting()
            .map(|append| oid(append.message.notification.id))
            .collect();
        let keys: Vec<&str> = self.chats.iter().map(|chat| &*chat.key).collect();
        let (newest, taken, ()) = futures_util::try_join!(
            known::newest(&self.collections, &keys),
            known::taken_notifications(&self.collections, &notifications),
            place.note(&self.collections, &noted),
        )?;
        for chat in &mut self.chats {
            chat.newest = newest.get(&*chat.key).copied().unwrap_or_default();
        }
        if !taken.is_empty() {
            self.refuse_taken(&taken).await?;
        }
        Ok(())
    }

    /// Takes out those whose notification is there already: they were stored before, or its id is another's.
    async fn refuse_taken(&mut self, taken: &HashSet<ObjectId>) -> Result<(), Failure> {
        let mut suspects = Vec::new();
        for chat in &mut self.chats {
            let (out, waiting) = std::mem::take(&mut chat.waiting)
                .into_iter()
                .partition::<Vec<_>, _>(|append| taken.contains(&oid(append.message.notification.id)));
            suspects.extend(out);
            chat.waiting = waiting.into();
        }
        let found = Found::look_up(&self.collections, &self.announcements, suspects.iter()).await?;
        for append in suspects {
            if let Some(append) = self.sort_out(append, &found) {
                append.failed(Failure::invalid("the id of a notification is taken"));
            }
        }
        Ok(())
    }

    /// Takes a message that is stored already to those it belongs to; gives back one that is not.
    fn sort_out(&mut self, append: Append, found: &Found) -> Option<Append> {
        match found.verdict(&append) {
            Verdict::New => return Some(append),
            Verdict::Stored(message) => self.stored.push((append, message)),
            Verdict::Resent(message, outcome) => self.resent.push((append, message, outcome)),
            Verdict::Taken => append.failed(Failure::invalid("the id of a message is taken")),
        }
        None
    }

    /// Stores what follows from the messages, and answers.
    async fn finish(&mut self) -> Result<(), Failure> {
        if self.stored.is_empty() {
            return Ok(());
        }
        repair::finish(&self.collections, self.stored.iter().map(|(_, message)| message)).await?;
        for (append, message) in self.stored.drain(..) {
            self.announcements.expect(&message);
            append.stored(&message, AppendOutcome::Stored);
        }
        Ok(())
    }

    /// Answers those who sent something again: not before all that follows from the first is stored.
    async fn answer_resends(&mut self) -> Result<(), Failure> {
        if !self.followers.is_empty() {
            let followers = std::mem::take(&mut self.followers);
            let found = Found::look_up(&self.collections, &self.announcements, followers.iter()).await?;
            for append in followers {
                if let Some(append) = self.sort_out(append, &found) {
                    append.failed(Failure::late());
                }
            }
        }
        if self.resent.is_empty() {
            return Ok(());
        }
        let ids: Vec<ObjectId> = self.resent.iter().map(|(_, message, _)| message.id).collect();
        repair::settle(&self.collections, Concerned::Messages(&ids)).await?;
        for (append, message, outcome) in self.resent.drain(..) {
            self.announcements.expect(&message);
            append.stored(&message, outcome);
        }
        Ok(())
    }

    fn waiting(&self) -> impl Iterator<Item = &Append> {
        self.chats.iter().flat_map(|chat| &chat.waiting)
    }

    fn fail(self, failure: &Failure) {
        let waiting = self.chats.into_iter().flat_map(|chat| chat.waiting);
        let stored = self.stored.into_iter().map(|(append, _)| append);
        let resent = self.resent.into_iter().map(|(append, ..)| append);
        for append in waiting.chain(stored).chain(resent).chain(self.followers) {
            append.failed(failure.clone());
        }
    }
}

#[cfg(test)]
mod tests;
