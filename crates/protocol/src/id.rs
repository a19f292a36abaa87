//! Identifiers: users, messages and notifications, rooms.

use std::fmt;

use bytestring::ByteString;
use serde::{Serialize, Serializer};

use crate::{limits, text, time::Timestamp, value::Value};

/// A user's id: 1 to 128 UTF-16 code units without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(ByteString);

/// Why a text or value is no user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUserId {
    /// Neither text nor an integer.
    #[error("a user id is a text or an integer")]
    Type,
    /// Nothing in it.
    #[error("a user id is not empty")]
    Empty,
    /// More than 128 code units.
    #[error("a user id has at most 128 characters")]
    TooLong,
    /// A control character in it.
    #[error("a user id has no control characters")]
    Control,
}

impl UserId {
    /// Checks a text.
    ///
    /// # Errors
    /// Where it is empty, too long or has a control character.
    pub fn parse(id: impl Into<ByteString>) -> Result<Self, InvalidUserId> {
        let id = id.into();
        if id.is_empty() {
            return Err(InvalidUserId::Empty);
        }
        if text::utf16_len(&id) > limits::MAX_USER_ID_UNITS {
            return Err(InvalidUserId::TooLong);
        }
        if id.chars().any(char::is_control) {
            return Err(InvalidUserId::Control);
        }
        Ok(Self(id))
    }

    /// Checks a value where a user id belongs; an integer counts as its decimal text.
    ///
    /// # Errors
    /// As [`UserId::parse`], and where the value is neither text nor integer.
    pub fn from_value(value: &Value) -> Result<Self, InvalidUserId> {
        match value {
            Value::String(id) => Self::parse(id.clone()),
            Value::Int(id) => Self::parse(id.to_string()),
            Value::UInt(id) => Self::parse(id.to_string()),
            // JavaScript has one kind of number: 5.0 is the integer 5.
            Value::Float(id) if id.fract() == 0.0 && id.abs() < 9_007_199_254_740_992.0 => {
                Self::parse(format!("{id:.0}"))
            }
            _ => Err(InvalidUserId::Type),
        }
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id's text, sharing its bytes.
    #[must_use]
    pub const fn text(&self) -> &ByteString {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl From<&UserId> for Value {
    fn from(id: &UserId) -> Self {
        Self::String(id.0.clone())
    }
}

/// An id of a message or notification: twelve bytes, written as 24 lower-case hex digits (an `ObjectId`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId([u8; 12]);

impl ObjectId {
    /// From its twelve bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// Its twelve bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }

    /// When it was made, to the second: its first four bytes.
    #[must_use]
    pub fn made_at(&self) -> Timestamp {
        let [a, b, c, d, ..] = self.0;
        Timestamp::from_millis(i64::from(u32::from_be_bytes([a, b, c, d])) * 1_000)
    }

    /// Reads 24 hex digits of either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 24 {
            return None;
        }
        let mut bytes = [0; 12];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let nibble = char::from(*digit).to_digit(16)?;
                *byte = (*byte << 4) | u8::try_from(nibble).ok()?;
            }
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl From<ObjectId> for Value {
    fn from(id: ObjectId) -> Self {
        Self::String(ByteString::from(id.to_string()))
    }
}

/// The name of a Socket.IO room.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Room(ByteString);

impl Room {
    /// A room of any name.
    pub fn new(name: impl Into<ByteString>) -> Self {
        Self(name.into())
    }

    /// `user_<id>`: every socket of the user is in it.
    #[must_use]
    pub fn of_user(user: &UserId) -> Self {
        Self(format!("user_{user}").into())
    }

    /// Whether it is the room of a user, as [`Room::of_user`] names it.
    #[must_use]
    pub fn is_of_user(&self) -> bool {
        self.0.starts_with("user_")
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Room {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_counts_as_its_decimal_text() {
        assert_eq!(UserId::from_value(&Value::Int(-7)).unwrap().as_str(), "-7");
        assert_eq!(UserId::from_value(&Value::Float(5.0)).unwrap().as_str(), "5");
        assert_eq!(UserId::from_value(&Value::Float(5.5)), Err(InvalidUserId::Type));
        assert_eq!(UserId::from_value(&Value::Bool(true)), Err(InvalidUserId::Type));
    }

    #[test]
    fn refuses_what_is_no_user_id() {
        assert_eq!(UserId::parse(""), Err(InvalidUserId::Empty));
        assert_eq!(UserId::parse("a\u{7}"), Err(InvalidUserId::Control));
        assert_eq!(UserId::parse("😀".repeat(65)), Err(InvalidUserId::TooLong));
        assert!(UserId::parse("😀".repeat(64)).is_ok());
        assert!(UserId::parse("a b+c@d/é").is_ok());
    }

    #[test]
    fn object_ids_are_24_lower_case_digits() {
        let id = ObjectId::parse("00FF10aa00000000000000b1").unwrap();
        assert_eq!(id.to_string(), "00ff10aa00000000000000b1");
        assert_eq!(id.made_at(), Timestamp::from_millis(0x00ff_10aa * 1_000));
        assert_eq!(ObjectId::parse("00ff10aa00000000000000b"), None);
        assert_eq!(ObjectId::parse("00ff10aa00000000000000bé"), None);
        assert_eq!(ObjectId::parse("+0ff10aa00000000000000b1"), None);
    }
}
