//! The recovery log: the newest events in order, bounded in time, count and bytes.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use carillon_protocol::{
    adapter::{Broadcast, Epoch, Offset},
    id::Room,
    value::Value,
};
use tokio::time::Instant;

use crate::Missed;

/// How much of the past the log keeps, besides its window of time.
#[derive(Debug, Clone, Copy)]
pub struct LogBounds {
    /// Most events.
    pub events: usize,
    /// Most bytes of text and binary in them, roughly.
    pub bytes: usize,
}

impl Default for LogBounds {
    /// 100,000 events and 64 MiB.
    fn default() -> Self {
        Self {
            events: 100_000,
            bytes: 64 << 20,
        }
    }
}

#[derive(Debug)]
struct Entry {
    number: u64,
    at: Instant,
    bytes: usize,
    broadcast: Arc<Broadcast>,
}

#[derive(Debug)]
pub(super) struct Log {
    /// Tells this process's offsets from those of any other.
    epoch: Epoch,
    window: Duration,
    bounds: LogBounds,
    entries: VecDeque<Entry>,
    /// Number of the newest event ever appended; the first is 1.
    last: u64,
    bytes: usize,
}

impl Log {
    pub(super) fn new(window: Duration, bounds: LogBounds) -> Self {
        Self {
            epoch: Epoch::of_bits(rand::random()),
            window,
            bounds,
            entries: VecDeque::new(),
            last: 0,
            bytes: 0,
        }
    }

    pub(super) fn append(&mut self, broadcast: Arc<Broadcast>) -> Offset {
        let bytes = size(&broadcast);
        self.last += 1;
        self.bytes += bytes;
        self.entries.push_back(Entry {
            number: self.last,
            at: Instant::now(),
            bytes,
            broadcast,
        });
        self.trim();
        self.offset(self.last)
    }

    pub(super) fn head(&self) -> Offset {
        self.offset(self.last)
    }

    pub(super) fn since(&self, from: Offset, rooms: &[Room]) -> Option<Vec<Missed>> {
        let next = from.number() + 1;
        let oldest = self.entries.front().map_or(self.last + 1, |entry| entry.number);
        if !from.is_up_to(self.head()) || next < oldest {
            return None;
        }
        let skip = usize::try_from(next - oldest).ok()?;
        let missed = self
            .entries
            .iter()
            .skip(skip)
            .filter(|entry| concerns(&entry.broadcast, rooms));
        Some(
            missed
                .map(|entry| Missed {
                    broadcast: Arc::clone(&entry.broadcast),
                    offset: self.offset(entry.number),
                })
                .collect(),
        )
    }

    /// Past the last number there is, which no process lives to see, nobody is recovered.
    fn offset(&self, number: u64) -> Offset {
        Offset::new(self.epoch, number).unwrap_or(Offset::NOWHERE)
    }

    fn trim(&mut self) {
        while let Some(oldest) = self.entries.front() {
            let over = self.entries.len() > self.bounds.events || self.bytes > self.bounds.bytes;
            if !over && oldest.at.elapsed() <= self.window {
                return;
            }
            self.bytes -= oldest.bytes;
            self.entries.pop_front();
        }
    }
}

/// Whether a socket in `rooms` is given `broadcast`.
fn concerns(broadcast: &Broadcast, rooms: &[Room]) -> bool {
    let in_any = |named: &[Room]| named.iter().any(|room| rooms.contains(room));
    (broadcast.rooms.is_empty() || in_any(&broadcast.rooms)) && !in_any(&broadcast.except)
}

fn size(broadcast: &Broadcast) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len(),
            Value::Binary(bytes) => bytes.len(),
            Value::Array(values) => values.iter().map(of).sum(),
            Value::Object(object) => object.iter().map(|(key, value)| key.len() + of(value)).sum(),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => 8,
        }
    }
    // The constant stands for the entry itself and its rooms.
    256 + broadcast.event.iter().map(of).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(120);

    fn to(rooms: &[&'static str], except: &[&'static str]) -> Arc<Broadcast> {
        let named = |names: &[&'static str]| names.iter().map(|name| Room::new(*name)).collect();
        let event = vec![Value::from("e")];
        Arc::new(Broadcast {
            nsp: "/".into(),
            event,
            rooms: named(rooms),
            except: named(except),
            volatile: false,
        })
    }

    fn numbers(log: &Log, from: Offset, rooms: &[&'static str]) -> Option<Vec<u64>> {
        let rooms: Vec<Room> = rooms.iter().map(|name| Room::new(*name)).collect();
        let missed = log.since(from, &rooms)?;
        assert!(missed.iter().all(|missed| missed.offset.epoch() == log.epoch));
        Some(missed.into_iter().map(|missed| missed.offset.number()).collect())
    }

    #[tokio::test]
    async fn gives_what_came_after_an_offset_for_the_rooms() {
        let mut log = Log::new(WINDOW, LogBounds::default());
        let start = log.head();
        log.append(to(&["a"], &[]));
        let second = log.append(to(&["b"], &[]));
        log.append(to(&[], &["a"]));
        let last = log.append(to(&[], &[]));

        assert_eq!(numbers(&log, start, &["a"]), Some(vec![1, 4]));
        assert_eq!(numbers(&log, second, &["b"]), Some(vec![3, 4]));
        assert_eq!(numbers(&log, last, &["a"]), Some(vec![]));
        assert_eq!(log.head(), last);
    }

    #[tokio::test]
    async fn an_offset_of_no_place_in_this_log_is_refused() {
        let mut log = Log::new(WINDOW, LogBounds::default());
        log.append(to(&[], &[]));

        let in_another = Log::new(WINDOW, LogBounds::default()).head();
        for offset in [log.offset(2), log.offset(1 << 53), in_another, Offset::NOWHERE] {
            assert_eq!(numbers(&log, offset, &[]), None, "{offset}");
        }
    }

    #[tokio::test]
    async fn what_was_trimmed_by_count_or_bytes_cannot_be_recovered() {
        let few = LogBounds {
            events: 2,
            bytes: usize::MAX,
        };
        let small = LogBounds {
            events: 100,
            bytes: 600,
        };
        for bounds in [few, small] {
            let mut log = Log::new(WINDOW, bounds);
            let places = [(); 4].map(|()| log.append(to(&[], &[])));
            assert_eq!(numbers(&log, places[0], &[]), None);
            assert_eq!(numbers(&log, places[1], &[]), Some(vec![3, 4]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_goes() {
        let mut log = Log::new(WINDOW, LogBounds::default());
        let start = log.head();
        let first = log.append(to(&[], &[]));
        tokio::time::advance(WINDOW + Duration::from_millis(1)).await;
        log.append(to(&[], &[]));

        assert_eq!(numbers(&log, start, &[]), None);
        assert_eq!(numbers(&log, first, &[]), Some(vec![2]));
    }
}
