//! Polling payloads: packets joined by U+001E, always text, binary as `b` + base64.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};
use bytestring::ByteString;

use super::{DecodeError, Frame, Message, Packet, decode_text};

const SEPARATOR: char = '\u{1E}';

/// Clients pad, but Node reads base64 without padding too.
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Reads the packets of a request body one after the other. The first bad one ends it: what came before counts.
/// At most `max_packets` are read; one more is [`DecodeError::TooManyPackets`].
///
/// ```
/// use carillon_protocol::engine::{Message, Packet, payload};
///
/// let body = "4hello\u{1e}bAQID".into();
/// let packets: Result<Vec<_>, _> = payload::decode(&body, 1_000).collect();
/// assert_eq!(
///     packets.unwrap(),
///     [
///         Packet::Message(Message::Text("hello".into())),
///         Packet::Message(Message::Binary(vec![1, 2, 3].into())),
///     ],
/// );
/// ```
pub fn decode(body: &ByteString, max_packets: usize) -> impl Iterator<Item = Result<Packet, DecodeError>> {
    let mut segments = body.split(SEPARATOR).enumerate();
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let (index, segment) = segments.next()?;
        let packet = if index < max_packets {
            decode_segment(body, segment)
        } else {
            Err(DecodeError::TooManyPackets)
        };
        ended = packet.is_err();
        Some(packet)
    })
}

/// Writes `frames` as one payload.
///
/// ```
/// use carillon_protocol::engine::{Frame, payload};
///
/// let frames = [Frame::Text("4hello".into()), Frame::PING, Frame::Binary(vec![1, 2, 3, 4].into())];
/// assert_eq!(payload::encode(&frames), "4hello\u{1e}2\u{1e}bAQIDBA==");
/// ```
#[must_use]
pub fn encode(frames: &[Frame]) -> ByteString {
    if let [Frame::Text(text)] = frames {
        return text.clone();
    }
    let mut out = String::with_capacity(frames.iter().map(encoded_len).sum());
    for frame in frames {
        if !out.is_empty() {
            out.push(SEPARATOR);
        }
        match frame {
            Frame::Text(text) => out.push_str(text),
            Frame::Binary(bytes) => {
                out.push('b');
                BASE64_STANDARD.encode_string(bytes, &mut out);
            }
        }
    }
    out.into()
}

fn decode_segment(body: &ByteString, segment: &str) -> Result<Packet, DecodeError> {
    let Some(base64) = segment.strip_prefix('b') else {
        return decode_text(&body.slice_ref(segment));
    };
    let bytes = LENIENT_BASE64.decode(base64).map_err(|_| DecodeError::Base64)?;
    Ok(Packet::Message(Message::Binary(bytes.into())))
}

/// Length of a frame in a payload with its separator, in bytes.
fn encoded_len(frame: &Frame) -> usize {
    match frame {
        Frame::Text(text) => text.len() + 1,
        Frame::Binary(bytes) => bytes.len().div_ceil(3) * 4 + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(body: &'static str, max_packets: usize) -> Vec<Result<Packet, DecodeError>> {
        decode(&ByteString::from_static(body), max_packets).collect()
    }

    fn message(text: &'static str) -> Packet {
        Packet::Message(Message::Text(ByteString::from_static(text)))
    }

    fn binary(bytes: &'static [u8]) -> Packet {
        Packet::Message(Message::Binary(bytes.into()))
    }

    #[test]
    fn reads_packets_in_order() {
        assert_eq!(
            packets("4hello\u{1e}2\u{1e}bAQIDBA==", 10),
            [
                Ok(message("hello")),
                Ok(Packet::Ping(ByteString::new())),
                Ok(binary(&[1, 2, 3, 4]))
            ],
        );
    }

    #[test]
    fn an_empty_body_or_segment_is_no_packet() {
        assert_eq!(packets("", 10), [Err(DecodeError::Empty)]);
        assert_eq!(
            packets("4a\u{1e}", 10),
            [Ok(message("a")), Err(DecodeError::Empty)]
        );
    }

    #[test]
    fn the_first_bad_packet_ends_the_payload() {
        assert_eq!(
            packets("4a\u{1e}abc\u{1e}4b", 10),
            [Ok(message("a")), Err(DecodeError::UnknownType)]
        );
        assert_eq!(packets("b!\u{1e}4b", 10), [Err(DecodeError::Base64)]);
    }

    #[test]
    fn reads_no_more_packets_than_allowed() {
        assert_eq!(packets("2\u{1e}2", 2).len(), 2);
        assert_eq!(
            packets("4a\u{1e}4b\u{1e}4c", 1),
            [Ok(message("a")), Err(DecodeError::TooManyPackets)]
        );
    }

    #[test]
    fn binary_may_be_empty_or_unpadded() {
        assert_eq!(packets("b", 1), [Ok(binary(&[]))]);
        assert_eq!(packets("bAQIDBA", 1), [Ok(binary(&[1, 2, 3, 4]))]);
    }
}
