//! [`Value`] as JSON text, read and written as JavaScript does it.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;

use super::{Object, Value};
use crate::text;

impl Value {
    /// Reads JSON text, at most [`crate::limits::MAX_DEPTH`] levels deep.
    ///
    /// Two things that JavaScript takes and `serde_json` does not are taken here too: an escape of half a surrogate
    /// pair is read as U+FFFD, and a number beyond the range of a double (`Infinity` there) as `null`, which is what
    /// `JSON.stringify` writes for it.
    ///
    /// ```
    /// use carillon_protocol::value::Value;
    ///
    /// let value = Value::from_json(r#"{"a":[1,1e400,"\ud83d"]}"#).unwrap();
    /// assert_eq!(value.to_json(), r#"{"a":[1,null,"�"]}"#);
    /// ```
    ///
    /// # Errors
    /// Where the text is no JSON, has something after the value, or is nested too deep.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json).or_else(|error| {
            let paired = text::replace_lone_surrogates(json);
            match replace_infinite_numbers(&paired) {
                Some(finite) => serde_json::from_str(&finite),
                None if *paired != *json => serde_json::from_str(&paired),
                None => Err(error),
            }
        })
    }

    /// Writes JSON text as `JSON.stringify` does: no spaces, `5` for 5.0, `null` for what is no finite number.
    /// Binary is written as base64 text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        Writer {
            out: &mut out,
            attachments: None,
        }
        .value(self);
        out
    }
}

/// Writes JSON to the end of `out`.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut String,
    /// Where binary goes, with a placeholder in its place; without, binary becomes base64 text.
    pub(crate) attachments: Option<&'a mut Vec<Bytes>>,
}

impl Writer<'_> {
    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Int(number) => write_display(self.out, number),
            Value::UInt(number) => write_display(self.out, number),
            Value::Float(number) => write_float(self.out, *number),
            Value::String(text) => write_string(self.out, text),
            Value::Binary(bytes) => self.binary(bytes),
            Value::Array(items) => {
                self.out.push('[');
                self.items(items);
                self.out.push(']');
            }
            Value::Object(object) => self.object(object),
        }
    }

    /// Values with commas between them, without brackets.
    pub(crate) fn items(&mut self, items: &[Value]) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.value(item);
        }
    }

    fn object(&mut self, object: &Object) {
        self.out.push('{');
        for (index, (key, value)) in object.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            write_string(self.out, key);
            self.out.push(':');
            self.value(value);
        }
        self.out.push('}');
    }

    fn binary(&mut self, bytes: &Bytes) {
        if let Some(attachments) = &mut self.attachments {
            self.out.push_str(r#"{"_placeholder":true,"num":"#);
            write_display(self.out, attachments.len());
            self.out.push('}');
            attachments.push(bytes.clone());
        } else {
            self.out.push('"');
            BASE64_STANDARD.encode_string(bytes, self.out);
            self.out.push('"');
        }
    }
}

/// Writes `text` in quotes, escaping what `JSON.stringify` escapes: quote, backslash and controls below U+0020.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        // All bytes looked for are whole characters, so both cuts fall between characters.
        let (plain, tail) = rest.split_at(at);
        let (special, tail) = tail.split_at(1);
        out.push_str(plain);
        write_escape(out, special);
        rest = tail;
    }
    out.push_str(rest);
    out.push('"');
}

fn write_escape(out: &mut String, special: &str) {
    match special {
        "\"" => out.push_str("\\\""),
        "\\" => out.push_str("\\\\"),
        "\u{8}" => out.push_str("\\b"),
        "\t" => out.push_str("\\t"),
        "\n" => out.push_str("\\n"),
        "\u{C}" => out.push_str("\\f"),
        "\r" => out.push_str("\\r"),
        control => {
            for byte in control.bytes() {
                write_display(out, format_args!("\\u{byte:04x}"));
            }
        }
    }
}

/// Writes a number as `Number.prototype.toString` does.
fn write_float(out: &mut String, number: f64) {
    let magnitude = number.abs();
    if !number.is_finite() {
        out.push_str("null");
    } else if magnitude == 0.0 {
        out.push('0');
    } else if (1e-6..1e21).contains(&magnitude) {
        write_display(out, number);
    } else {
        let written = format!("{number:e}");
        match written.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                write_display(out, format_args!("{digits}e+{exponent}"));
            }
            _ => out.push_str(&written),
        }
    }
}

pub(crate) fn write_display(out: &mut String, value: impl std::fmt::Display) {
    // Writing into a String cannot fail.
    let _ = write!(out, "{value}");
}

/// Writes `null` for each number beyond the range of a double; `None` where there is none.
fn replace_infinite_numbers(json: &str) -> Option<String> {
    let mut replaced = String::new();
    let mut found = false;
    let mut rest = json;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        let (before, token) = rest.split_at(at);
        let (token, tail) = if token.starts_with('"') {
            split_string(token)
        } else {
            split_number(token)
        };
        let is_infinite = token.parse().is_ok_and(f64::is_infinite);
        replaced.push_str(before);
        replaced.push_str(if is_infinite { "null" } else { token });
        found |= is_infinite;
        rest = tail;
    }
    replaced.push_str(rest);
    found.then_some(replaced)
}

/// Cuts after the string that `text` starts with.
fn split_string(text: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    });
    text.split_at(end.map_or(text.len(), |end| end + 2))
}

/// Cuts after the number that `text` starts with.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn rewritten(json: &str) -> String {
        Value::from_json(json).unwrap().to_json()
    }

    #[test]
    fn numbers_are_written_as_javascript_does() {
        let vectors = [
            (5.0, "5"),
            (-0.0, "0"),
            (0.1, "0.1"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e20, "100000000000000000000"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (-1.25e-9, "-1.25e-9"),
            (f64::NAN, "null"),
            (f64::NEG_INFINITY, "null"),
        ];
        for (number, written) in vectors {
            assert_eq!(Value::Float(number).to_json(), written);
        }
    }

    #[test]
    fn whole_numbers_keep_every_digit() {
        let json = "[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615]";
        assert_eq!(rewritten(json), json);
        assert_eq!(rewritten("18446744073709551616"), "18446744073709552000");
    }

    #[test]
    fn numbers_beyond_a_double_are_null() {
        let huge = "9".repeat(400);
        assert_eq!(
            rewritten(&format!("[{huge},-1e400,1,\"1e400 \\\" 1e400\"]")),
            r#"[null,null,1,"1e400 \" 1e400"]"#
        );
        assert_eq!(rewritten("1e-400"), "0");
    }

    #[test]
    fn text_is_escaped_as_javascript_does() {
        let text = "\"\\/\u{8}\t\n\u{c}\r\u{0}\u{1f}\u{7f}\u{2028}é😀";
        let written = "\"\\\"\\\\/\\b\\t\\n\\f\\r\\u0000\\u001f\u{7f}\u{2028}é😀\"";
        assert_eq!(Value::from(text.to_owned()).to_json(), written);
        assert_eq!(rewritten(written), written);
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced() {
        assert_eq!(
            rewritten(r#"["\ud83d","\ude00x","\ud83d\ude00"]"#),
            "[\"\u{fffd}\",\"\u{fffd}x\",\"😀\"]"
        );
        assert_eq!(rewritten(r#"["\ud83d",1e400]"#), "[\"\u{fffd}\",null]");
    }

    #[test]
    fn a_key_given_twice_answers_with_its_last_value() {
        let value = Value::from_json(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(value.get("a"), Some(&Value::Int(3)));
    }

    #[test]
    fn refuses_what_is_no_json() {
        for json in [
            "",
            "{",
            "[1,]",
            "1 2",
            "\"\n\"",
            "'a'",
            "01",
            "+1",
            "NaN",
            "\u{feff}1",
            "\"\\ud83d",
            "1e400x",
        ] {
            assert!(Value::from_json(json).is_err(), "{json}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Value::from_json(&nested(crate::limits::MAX_DEPTH)).is_ok());
        assert!(Value::from_json(&nested(crate::limits::MAX_DEPTH + 1)).is_err());
        assert!(Value::from_json(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn binary_outside_a_packet_is_base64() {
        assert_eq!(Value::from(Bytes::from_static(&[1, 2, 3])).to_json(), r#""AQID""#);
    }
}
