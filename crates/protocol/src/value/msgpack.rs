//! [`Value`] as msgpack, read and written as notepack does it, which the official parser and the adapters use.

mod reader;
mod writer;

use bytes::Bytes;

use super::Value;
use crate::limits;

pub(crate) use reader::read;
pub(crate) use writer::Writer;

/// Bytes that are no msgpack value, more than one, or nested too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid msgpack")]
pub struct MsgpackError;

impl Value {
    /// Reads one msgpack value that fills `bytes`, at most [`limits::MAX_DEPTH`] levels deep. Binary shares `bytes`.
    ///
    /// What JavaScript writes beyond JSON's kinds is read as its JSON form: dates (notepack's `d7 00` and timestamp -1)
    /// as ISO 8601 text, `undefined` (`d4 00 00`) as `null` in a list and as no key in a map, typed arrays (extension 0)
    /// as binary. Text that is no UTF-8 gets U+FFFD. Keys that are numbers, booleans or nil become their text. Any other
    /// extension is `[type, binary]`.
    ///
    /// ```
    /// use carillon_protocol::value::Value;
    ///
    /// let value = Value::from_msgpack(&b"\x82\xa1a\x05\xa1b\xd4\x00\x00"[..].into()).unwrap();
    /// assert_eq!(value.to_json(), r#"{"a":5}"#);
    /// ```
    ///
    /// # Errors
    /// Where the bytes are cut short, go on after the value, or are nested too deep.
    pub fn from_msgpack(bytes: &Bytes) -> Result<Self, MsgpackError> {
        read(bytes, limits::MAX_DEPTH)
    }

    /// Writes msgpack with the shortest integers; whole floats within 64 bits are integers too.
    #[must_use]
    pub fn to_msgpack(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.value(self);
        writer.out
    }
}
