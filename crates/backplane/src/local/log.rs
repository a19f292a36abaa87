//! The recovery log: the newest events in order, bounded in time, count and bytes.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytestring::ByteString;
use carillon_protocol::{adapter::Broadcast, id::Room, value::Value};
use tokio::time::Instant;

use crate::{Missed, Offset};

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
    epoch: String,
    window: Duration,
    bounds: LogBounds,
    entries: VecDeque<Entry>,
    /// Number of the newest event ever appended; the first is 1.
    last: u64,
    bytes: usize,
}

impl Log {
    pub(super) fn new(epoch: &str, window: Duration, bounds: LogBounds) -> Self {
        Self {
            epoch: epoch.to_owned(),
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

    pub(super) fn since(&self, offset: &str, rooms: &[Room]) -> Option<Vec<Missed>> {
        let number: u64 = offset
            .strip_prefix(&self.epoch)?
            .strip_prefix('.')?
            .parse()
            .ok()?;
        let oldest = self.entries.front().map_or(self.last + 1, |entry| entry.number);
        if number > self.last || number + 1 < oldest {
            return None;
        }
        let skip = usize::try_from(number + 1 - oldest).ok()?;
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

    fn offset(&self, number: u64) -> Offset {
        ByteString::from(format!("{}.{number}", self.epoch))
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

    fn numbers(log: &Log, offset: &str, rooms: &[&'static str]) -> Option<Vec<String>> {
        let rooms: Vec<Room> = rooms.iter().map(|name| Room::new(*name)).collect();
        Some(
            log.since(offset, &rooms)?
                .into_iter()
                .map(|missed| missed.offset.to_string())
                .collect(),
        )
    }

    #[tokio::test]
    async fn gives_what_came_after_an_offset_for_the_rooms() {
        let mut log = Log::new("x", WINDOW, LogBounds::default());
        let start = log.head();
        log.append(to(&["a"], &[]));
        log.append(to(&["b"], &[]));
        log.append(to(&[], &["a"]));
        log.append(to(&[], &[]));

        assert_eq!(
            numbers(&log, &start, &["a"]),
            Some(vec!["x.1".to_owned(), "x.4".to_owned()])
        );
        assert_eq!(
            numbers(&log, "x.2", &["b"]),
            Some(vec!["x.3".to_owned(), "x.4".to_owned()])
        );
        assert_eq!(numbers(&log, "x.4", &["a"]), Some(vec![]));
    }

    #[tokio::test]
    async fn an_offset_of_nobody_is_refused() {
        let mut log = Log::new("x", WINDOW, LogBounds::default());
        log.append(to(&[], &[]));

        for offset in ["", "x", "x.", "x.2", "x.-1", "y.1", "x.18446744073709551615"] {
            assert_eq!(numbers(&log, offset, &[]), None, "{offset}");
        }
    }

    #[tokio::test]
    async fn what_was_trimmed_by_count_or_bytes_cannot_be_recovered() {
        let mut few = Log::new(
            "x",
            WINDOW,
            LogBounds {
                events: 2,
                bytes: usize::MAX,
            },
        );
        let mut small = Log::new(
            "x",
            WINDOW,
            LogBounds {
                events: 100,
                bytes: 600,
            },
        );
        for log in [&mut few, &mut small] {
            for _ in 0..4 {
                log.append(to(&[], &[]));
            }
            assert_eq!(numbers(log, "x.1", &[]), None);
            assert_eq!(numbers(log, "x.2", &[]).map(|missed| missed.len()), Some(2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_goes() {
        let mut log = Log::new("x", WINDOW, LogBounds::default());
        log.append(to(&[], &[]));
        tokio::time::advance(WINDOW + Duration::from_millis(1)).await;
        log.append(to(&[], &[]));

        assert_eq!(numbers(&log, "x.0", &[]), None);
        assert_eq!(numbers(&log, "x.1", &[]).map(|missed| missed.len()), Some(1));
    }
}
