//! One way to write a message of either form, JSON or msgpack, into one buffer.

use bytes::Bytes;

use super::{Broadcast, KeptTemplate, OFFSET_WIDTH};
use crate::{
    id::Room,
    value::{Object, Value, json, msgpack},
};

/// Room made for a message, in bytes: most fit.
const CAPACITY: usize = 512;

/// How a message is written; a reader tells by the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Msgpack,
}

impl Form {
    /// JSON, unless there is binary among `values`.
    pub(super) fn for_values<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let has_binary = values.into_iter().any(|value| value.count_binary() > 0);
        if has_binary { Self::Msgpack } else { Self::Json }
    }
}

/// Writes a message from its start to its end. A map is opened with its number of keys, and closed.
#[derive(Debug)]
pub(super) enum Writer {
    Json {
        out: String,
        /// No comma stands before the first key or item.
        is_first: bool,
    },
    Msgpack(msgpack::Writer),
}

impl Writer {
    pub(super) fn new(form: Form) -> Self {
        match form {
            Form::Json => Self::Json {
                out: String::with_capacity(CAPACITY),
                is_first: true,
            },
            Form::Msgpack => Self::Msgpack(msgpack::Writer {
                out: Vec::with_capacity(CAPACITY),
            }),
        }
    }

    pub(super) fn open_map(&mut self, keys: usize) {
        match self {
            Self::Json { out, is_first } => {
                out.push('{');
                *is_first = true;
            }
            Self::Msgpack(writer) => writer.map(keys),
        }
    }

    pub(super) fn close_map(&mut self) {
        self.close('}');
    }

    pub(super) fn open_array(&mut self, items: usize) {
        match self {
            Self::Json { out, is_first } => {
                out.push('[');
                *is_first = true;
            }
            Self::Msgpack(writer) => writer.array(items),
        }
    }

    pub(super) fn close_array(&mut self) {
        self.close(']');
    }

    fn close(&mut self, bracket: char) {
        if let Self::Json { out, is_first } = self {
            out.push(bracket);
            *is_first = false;
        }
    }

    /// Comes before each item of an array.
    pub(super) fn item(&mut self) {
        if let Self::Json { out, is_first } = self
            && !std::mem::replace(is_first, false)
        {
            out.push(',');
        }
    }

    pub(super) fn key(&mut self, key: &str) {
        self.item();
        self.text(key);
        if let Self::Json { out, .. } = self {
            out.push(':');
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        match self {
            Self::Json { out, .. } => json::write_string(out, text),
            Self::Msgpack(writer) => writer.text(text),
        }
    }

    pub(super) fn value(&mut self, value: &Value) {
        match self {
            Self::Json { out, .. } => json::Writer {
                out,
                attachments: None,
            }
            .value(value),
            Self::Msgpack(writer) => writer.value(value),
        }
    }

    pub(super) fn object(&mut self, object: &Object) {
        self.open_map(object.len());
        for (key, value) in object.iter() {
            self.key(key);
            self.value(value);
        }
        self.close_map();
    }

    pub(super) fn uint(&mut self, number: u64) {
        self.value(&Value::from(number));
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.value(&Value::Bool(value));
    }

    pub(super) fn values(&mut self, values: &[Value]) {
        self.open_array(values.len());
        for value in values {
            self.item();
            self.value(value);
        }
        self.close_array();
    }

    pub(super) fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.open_array(texts.len());
        for text in texts {
            self.item();
            self.text(text);
        }
        self.close_array();
    }

    pub(super) fn rooms(&mut self, rooms: &[Room]) {
        self.texts(rooms.iter().map(Room::as_str));
    }

    /// The event of a broadcast, as far as both dialects have it alike: `type: 2` and `data`.
    pub(super) fn event(&mut self, event: &[Value]) {
        self.key("type");
        self.uint(2);
        self.key("data");
        self.values(event);
    }

    /// `rooms` and `except`.
    pub(super) fn target(&mut self, rooms: &[Room], except: &[Room]) {
        self.key("rooms");
        self.rooms(rooms);
        self.key("except");
        self.rooms(except);
    }

    /// The options of a broadcast, in the order of Node's adapter: `{rooms, except, flags}`. With a `kept_id` its flags
    /// have the id and, after it, the offset; answers where that belongs.
    pub(super) fn options(&mut self, broadcast: &Broadcast, flags: Flags<'_>) -> usize {
        self.open_map(3);
        self.target(&broadcast.rooms, &broadcast.except);
        self.key("flags");
        let hole = self.flags(broadcast.volatile, flags);
        self.close_map();
        hole
    }

    fn flags(&mut self, is_volatile: bool, flags: Flags<'_>) -> usize {
        let Flags { timeout_ms, kept_id } = flags;
        let keys = [is_volatile, timeout_ms.is_some()].map(usize::from);
        self.open_map(keys.iter().sum::<usize>() + 2 * usize::from(kept_id.is_some()));
        if is_volatile {
            self.key("volatile");
            self.bool(true);
        }
        if let Some(timeout_ms) = timeout_ms {
            self.key("timeout");
            self.uint(timeout_ms);
        }
        let mut hole = self.len();
        if let Some(id) = kept_id {
            self.key("id");
            self.text(id);
            self.key("offset");
            hole = self.hole();
        }
        self.close_map();
        hole
    }

    /// A text of [`OFFSET_WIDTH`] bytes without those bytes; answers where they belong.
    fn hole(&mut self) -> usize {
        match self {
            Self::Json { out, .. } => {
                out.push_str("\"\"");
                out.len() - 1
            }
            Self::Msgpack(writer) => {
                writer.text_header(OFFSET_WIDTH);
                writer.out.len()
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Json { out, .. } => out.len(),
            Self::Msgpack(writer) => writer.out.len(),
        }
    }

    pub(super) fn finish(self) -> Bytes {
        self.into_bytes().into()
    }

    pub(super) fn finish_template(self, hole: usize) -> KeptTemplate {
        KeptTemplate::new(self.into_bytes(), hole)
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Json { out, .. } => out.into_bytes(),
            Self::Msgpack(writer) => writer.out,
        }
    }
}

/// The flags of a broadcast besides `volatile`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags<'a> {
    /// For how long acks are waited for, in milliseconds.
    timeout_ms: Option<u64>,
    /// The id of a broadcast that is kept.
    kept_id: Option<&'a str>,
}

impl<'a> Flags<'a> {
    /// Those of a broadcast that is kept under `id`.
    pub(super) const fn kept(id: &'a str) -> Self {
        Self {
            timeout_ms: None,
            kept_id: Some(id),
        }
    }

    /// Those of one that asks for acks, where it says for how long.
    pub(super) const fn asking(timeout_ms: Option<u64>) -> Self {
        Self {
            timeout_ms,
            kept_id: None,
        }
    }
}
