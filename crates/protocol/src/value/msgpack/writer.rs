//! Writing msgpack, everything in its shortest form.

use crate::value::{Value, serialize::whole};

/// Writes msgpack to the end of `out`.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
}

/// The markers of a kind that has a length.
struct Markers {
    /// Length in the marker: its first value, and the first length that does not fit.
    fix: Option<(u8, u8)>,
    one_byte: Option<u8>,
    two_bytes: u8,
    four_bytes: u8,
}

const TEXT: Markers = Markers {
    fix: Some((0xa0, 32)),
    one_byte: Some(0xd9),
    two_bytes: 0xda,
    four_bytes: 0xdb,
};
const BINARY: Markers = Markers {
    fix: None,
    one_byte: Some(0xc4),
    two_bytes: 0xc5,
    four_bytes: 0xc6,
};
const ARRAY: Markers = Markers {
    fix: Some((0x90, 16)),
    one_byte: None,
    two_bytes: 0xdc,
    four_bytes: 0xdd,
};
const MAP: Markers = Markers {
    fix: Some((0x80, 16)),
    one_byte: None,
    two_bytes: 0xde,
    four_bytes: 0xdf,
};

impl Writer {
    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push(0xc0),
            Value::Bool(false) => self.out.push(0xc2),
            Value::Bool(true) => self.out.push(0xc3),
            Value::Int(number) => self.int(*number),
            Value::UInt(number) => self.uint(*number),
            Value::Float(number) => match whole(*number) {
                Some(number) => self.value(&number),
                None => self.marked(0xcb, &number.to_be_bytes()),
            },
            Value::String(text) => self.text(text),
            Value::Binary(bytes) => {
                self.length(bytes.len(), &BINARY);
                self.out.extend_from_slice(bytes);
            }
            Value::Array(items) => {
                self.array(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(object) => {
                self.map(object.len());
                for (key, value) in object.iter() {
                    self.text(key);
                    self.value(value);
                }
            }
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.text_header(text.len());
        self.out.extend_from_slice(text.as_bytes());
    }

    /// The start of a text of `length` bytes.
    pub(crate) fn text_header(&mut self, length: usize) {
        self.length(length, &TEXT);
    }

    /// The start of a list of `length` values.
    pub(crate) fn array(&mut self, length: usize) {
        self.length(length, &ARRAY);
    }

    /// The start of a map of `length` keys and values.
    pub(crate) fn map(&mut self, length: usize) {
        self.length(length, &MAP);
    }

    pub(crate) fn uint(&mut self, number: u64) {
        if let Ok(number) = u8::try_from(number) {
            if number >= 0x80 {
                self.out.push(0xcc);
            }
            self.out.push(number);
        } else if let Ok(number) = u16::try_from(number) {
            self.marked(0xcd, &number.to_be_bytes());
        } else if let Ok(number) = u32::try_from(number) {
            self.marked(0xce, &number.to_be_bytes());
        } else {
            self.marked(0xcf, &number.to_be_bytes());
        }
    }

    fn int(&mut self, number: i64) {
        if let Ok(number) = u64::try_from(number) {
            self.uint(number);
        } else if let Ok(number) = i8::try_from(number) {
            if number < -0x20 {
                self.out.push(0xd0);
            }
            self.out.extend_from_slice(&number.to_be_bytes());
        } else if let Ok(number) = i16::try_from(number) {
            self.marked(0xd1, &number.to_be_bytes());
        } else if let Ok(number) = i32::try_from(number) {
            self.marked(0xd2, &number.to_be_bytes());
        } else {
            self.marked(0xd3, &number.to_be_bytes());
        }
    }

    fn length(&mut self, length: usize, markers: &Markers) {
        match (u8::try_from(length), markers) {
            (
                Ok(length),
                Markers {
                    fix: Some((marker, end)),
                    ..
                },
            ) if length < *end => self.out.push(marker | length),
            (
                Ok(length),
                Markers {
                    one_byte: Some(marker),
                    ..
                },
            ) => self.marked(*marker, &[length]),
            _ => match u16::try_from(length) {
                Ok(length) => self.marked(markers.two_bytes, &length.to_be_bytes()),
                Err(_) => {
                    // Nothing in memory for one packet comes near 4 GiB.
                    let length = u32::try_from(length).unwrap_or(u32::MAX);
                    self.marked(markers.four_bytes, &length.to_be_bytes());
                }
            },
        }
    }

    fn marked(&mut self, marker: u8, bytes: &[u8]) {
        self.out.push(marker);
        self.out.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::value::Object;

    fn read(bytes: &[u8]) -> Value {
        Value::from_msgpack(&Bytes::copy_from_slice(bytes)).unwrap()
    }

    #[test]
    fn integers_are_as_short_as_can_be() {
        let vectors: [(Value, &[u8]); 22] = [
            (Value::Int(0), b"\x00"),
            (Value::Int(127), b"\x7f"),
            (Value::Int(128), b"\xcc\x80"),
            (Value::Int(255), b"\xcc\xff"),
            (Value::Int(256), b"\xcd\x01\x00"),
            (Value::Int(65_535), b"\xcd\xff\xff"),
            (Value::Int(65_536), b"\xce\x00\x01\x00\x00"),
            (Value::Int(4_294_967_295), b"\xce\xff\xff\xff\xff"),
            (Value::Int(4_294_967_296), b"\xcf\x00\x00\x00\x01\x00\x00\x00\x00"),
            (Value::UInt(u64::MAX), b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
            (Value::Int(-1), b"\xff"),
            (Value::Int(-32), b"\xe0"),
            (Value::Int(-33), b"\xd0\xdf"),
            (Value::Int(-128), b"\xd0\x80"),
            (Value::Int(-129), b"\xd1\xff\x7f"),
            (Value::Int(-32_768), b"\xd1\x80\x00"),
            (Value::Int(-32_769), b"\xd2\xff\xff\x7f\xff"),
            (Value::Int(-2_147_483_648), b"\xd2\x80\x00\x00\x00"),
            (
                Value::Int(-2_147_483_649),
                b"\xd3\xff\xff\xff\xff\x7f\xff\xff\xff",
            ),
            (Value::Int(i64::MIN), b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
            (Value::Float(0.5), b"\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00"),
            (Value::Float(1e300), b"\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c"),
        ];
        for (value, bytes) in vectors {
            assert_eq!(value.to_msgpack(), bytes, "{value:?}");
            assert_eq!(read(bytes), value);
        }
        assert_eq!(Value::Float(5.0).to_msgpack(), [5]);
    }

    #[test]
    fn lengths_are_as_short_as_can_be() {
        let text = |length| Value::from("a".repeat(length)).to_msgpack();
        let binary = |length| Value::from(Bytes::from(vec![0; length])).to_msgpack();
        let array = |length| Value::Array(vec![Value::Null; length]).to_msgpack();
        let map = |length| {
            Value::Object((0..length).fold(Object::new(), |map, _| map.with("", Value::Null))).to_msgpack()
        };
        let vectors: [(Vec<u8>, &[u8]); 17] = [
            (text(0), b"\xa0"),
            (text(31), b"\xbfa"),
            (text(32), b"\xd9\x20a"),
            (text(255), b"\xd9\xffa"),
            (text(256), b"\xda\x01\x00a"),
            (text(65_536), b"\xdb\x00\x01\x00\x00a"),
            (binary(0), b"\xc4\x00"),
            (binary(255), b"\xc4\xff\x00"),
            (binary(256), b"\xc5\x01\x00\x00"),
            (binary(65_536), b"\xc6\x00\x01\x00\x00\x00"),
            (array(15), b"\x9f\xc0"),
            (array(16), b"\xdc\x00\x10\xc0"),
            (array(65_536), b"\xdd\x00\x01\x00\x00\xc0"),
            (map(0), b"\x80"),
            (map(15), b"\x8f\xa0\xc0"),
            (map(16), b"\xde\x00\x10\xa0\xc0"),
            (map(65_536), b"\xdf\x00\x01\x00\x00\xa0\xc0"),
        ];
        for (bytes, start) in vectors {
            assert_eq!(&bytes[..start.len()], start);
            assert_eq!(read(&bytes).to_msgpack(), bytes);
        }
    }
}
