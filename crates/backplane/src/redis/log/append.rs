//! Calls of the script that appends to the log and publishes.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::{KeptTemplate, Offset},
    id::Room,
};
use redis::{Cmd, Script, Value};

use super::{COMMON_ENTRIES, ROOM_ENTRIES};
use crate::{
    Placement, Result, Unavailable,
    redis::{
        channels::Names,
        lifetimes::{self, Lifetimes},
        millis,
        scripts::{self, Scripts},
    },
};

/// A call of the script that appends.
pub(in crate::redis) struct Append {
    keys: Vec<String>,
    condition: Condition,
    broadcasts: Vec<Entry>,
}

/// What has to be so, or nothing is appended.
enum Condition {
    None,
    /// The chat's message before this one was the last that was published.
    Next(u64),
}

/// A broadcast as the scripts take it.
pub(super) struct Entry {
    channel: ByteString,
    template: KeptTemplate,
    entries: usize,
    streams: usize,
}

impl Entry {
    /// Adds the keys of its streams to `keys`.
    pub(super) fn new(
        names: &Names,
        rooms: &[Room],
        channel: ByteString,
        template: KeptTemplate,
        keys: &mut Vec<String>,
    ) -> Self {
        let before = keys.len();
        let mut seen = HashSet::new();
        let named = rooms.iter().filter(|room| seen.insert(*room));
        keys.extend(named.map(|room| names.stream_of(room)));
        if rooms.is_empty() {
            keys.push(names.stream_of_all());
        }
        Self {
            channel,
            template,
            entries: if rooms.is_empty() {
                COMMON_ENTRIES
            } else {
                ROOM_ENTRIES
            },
            streams: keys.len() - before,
        }
    }

    /// Adds it to the arguments of a script.
    pub(super) fn write(&self, call: &mut Cmd) {
        call.arg(&*self.channel)
            .arg(&*self.template.prefix)
            .arg(&*self.template.suffix)
            .arg(self.entries)
            .arg(self.streams);
    }
}

impl Append {
    /// Without broadcasts; `order` is a chat and the number of its message.
    pub(in crate::redis) fn new(names: &Names, order: Option<(&str, u64)>) -> Self {
        let order_key = order.map(|(chat, _)| names.order_of(chat));
        Self {
            keys: std::iter::once(names.log()).chain(order_key).collect(),
            condition: order.map_or(Condition::None, |(_, seq)| Condition::Next(seq)),
            broadcasts: Vec::new(),
        }
    }

    pub(in crate::redis) fn push(
        &mut self,
        names: &Names,
        rooms: &[Room],
        channel: ByteString,
        template: KeptTemplate,
    ) {
        self.broadcasts
            .push(Entry::new(names, rooms, channel, template, &mut self.keys));
    }

    /// The script to call.
    pub(in crate::redis) const fn script<'a>(&self, scripts: &'a Scripts) -> &'a Arc<Script> {
        match self.condition {
            Condition::None => &scripts.publish,
            Condition::Next(_) => &scripts.publish_in_order,
        }
    }

    /// Its call, by which events are published with `publishing`.
    pub(in crate::redis) fn call(&self, scripts: &Scripts, publishing: &str, lifetimes: &Lifetimes) -> Cmd {
        let mut call = scripts::call(self.script(scripts), &self.keys);
        match &self.condition {
            Condition::None => (),
            Condition::Next(seq) => {
                call.arg(*seq).arg(millis(lifetimes::ORDER));
            }
        }
        call.arg(publishing)
            .arg(millis(lifetimes.events()))
            .arg(self.broadcasts.len());
        for entry in &self.broadcasts {
            entry.write(&mut call);
        }
        call
    }
}

/// What the script answered.
pub(in crate::redis) fn placement(answer: &Value) -> Result<Placement> {
    match answer {
        Value::SimpleString(word) if word == "PLACED" => Ok(Placement::Placed),
        Value::SimpleString(word) if word == "KNOWN" => Ok(Placement::Known),
        Value::SimpleString(word) if word == "UNSETTLED" => Ok(Placement::Unsettled),
        Value::Int(expected) => u64::try_from(*expected)
            .map(|expected| Placement::Early { expected })
            .map_err(|_| Unavailable::new("a chat's order is negative")),
        _ => Err(Unavailable::new("an answer of the log's script cannot be read")),
    }
}

/// A broadcast that is kept nowhere and so has no place in the log.
pub(in crate::redis) fn unplaced(template: &KeptTemplate) -> Bytes {
    template.fill(Offset::NOWHERE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_speaks_in_words_and_numbers() {
        let word = |word: &str| placement(&Value::SimpleString(word.to_owned()));
        assert_eq!(word("PLACED").unwrap(), Placement::Placed);
        assert_eq!(word("KNOWN").unwrap(), Placement::Known);
        assert_eq!(word("UNSETTLED").unwrap(), Placement::Unsettled);
        assert_eq!(
            placement(&Value::Int(3)).unwrap(),
            Placement::Early { expected: 3 }
        );
        for other in [Value::Nil, Value::Int(-1), Value::Okay] {
            assert!(placement(&other).is_err());
        }
    }

    #[test]
    fn a_broadcast_is_kept_once_for_each_of_its_rooms() {
        let names = Names::new("socket.io");
        let mut append = Append::new(&names, None);
        let template = KeptTemplate {
            prefix: Bytes::new(),
            suffix: Bytes::new(),
        };
        let rooms = ["a", "b", "a"].map(Room::new);
        append.push(&names, &rooms, "c".into(), template.clone());
        append.push(&names, &[], "c".into(), template);

        let streams: Vec<_> = append.broadcasts.iter().map(|entry| entry.streams).collect();
        assert_eq!(streams, [2, 1]);
        assert_eq!(
            append.keys,
            [
                "{carillon}:log",
                "{carillon}:stream:a",
                "{carillon}:stream:b",
                "{carillon}:stream"
            ]
        );
    }
}
