//! One dynamic value for everything that events carry: JSON's kinds and binary.
//!
//! Text and binary share their bytes when cloned, objects keep the order of their keys, and a key given
//! twice answers with its last value, as JavaScript does. [`Value::from_json`] and [`Value::from_msgpack`] read it, and their
//! counterparts write it, as JavaScript would.

pub(crate) mod json;
pub(crate) mod msgpack;
mod serialize;

use bytes::Bytes;
use bytestring::ByteString;

pub use msgpack::MsgpackError;

/// A value of an event's arguments, an ack or a handshake's `auth`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `null`; also what `undefined` becomes.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// A whole number above `i64::MAX`.
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// Text.
    String(ByteString),
    /// Bytes: an attachment of the default parser, `bin` of msgpack.
    Binary(Bytes),
    /// A list.
    Array(Vec<Self>),
    /// Keys and values.
    Object(Object),
}

/// Keys and values in the order they were given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object(Vec<(ByteString, Value)>);

impl Object {
    /// An object without keys.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An object with room for `keys` keys.
    #[must_use]
    pub fn with_capacity(keys: usize) -> Self {
        Self(Vec::with_capacity(keys))
    }

    /// Appends a key. A key that stands twice answers with its last value.
    pub fn push(&mut self, key: impl Into<ByteString>, value: impl Into<Value>) {
        self.0.push((key.into(), value.into()));
    }

    /// The same as [`Object::push`], for building in one expression.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.push(ByteString::from_static(key), value);
        self
    }

    /// The last value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// Takes the last value of `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().rposition(|(name, _)| *name == key)?;
        Some(self.0.remove(at).1)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(ByteString, Value)> {
        self.0.iter()
    }

    /// Keys and values in order, the values to be changed.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Value> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value {
    /// The text, if it is one.
    #[must_use]
    pub const fn as_text(&self) -> Option<&ByteString> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a whole one from 0 on; JavaScript has one kind of number, so 5.0 is 5.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(number) => u64::try_from(*number).ok(),
            Self::UInt(number) => Some(*number),
            Self::Float(number) => match serialize::whole(*number) {
                Some(Self::Int(number)) => u64::try_from(number).ok(),
                Some(Self::UInt(number)) => Some(number),
                _ => None,
            },
            _ => None,
        }
    }

    /// How many [`Value::Binary`] there are in it, itself included.
    #[must_use]
    pub fn count_binary(&self) -> usize {
        match self {
            Self::Binary(_) => 1,
            Self::Array(items) => items.iter().map(Self::count_binary).sum(),
            Self::Object(object) => object.iter().map(|(_, value)| value.count_binary()).sum(),
            _ => 0,
        }
    }

    /// The object, if it is one.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The value under `key`, if this is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object().and_then(|object| object.get(key))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}
impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::UInt(value), Self::Int)
    }
}
impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}
impl From<&'static str> for Value {
    fn from(value: &'static str) -> Self {
        Self::String(ByteString::from_static(value))
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value.into())
    }
}
impl From<ByteString> for Value {
    fn from(value: ByteString) -> Self {
        Self::String(value)
    }
}
impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Binary(value)
    }
}
impl From<Vec<Self>> for Value {
    fn from(value: Vec<Self>) -> Self {
        Self::Array(value)
    }
}
impl From<Object> for Value {
    fn from(value: Object) -> Self {
        Self::Object(value)
    }
}
impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
