//! Calls of the script that publishes who came or went.

use bytestring::ByteString;
use carillon_protocol::{
    adapter::KeptTemplate,
    id::{Room, UserId},
    presence::Status,
};
use redis::Cmd;

use super::append::Entry;
use crate::redis::{channels::Names, lifetimes::Lifetimes, millis, presence, scripts, scripts::Scripts};

/// A call of the script that announces.
pub(in crate::redis) struct Announce {
    keys: Vec<String>,
    changes: Vec<Change>,
}

struct Change {
    user: UserId,
    status: Status,
    entry: Option<Entry>,
}

impl Announce {
    /// Of nobody yet.
    pub(in crate::redis) fn new(names: &Names) -> Self {
        Self {
            keys: vec![names.log(), names.unannounced()],
            changes: Vec::new(),
        }
    }

    /// Adds a change, and what is published of it: rooms, channel, template.
    pub(in crate::redis) fn push(
        &mut self,
        names: &Names,
        user: UserId,
        status: Status,
        event: Option<(&[Room], ByteString, KeptTemplate)>,
    ) {
        let entry = event
            .map(|(rooms, channel, template)| Entry::new(names, rooms, channel, template, &mut self.keys));
        self.changes.push(Change { user, status, entry });
    }

    /// The call, by which events are published with `publishing`.
    pub(in crate::redis) fn call(&self, scripts: &Scripts, publishing: &str, lifetimes: &Lifetimes) -> Cmd {
        let mut call = scripts::call(&scripts.announce, &self.keys);
        call.arg(publishing)
            .arg(millis(lifetimes.events()))
            .arg(self.changes.len());
        for Change { user, status, entry } in &self.changes {
            call.arg(user.as_str())
                .arg(presence::sign(*status))
                .arg(i32::from(entry.is_some()));
            if let Some(entry) = entry {
                entry.write(&mut call);
            }
        }
        call
    }
}
