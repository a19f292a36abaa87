//! Reading msgpack, with what JavaScript's encoders write beyond JSON's kinds.

use bytes::{Buf as _, Bytes, TryGetError};
use bytestring::ByteString;

use super::MsgpackError;
use crate::{
    time::Timestamp,
    value::{Object, Value},
};

/// Reads one value that fills `bytes`, at most `depth` levels deep.
pub(crate) fn read(bytes: &Bytes, depth: usize) -> Result<Value, MsgpackError> {
    let mut reader = Reader { rest: bytes.clone() };
    let value = reader.value(depth)?;
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(MsgpackError)
    }
}

struct Reader {
    rest: Bytes,
}

/// Room made for a list or map before its content is seen: a length alone costs a sender nothing.
const MAX_CAPACITY: usize = 64;

impl From<TryGetError> for MsgpackError {
    fn from(_: TryGetError) -> Self {
        Self
    }
}

impl Reader {
    fn value(&mut self, depth: usize) -> Result<Value, MsgpackError> {
        let marker = self.rest.try_get_u8()?;
        match marker {
            0x00..=0x7f => Ok(Value::Int(marker.into())),
            0x80..=0x8f => self.map(usize::from(marker & 0x0f), depth),
            0x90..=0x9f => self.array(usize::from(marker & 0x0f), depth),
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f)),
            0xc0 => Ok(Value::Null),
            0xc1 => Err(MsgpackError),
            0xc2 => Ok(Value::Bool(false)),
            0xc3 => Ok(Value::Bool(true)),
            0xc4..=0xc6 => self
                .length(marker - 0xc4)
                .and_then(|length| self.bytes(length))
                .map(Value::Binary),
            0xc7..=0xc9 => self
                .length(marker - 0xc7)
                .and_then(|length| self.extension(length)),
            0xca => Ok(Value::Float(self.rest.try_get_f32()?.into())),
            0xcb => Ok(Value::Float(self.rest.try_get_f64()?)),
            0xcc => Ok(Value::Int(self.rest.try_get_u8()?.into())),
            0xcd => Ok(Value::Int(self.rest.try_get_u16()?.into())),
            0xce => Ok(Value::Int(self.rest.try_get_u32()?.into())),
            0xcf => Ok(Value::from(self.rest.try_get_u64()?)),
            0xd0 => Ok(Value::Int(self.rest.try_get_i8()?.into())),
            0xd1 => Ok(Value::Int(self.rest.try_get_i16()?.into())),
            0xd2 => Ok(Value::Int(self.rest.try_get_i32()?.into())),
            0xd3 => Ok(Value::Int(self.rest.try_get_i64()?)),
            0xd4..=0xd8 => self.fixed_extension(1 << (marker - 0xd4)),
            0xd9..=0xdb => self.length(marker - 0xd9).and_then(|length| self.text(length)),
            0xdc..=0xdd => self
                .length(marker - 0xdc + 1)
                .and_then(|length| self.array(length, depth)),
            0xde..=0xdf => self
                .length(marker - 0xde + 1)
                .and_then(|length| self.map(length, depth)),
            0xe0..=0xff => Ok(Value::Int(i64::from(marker) - 0x100)),
        }
    }

    /// A length of 1, 2 or 4 bytes, for `size` 0, 1 or 2.
    fn length(&mut self, size: u8) -> Result<usize, MsgpackError> {
        let length = match size {
            0 => self.rest.try_get_u8()?.into(),
            1 => self.rest.try_get_u16()?.into(),
            _ => self.rest.try_get_u32()?,
        };
        usize::try_from(length).map_err(|_| MsgpackError)
    }

    fn bytes(&mut self, length: usize) -> Result<Bytes, MsgpackError> {
        if length > self.rest.len() {
            return Err(MsgpackError);
        }
        Ok(self.rest.split_to(length))
    }

    fn text(&mut self, length: usize) -> Result<Value, MsgpackError> {
        let bytes = self.rest.get(..length).ok_or(MsgpackError)?;
        // A JavaScript encoder writes half surrogate pairs as they are.
        let text = ByteString::from(&*String::from_utf8_lossy(bytes));
        self.rest.advance(length);
        Ok(Value::String(text))
    }

    fn array(&mut self, length: usize, depth: usize) -> Result<Value, MsgpackError> {
        let depth = depth.checked_sub(1).ok_or(MsgpackError)?;
        let mut items = Vec::with_capacity(length.min(MAX_CAPACITY));
        for _ in 0..length {
            items.push(self.value(depth)?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, length: usize, depth: usize) -> Result<Value, MsgpackError> {
        let depth = depth.checked_sub(1).ok_or(MsgpackError)?;
        let mut object = Object::with_capacity(length.min(MAX_CAPACITY));
        for _ in 0..length {
            let key = self.key()?;
            if self.skip_undefined() {
                continue;
            }
            object.push(key, self.value(depth)?);
        }
        Ok(Value::Object(object))
    }

    fn key(&mut self) -> Result<ByteString, MsgpackError> {
        match self.value(0)? {
            Value::String(key) => Ok(key),
            Value::Binary(_) | Value::Array(_) | Value::Object(_) => Err(MsgpackError),
            key @ (Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_)) => {
                Ok(key.to_json().into())
            }
        }
    }

    fn skip_undefined(&mut self) -> bool {
        let is_undefined = matches!(&*self.rest, [0xd4, 0x00, _, ..]);
        if is_undefined {
            self.rest.advance(3);
        }
        is_undefined
    }

    /// An extension with its length before its type: a typed array, a timestamp with seconds beyond 34 bits.
    fn extension(&mut self, length: usize) -> Result<Value, MsgpackError> {
        let kind = self.rest.try_get_i8()?;
        let mut bytes = self.bytes(length)?;
        Ok(match (kind, length) {
            (0, _) => Value::Binary(bytes),
            (-1, 12) => {
                let nanos = bytes.try_get_u32()?;
                iso_8601(i128::from(bytes.try_get_i64()?) * 1_000 + i128::from(nanos / 1_000_000))
            }
            _ => Value::Array(vec![Value::Int(kind.into()), Value::Binary(bytes)]),
        })
    }

    /// An extension with its length in the marker: `undefined`, a date, a timestamp.
    fn fixed_extension(&mut self, length: usize) -> Result<Value, MsgpackError> {
        let kind = self.rest.try_get_i8()?;
        let mut bytes = self.bytes(length)?;
        Ok(match (kind, length) {
            (0, 1) => Value::Null,
            (0, 8) => iso_8601(bytes.try_get_i64()?.into()),
            (-1, 4) => iso_8601(i128::from(bytes.try_get_u32()?) * 1_000),
            (-1, 8) => {
                let packed = bytes.try_get_u64()?;
                let (nanos, seconds) = (packed >> 34, packed & 0x3_ffff_ffff);
                iso_8601(i128::from(seconds) * 1_000 + i128::from(nanos / 1_000_000))
            }
            _ => Value::Array(vec![Value::Int(kind.into()), Value::Binary(bytes)]),
        })
    }
}

/// The text of a date; `null` outside the years 0 to 9999, as an invalid `Date` has it.
fn iso_8601(millis: i128) -> Value {
    let at = i64::try_from(millis).map(Timestamp::from_millis).ok();
    at.filter(|at| i128::from(at.as_millis()) == millis)
        .map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    fn read(bytes: &[u8]) -> Result<Value, MsgpackError> {
        Value::from_msgpack(&Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn what_javascript_writes_beyond_json_is_read_as_its_json_form() {
        let vectors: [(&[u8], &str); 14] = [
            (b"\x91\xd4\x00\x00", "[null]"),
            (b"\x82\xa1a\xd4\x00\x00\xa1b\x01", r#"{"b":1}"#),
            (
                b"\xd7\x00\x00\x00\x01\xa0\xc4\x50\x6c\x78",
                r#""2026-09-21T14:13:20.120Z""#,
            ),
            (
                b"\xd7\x00\xff\xff\xff\xff\xff\xff\xff\xff",
                r#""1969-12-31T23:59:59.999Z""#,
            ),
            (b"\xd7\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "null"),
            (b"\xc7\x02\x00\x01\x02", r#""AQI=""#),
            (b"\xc7\x01\x00\x01", r#""AQ==""#),
            (b"\xc8\x00\x01\x00\x01", r#""AQ==""#),
            (b"\xc9\x00\x00\x00\x01\x00\x01", r#""AQ==""#),
            (b"\xd6\xff\x00\x00\x00\x01", r#""1970-01-01T00:00:01.000Z""#),
            (
                b"\xd7\xff\x1d\xcd\x65\x00\x00\x00\x00\x01",
                r#""1970-01-01T00:00:01.125Z""#,
            ),
            (
                b"\xc7\x0c\xff\x07\x73\x59\x40\xff\xff\xff\xff\xff\xff\xff\xff",
                r#""1969-12-31T23:59:59.125Z""#,
            ),
            (b"\xd5\x05\x01\x02", r#"[5,"AQI="]"#),
            (b"\x83\x01\x01\xc3\x02\xc0\x03", r#"{"1":1,"true":2,"null":3}"#),
        ];
        for (bytes, json) in vectors {
            assert_eq!(
                read(bytes).map(|value| value.to_json()),
                Ok(json.to_owned()),
                "{bytes:02x?}"
            );
        }
    }

    #[test]
    fn text_that_is_no_utf8_is_replaced() {
        assert_eq!(read(b"\xa3a\xffb"), Ok(Value::from("a\u{fffd}b")));
        // Half a surrogate pair as notepack writes short text: with whatever follows, in four bytes.
        assert!(matches!(read(b"\xa4\xf3\xa0\x80\x80"), Ok(Value::String(_))));
    }

    #[test]
    fn a_length_alone_takes_no_memory() {
        for bytes in [
            &b"\xdd\xff\xff\xff\xff"[..],
            b"\xdf\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
        ] {
            assert_eq!(read(bytes), Err(MsgpackError));
        }
        assert_eq!(read(&b"\xdd\xff\xff\xff\xff".repeat(100_000)), Err(MsgpackError));
    }

    #[test]
    fn refuses_what_is_not_one_value() {
        for bytes in [
            &b""[..],
            b"\xc1",
            b"\x00\x00",
            b"\x91",
            b"\xa2a",
            b"\x81\x90\x00",
            b"\x81\x80\x00",
            b"\xd4\x00",
        ] {
            assert_eq!(read(bytes), Err(MsgpackError), "{bytes:02x?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| read(&[vec![0x91; depth - 1], vec![0x90]].concat());
        assert!(nested(limits::MAX_DEPTH).is_ok());
        assert!(nested(limits::MAX_DEPTH + 1).is_err());
        assert!(nested(1_000_000).is_err());
    }
}
