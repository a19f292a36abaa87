//! What goes from one node to another when a session moves, as bytes. No tokens, no headers.

use std::time::Duration;

use bytes::Bytes;
use carillon_protocol::{engine::Frame, value::Value};

use super::machine::{Beat, Clock};

/// The shape of the bytes. Nodes of another shape refuse them; the session then ends, and is recovered.
const VERSION: i64 = 1;

/// Longest time that is believed: far enough to be never.
const MAX_LEFT: Duration = Duration::from_secs(60 * 60 * 24 * 366 * 10);

/// What a session's new node needs to build it again, before it moves.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionBrief {
    /// The client's address, as text.
    pub(crate) address: String,
    /// Of the layer above.
    pub(crate) layer: Value,
}

/// What a session is at the moment it moves.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionExport {
    /// What its client has not been given, oldest first.
    pub(crate) frames: Vec<Frame>,
    pub(crate) clock: Clock,
    /// Of the layer above.
    pub(crate) layer: Value,
}

impl SessionBrief {
    /// As bytes, for the new node.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        write(vec![self.address.clone().into(), self.layer.clone()])
    }

    /// From bytes; `None` where they are none of a brief.
    #[must_use]
    pub fn from_bytes(bytes: &Bytes) -> Option<Self> {
        let [address, layer] = read(bytes)?;
        Some(Self {
            address: address.as_text()?.to_string(),
            layer,
        })
    }
}

impl SessionExport {
    /// As bytes, for the new node.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let frames = self.frames.iter().map(|frame| match frame {
            Frame::Text(text) => Value::String(text.clone()),
            Frame::Binary(bytes) => Value::Binary(bytes.clone()),
        });
        write(vec![
            Value::Array(frames.collect()),
            write_clock(&self.clock),
            self.layer.clone(),
        ])
    }

    /// From bytes; `None` where they are none of an export.
    #[must_use]
    pub fn from_bytes(bytes: &Bytes) -> Option<Self> {
        let [frames, clock, layer] = read(bytes)?;
        let Value::Array(frames) = frames else {
            return None;
        };
        let frame = |value| match value {
            Value::String(text) => Some(Frame::Text(text)),
            Value::Binary(bytes) => Some(Frame::Binary(bytes)),
            _ => None,
        };
        Some(Self {
            frames: frames.into_iter().map(frame).collect::<Option<_>>()?,
            clock: read_clock(clock)?,
            layer,
        })
    }
}

/// `[version, …parts]`
fn write(parts: Vec<Value>) -> Bytes {
    let mut list = vec![Value::Int(VERSION)];
    list.extend(parts);
    Value::Array(list).to_msgpack().into()
}

/// The parts of this version's bytes.
fn read<const N: usize>(bytes: &Bytes) -> Option<[Value; N]> {
    let Ok(Value::Array(mut list)) = Value::from_msgpack(bytes) else {
        return None;
    };
    if list.first() != Some(&Value::Int(VERSION)) {
        return None;
    }
    list.remove(0);
    list.try_into().ok()
}

/// `[ping or pong, is it a pong, extended, join, expires]`, times in microseconds.
fn write_clock(clock: &Clock) -> Value {
    let micros = |left: Duration| Value::from(u64::try_from(left.as_micros()).unwrap_or(u64::MAX));
    let (left, is_pong, extended) = match clock.beat {
        Beat::Idle(left) => (left, false, false),
        Beat::Awaiting { left, extended } => (left, true, extended),
    };
    Value::Array(vec![
        micros(left),
        is_pong.into(),
        extended.into(),
        clock.join.map(micros).into(),
        clock.expires.map(micros).into(),
    ])
}

fn read_clock(value: Value) -> Option<Clock> {
    let Value::Array(list) = value else { return None };
    let [left, is_pong, extended, join, expires]: [Value; 5] = list.try_into().ok()?;
    let time = |value: &Value| Some(Duration::from_micros(value.as_u64()?).min(MAX_LEFT));
    let optional = |value: &Value| match value {
        Value::Null => Some(None),
        value => time(value).map(Some),
    };
    let left = time(&left)?;
    let beat = match (is_pong, extended) {
        (Value::Bool(false), Value::Bool(_)) => Beat::Idle(left),
        (Value::Bool(true), Value::Bool(extended)) => Beat::Awaiting { left, extended },
        _ => return None,
    };
    Some(Clock {
        beat,
        join: optional(&join)?,
        expires: optional(&expires)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn duration() -> impl Strategy<Value = Duration> {
        (0..10_u64.pow(14)).prop_map(Duration::from_micros)
    }

    fn clock() -> impl Strategy<Value = Clock> {
        let beat = prop_oneof![
            duration().prop_map(Beat::Idle),
            (duration(), any::<bool>()).prop_map(|(left, extended)| Beat::Awaiting { left, extended }),
        ];
        let optional = || proptest::option::of(duration());
        (beat, optional(), optional()).prop_map(|(beat, join, expires)| Clock { beat, join, expires })
    }

    fn frame() -> impl Strategy<Value = Frame> {
        prop_oneof![
            any::<String>().prop_map(|text| Frame::Text(text.into())),
            any::<Vec<u8>>().prop_map(|bytes| Frame::Binary(bytes.into())),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            address: String,
            text: String,
            frames in proptest::collection::vec(frame(), 0..8),
            clock in clock(),
        ) {
            let layer = Value::from(text);
            let brief = SessionBrief { address, layer: layer.clone() };
            prop_assert_eq!(SessionBrief::from_bytes(&brief.to_bytes()), Some(brief));
            let export = SessionExport { frames, clock, layer };
            prop_assert_eq!(SessionExport::from_bytes(&export.to_bytes()), Some(export));
        }

        #[test]
        fn bytes_cut_short_or_changed_do_no_harm(
            frames in proptest::collection::vec(frame(), 0..3),
            clock in clock(),
            at: prop::sample::Index,
            byte: u8,
        ) {
            let bytes = SessionExport { frames, clock, layer: Value::Null }.to_bytes();
            let at = at.index(bytes.len());
            prop_assert_eq!(SessionExport::from_bytes(&bytes.slice(..at)), None);
            let mut changed = bytes.to_vec();
            changed[at] = byte;
            let _any = SessionExport::from_bytes(&changed.into());
        }
    }

    #[test]
    fn another_version_is_refused() {
        let brief = SessionBrief {
            address: String::new(),
            layer: Value::Null,
        };
        let mut bytes = brief.to_bytes().to_vec();
        bytes[1] += 1;
        assert_eq!(SessionBrief::from_bytes(&bytes.into()), None);
    }

    #[test]
    fn a_time_that_no_clock_holds_counts_as_the_longest() {
        let list = |micros: u64| {
            Value::Array(vec![
                micros.into(),
                false.into(),
                false.into(),
                Value::Null,
                Value::Null,
            ])
        };
        assert_eq!(read_clock(list(u64::MAX)).unwrap().beat, Beat::Idle(MAX_LEFT));
        assert_eq!(read_clock(list(0)).unwrap().beat, Beat::Idle(Duration::ZERO));
    }
}
