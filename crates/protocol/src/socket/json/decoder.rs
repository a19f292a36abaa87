//! Reading the default parser's packets, which come in one text message and one message per attachment.

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    engine::Message,
    limits,
    socket::{Body, DecodeError, Packet},
    value::Value,
};

/// Reads text messages and the attachments that belong to them.
#[derive(Debug, Default)]
pub struct Decoder {
    incomplete: Option<Incomplete>,
}

/// A packet whose attachments are still to come.
#[derive(Debug)]
struct Incomplete {
    packet: Packet,
    due: usize,
    attachments: Vec<Bytes>,
}

impl Decoder {
    /// Takes the next message; answers with a packet once its attachments are there.
    ///
    /// ```
    /// use carillon_protocol::{engine::Message, socket::{Body, json::Decoder}};
    ///
    /// let mut decoder = Decoder::default();
    /// let packet = decoder.push(Message::Text(r#"2/chat,7["hi"]"#.into())).unwrap().unwrap();
    /// assert_eq!(packet.nsp, "/chat");
    /// assert_eq!(packet.body, Body::Event { args: vec!["hi".into()], id: Some(7) });
    /// ```
    ///
    /// # Errors
    /// Where the message is no packet, or not the one that is due.
    pub fn push(&mut self, message: Message) -> Result<Option<Packet>, DecodeError> {
        match (message, self.incomplete.take()) {
            (Message::Text(text), None) => {
                let (packet, due) = decode_text(&text)?;
                if due == 0 {
                    return Ok(Some(packet));
                }
                self.incomplete = Some(Incomplete {
                    packet,
                    due,
                    attachments: Vec::with_capacity(due),
                });
                Ok(None)
            }
            (Message::Binary(bytes), Some(mut incomplete)) => {
                incomplete.attachments.push(bytes);
                if incomplete.attachments.len() == incomplete.due {
                    return incomplete.complete().map(Some);
                }
                self.incomplete = Some(incomplete);
                Ok(None)
            }
            (Message::Text(_), Some(_)) => Err(DecodeError("text while an attachment is due")),
            (Message::Binary(_), None) => Err(DecodeError("binary while no attachment is due")),
        }
    }
}

impl Incomplete {
    fn complete(mut self) -> Result<Packet, DecodeError> {
        if let Body::Event { args, .. } | Body::Ack { args, .. } = &mut self.packet.body {
            for value in args {
                fill_placeholders(value, &self.attachments)?;
            }
        }
        Ok(self.packet)
    }
}

/// Puts attachments where their placeholders are. One may stand in several places, or in none.
fn fill_placeholders(value: &mut Value, attachments: &[Bytes]) -> Result<(), DecodeError> {
    match value {
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| fill_placeholders(item, attachments)),
        Value::Object(object) if object.get("_placeholder") == Some(&Value::Bool(true)) => {
            let num = object
                .get("num")
                .and_then(Value::as_u64)
                .and_then(|num| usize::try_from(num).ok());
            let attachment = num
                .and_then(|num| attachments.get(num))
                .ok_or(DecodeError("illegal attachment"))?;
            *value = Value::Binary(attachment.clone());
            Ok(())
        }
        Value::Object(object) => object
            .values_mut()
            .try_for_each(|value| fill_placeholders(value, attachments)),
        _ => Ok(()),
    }
}

/// A packet without its attachments, and how many are due.
fn decode_text(text: &str) -> Result<(Packet, usize), DecodeError> {
    let mut chars = text.chars();
    let kind = chars
        .next()
        .and_then(|kind| kind.to_digit(10))
        .ok_or(DecodeError("unknown packet type"))?;
    let (kind, due, rest) = match kind {
        // BINARY_EVENT and BINARY_ACK are EVENT and ACK once their attachments are there.
        5 | 6 => {
            let (due, rest) = split_attachments(chars.as_str())?;
            (kind - 3, due, rest)
        }
        _ => (kind, 0, chars.as_str()),
    };
    let (nsp, rest) = if rest.starts_with('/') {
        let (nsp, rest) = rest.split_once(',').unwrap_or((rest, ""));
        (ByteString::from(nsp), rest)
    } else {
        (ByteString::from_static("/"), rest)
    };
    let (id, json) = split_digits(rest);
    let id = match id {
        "" => None,
        digits => Some(digits.parse().map_err(|_| DecodeError("ack id too large"))?),
    };
    let payload = match json {
        "" => None,
        json => Some(Value::from_json(json).map_err(|_| DecodeError("invalid payload"))?),
    };
    let body = Body::new(kind.into(), payload, id)?;
    Ok((Packet { nsp, body }, due))
}

/// `2-…`: how many attachments there are, and what follows the dash.
fn split_attachments(text: &str) -> Result<(usize, &str), DecodeError> {
    let (count, rest) = split_digits(text);
    let rest = rest.strip_prefix('-').ok_or(DecodeError("illegal attachments"))?;
    match count.parse() {
        Ok(0) | Err(_) => Err(DecodeError("illegal attachments")),
        Ok(count) if count > limits::MAX_ATTACHMENTS => Err(DecodeError("too many attachments")),
        Ok(count) => Ok((count, rest)),
    }
}

/// The decimal digits at the start of `text`, and the rest.
fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Message {
        Message::Text(text.into())
    }

    fn binary(bytes: &'static [u8]) -> Message {
        Message::Binary(bytes.into())
    }

    fn event(json: &str, id: Option<u64>) -> Body {
        Body::Event {
            args: serde_json::from_str(json).unwrap(),
            id,
        }
    }

    #[test]
    fn reads_what_is_written_otherwise() {
        let vectors = [
            ("0/random", "/random", Body::Connect(Value::Null)),
            ("1/custom", "/custom", Body::Disconnect),
            ("0/chat?token=1,", "/chat?token=1", Body::Connect(Value::Null)),
            ("07", "/", Body::Connect(Value::Null)),
            (
                "2",
                "/",
                Body::Event {
                    args: Vec::new(),
                    id: None,
                },
            ),
            (
                "2/chat,5",
                "/chat",
                Body::Event {
                    args: Vec::new(),
                    id: Some(5),
                },
            ),
            ("2/,[\"a\"]", "/", event("[\"a\"]", None)),
            ("2007[ 1.5 ]", "/", event("[1.5]", Some(7))),
            (
                "31",
                "/",
                Body::Ack {
                    args: Vec::new(),
                    id: 1,
                },
            ),
            (r#"4"no""#, "/", Body::ConnectError("no".into())),
            (
                r#"2["a",{"_placeholder":true,"num":7}]"#,
                "/",
                event(r#"["a",{"_placeholder":true,"num":7}]"#, None),
            ),
        ];
        for (message, nsp, body) in vectors {
            let packet = Packet {
                nsp: nsp.into(),
                body,
            };
            assert_eq!(
                Decoder::default().push(text(message)),
                Ok(Some(packet)),
                "{message}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_packet() {
        let messages = [
            "",
            "abc",
            "9",
            "7",
            "€",
            "2{}",
            "2[]",
            "2[null]",
            "2[{}]",
            "2null",
            "2\"a\"",
            "2[\"a\"",
            "2[\"a\"]x",
            "2abc[\"a\"]",
            "2-1[\"a\"]",
            "218446744073709551616[\"a\"]",
            "0[]",
            "0\"token\"",
            "0null",
            "0{",
            "1{}",
            "1null",
            "3[]",
            "3",
            "31{}",
            "31\"a\"",
            "4[]",
            "4null",
            "5[\"a\"]",
            "5-[\"a\"]",
            "50-[\"a\"]",
            "60-1[]",
            "511-[\"a\"]",
            "599999999999999999999-[\"a\"]",
            "5x-[\"a\"]",
            "51[\"a\"]",
            "51-{}",
            r#"51-[{"_placeholder":true,"num":0}]"#,
            r#"51-["disconnect",{"_placeholder":true,"num":0}]"#,
        ];
        for message in messages {
            assert!(Decoder::default().push(text(message)).is_err(), "{message}");
        }
        for name in crate::socket::RESERVED_EVENTS {
            assert!(
                Decoder::default().push(text(&format!("2[\"{name}\"]"))).is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn nothing_comes_between_a_packet_and_its_attachments() {
        let mut decoder = Decoder::default();
        assert!(decoder.push(binary(&[1])).is_err());

        let mut decoder = Decoder::default();
        assert_eq!(
            decoder.push(text(r#"51-["a",{"_placeholder":true,"num":0}]"#)),
            Ok(None)
        );
        assert!(decoder.push(text(r#"2["b"]"#)).is_err());
    }

    #[test]
    fn at_most_ten_attachments() {
        let mut decoder = Decoder::default();
        assert_eq!(
            decoder.push(text(r#"510-["a",{"_placeholder":true,"num":9}]"#)),
            Ok(None)
        );
        for _ in 0..9 {
            assert_eq!(decoder.push(binary(&[0])), Ok(None));
        }
        let args = vec!["a".into(), Bytes::from_static(&[9]).into()];
        let packet = Packet {
            nsp: "/".into(),
            body: Body::Event { args, id: None },
        };
        assert_eq!(decoder.push(binary(&[9])), Ok(Some(packet)));
    }

    #[test]
    fn a_placeholder_names_an_attachment_that_is_there() {
        let complete = |num: &str| {
            let mut decoder = Decoder::default();
            decoder
                .push(text(&format!(r#"51-["a",{{"_placeholder":true,"num":{num}}}]"#)))
                .unwrap();
            decoder.push(binary(&[1]))
        };
        assert!(complete("0").is_ok());
        assert!(complete("0.0").is_ok());
        for num in ["1", "-1", "0.5", "\"0\"", "null", "[]", "99999999999999999999"] {
            assert!(complete(num).is_err(), "{num}");
        }
    }

    #[test]
    fn an_attachment_may_stand_in_several_places_or_in_none() {
        let mut decoder = Decoder::default();
        let placeholder = r#"{"_placeholder":true,"num":1,"x":2}"#;
        decoder
            .push(text(&format!(
                r#"62-1[{placeholder},{placeholder},{{"_placeholder":false}}]"#
            )))
            .unwrap();
        decoder.push(binary(&[0])).unwrap();
        let packet = decoder.push(binary(&[1])).unwrap().unwrap();

        let bytes = Value::from(Bytes::from_static(&[1]));
        let other = Value::from_json(r#"{"_placeholder":false}"#).unwrap();
        assert_eq!(
            packet.body,
            Body::Ack {
                args: vec![bytes.clone(), bytes, other],
                id: 1
            }
        );
    }
}
