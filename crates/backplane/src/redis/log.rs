//! The log: its epoch, its newest place, and what it tells of the past. [`append`] writes it, and [`announce`].

mod announce;
mod append;
mod marks;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use carillon_protocol::{
    adapter::{Broadcast, Epoch, Offset},
    id::Room,
};
use redis::{Cmd, Pipeline, Value, streams::StreamRangeReply};

use super::{
    RedisBackplane,
    commands::{in_time, unreadable},
    lifetimes, millis,
    routing::Frame,
    scripts,
};
use crate::{Missed, Placement, Result, Unavailable};

pub(super) use announce::Announce;
pub(super) use append::{Append, placement, unplaced};
pub(super) use marks::Marks;

/// Newest entries of a room's stream that are never trimmed.
const ROOM_ENTRIES: usize = 1_000;

/// The same of the stream of everybody.
const COMMON_ENTRIES: usize = 10_000;

/// Most events that a session is given.
const MAX_MISSED: usize = 2_000;

/// What the log's own key holds: epoch, number of the newest entry.
type Head = (Option<String>, Option<u64>);

fn place((epoch, number): &Head) -> Option<Offset> {
    Offset::new(Epoch::parse(epoch.as_deref()?)?, number.unwrap_or_default())
}

impl RedisBackplane {
    /// Makes sure that the log's epoch is of this run of Redis, and new where this node knows of events that it lacks. Answers
    /// what tells the data that Redis holds now from what it held before it lost anything.
    pub(super) async fn renew_epoch(&self) -> Result<String> {
        let has_unlogged = self.has_unlogged.swap(false, Ordering::AcqRel);
        let fresh = Epoch::of_bits(rand::random());
        let mut call = self.scripts.epoch.key(self.names.log());
        call.arg(i32::from(has_unlogged)).arg(fresh.to_string());
        let renewed = self.commands.script::<String>(&call).await;
        if renewed.is_err() && has_unlogged {
            self.mark_unlogged();
        }
        renewed
    }

    /// The newest place in the log, once everything before it that concerns this node was delivered here.
    pub(super) async fn log_head(&self) -> Result<Offset> {
        self.require_order()?;
        let mark = self.marks.next();
        let frame = self
            .seal(&self.own_channel, &Frame::Mark(mark.number))
            .ok_or_else(|| Unavailable::new("a mark cannot be sealed"))?;
        let mut call = scripts::call(&self.scripts.head, &[self.names.log()]);
        call.arg(self.codec.publishing())
            .arg(&self.own_channel)
            .arg(&*frame);
        let answer = self.call(&self.own_channel, &self.scripts.head, call).await?;
        let place: String = redis::from_redis_value(answer).map_err(unreadable)?;
        let place =
            Offset::parse(&place).ok_or_else(|| Unavailable::new("the log's place cannot be read"))?;
        in_time(mark.passed()).await?;
        Ok(place)
    }

    /// Whether message `seq` of `chat` may be published now ([`Placement::Placed`]).
    pub(super) async fn order_of(&self, chat: &str, seq: u64) -> Result<Placement> {
        Ok(match self.last_in_order(chat).await? {
            None => Placement::Unsettled,
            Some(last) if seq <= last => Placement::Known,
            Some(last) if seq > last + 1 => Placement::Early { expected: last + 1 },
            Some(_) => Placement::Placed,
        })
    }

    /// Up to which `seq` the messages of `chat` were published; `None` where that is not known.
    pub(super) async fn last_in_order(&self, chat: &str) -> Result<Option<u64>> {
        let mut command = redis::cmd("GET");
        command.arg(self.names.order_of(chat));
        self.commands.query(&command).await
    }

    /// Message `seq` of `chat` was published.
    pub(super) async fn commit_order(&self, chat: &str, seq: u64) -> Result<()> {
        let mut call = self.scripts.commit.key(self.names.order_of(chat));
        call.arg(seq).arg(millis(lifetimes::ORDER));
        self.commands.script(&call).await
    }

    fn ask_head(&self) -> Cmd {
        let mut command = redis::cmd("HMGET");
        command.arg(self.names.log()).arg("epoch").arg("n");
        command
    }

    pub(super) async fn since(&self, from: Offset, rooms: &[Room]) -> Result<Option<Vec<Missed>>> {
        let rooms: HashSet<&Room> = rooms.iter().collect();
        let streams = std::iter::once((self.names.stream_of_all(), COMMON_ENTRIES)).chain(
            rooms
                .iter()
                .map(|room| (self.names.stream_of(room), ROOM_ENTRIES)),
        );
        let streams: Vec<_> = streams.collect();
        // At one moment: otherwise a later event of one stream might come before an earlier one of another.
        let mut asked = redis::pipe();
        asked.atomic().add_command(self.ask_head());
        for (stream, _) in &streams {
            ask_stream(&mut asked, stream, from.number());
        }
        let answers: Vec<Value> = self.commands.pipeline(&asked).await?;
        let Some((head, answers)) = answers.split_first() else {
            return Err(Unavailable::new("the log's answer is empty"));
        };
        let head: Head = redis::from_redis_value(head.clone()).map_err(unreadable)?;
        if !place(&head).is_some_and(|head| from.is_up_to(head)) {
            return Ok(None);
        }
        let mut merged = BTreeMap::new();
        for ((_, kept), answer) in streams.iter().zip(answers.chunks_exact(3)) {
            let Some(entries) = read_stream(answer, from.number(), *kept)? else {
                return Ok(None);
            };
            merged.extend(entries);
        }
        if merged.len() > MAX_MISSED {
            return Ok(None);
        }
        Ok(self.concerning(&merged, from.epoch(), &rooms))
    }

    /// Those of `entries` that are not for others alone. `None` where one cannot be read: something would be missing.
    fn concerning(
        &self,
        entries: &BTreeMap<u64, Bytes>,
        epoch: Epoch,
        rooms: &HashSet<&Room>,
    ) -> Option<Vec<Missed>> {
        let mut missed = Vec::new();
        for (number, payload) in entries {
            let broadcast: Broadcast = self.codec.decode_kept(payload)?;
            if broadcast.except.iter().any(|room| rooms.contains(room)) {
                continue;
            }
            missed.push(Missed {
                broadcast: Arc::new(broadcast),
                offset: Offset::new(epoch, *number)?,
            });
        }
        Some(missed)
    }
}

/// Asks for what came after `number`, for the first entry, and for how many there are.
fn ask_stream(asked: &mut Pipeline, stream: &str, number: u64) {
    asked
        .cmd("XRANGE")
        .arg(stream)
        .arg(format!("({number}-0"))
        .arg("+")
        .arg("COUNT")
        .arg(MAX_MISSED + 1);
    asked
        .cmd("XRANGE")
        .arg(stream)
        .arg("-")
        .arg("+")
        .arg("COUNT")
        .arg(1);
    asked.cmd("XLEN").arg(stream);
}

/// What [`ask_stream`] was answered. `None` where entries after `number` may have been trimmed.
fn read_stream(answer: &[Value], number: u64, kept: usize) -> Result<Option<Vec<(u64, Bytes)>>> {
    let [entries, first, length] = answer else {
        return Err(Unavailable::new("a stream's answer is incomplete"));
    };
    let first: StreamRangeReply = redis::from_redis_value(first.clone()).map_err(unreadable)?;
    let length: usize = redis::from_redis_value(length.clone()).map_err(unreadable)?;
    let reaches_back = first
        .ids
        .first()
        .and_then(|entry| entry_number(&entry.id))
        .is_none_or(|first| first <= number);
    if !reaches_back && length >= kept {
        return Ok(None);
    }
    let entries: StreamRangeReply = redis::from_redis_value(entries.clone()).map_err(unreadable)?;
    let numbered = entries.ids.iter().map(|entry| {
        let payload: Vec<u8> = entry.get("b")?;
        Some((entry_number(&entry.id)?, Bytes::from(payload)))
    });
    Ok(numbered.collect())
}

fn entry_number(id: &str) -> Option<u64> {
    id.strip_suffix("-0")?.parse().ok()
}
