//! Whole messages out of the bytes that a WebSocket's client sends: frames as the HTTP library's codec reads them, their
//! fragments put together. No I/O.

use actix_http::ws::{Codec, Frame};
use actix_ws::{CloseReason, Item, ProtocolError};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use carillon_socketio::Incoming;
use tokio_util::codec::Decoder as _;

use super::frame_length;

/// What a client sends, up to the fragments that it has sent of a message.
pub(super) struct Messages {
    codec: Codec,
    max_payload: usize,
    partial: Option<Partial>,
}

/// The fragments of a message so far.
struct Partial {
    is_text: bool,
    bytes: BytesMut,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A message, or what is wrong: that is the last to be read.
    Message(Incoming),
    /// To be answered with the same.
    Ping(Bytes),
    /// The client says that it ends here.
    Close(Option<CloseReason>),
}

impl Messages {
    /// Of at most `max_payload` bytes each.
    pub(super) fn new(max_payload: usize) -> Self {
        Self {
            codec: Codec::new().max_size(max_payload),
            max_payload,
            partial: None,
        }
    }

    /// Takes what is next off the front of `buffer`; `None` where more has to be read, and an empty buffer then holds no memory.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Option<Read> {
        while !buffer.is_empty() {
            // The codec asks only once the whole frame is there, so that a client could have it hold any amount.
            if frame_length::announced(buffer).is_some_and(|length| length > self.max_payload) {
                return Some(Read::Message(Incoming::TooBig));
            }
            let read = match self.codec.decode(buffer) {
                Ok(frame) => self.take(frame?),
                Err(ProtocolError::Overflow) => Some(Read::Message(Incoming::TooBig)),
                Err(_) => Some(Read::Message(Incoming::Invalid)),
            };
            if read.is_some() {
                return read;
            }
        }
        *buffer = BytesMut::new();
        None
    }

    /// What a frame comes to; `None` where that is nothing, or not yet anything.
    fn take(&mut self, frame: Frame) -> Option<Read> {
        match frame {
            Frame::Text(bytes) => Some(Read::Message(text(bytes))),
            Frame::Binary(bytes) => Some(Read::Message(Incoming::Binary(bytes))),
            Frame::Continuation(item) => self.fragment(item).map(Read::Message),
            Frame::Ping(data) => Some(Read::Ping(data)),
            Frame::Pong(_) => None,
            Frame::Close(reason) => Some(Read::Close(reason)),
        }
    }

    fn fragment(&mut self, item: Item) -> Option<Incoming> {
        let (part, is_last) = match item {
            Item::FirstText(bytes) => (self.begin(true, &bytes), false),
            Item::FirstBinary(bytes) => (self.begin(false, &bytes), false),
            Item::Continue(bytes) => (self.append(&bytes), false),
            Item::Last(bytes) => (self.append(&bytes), true),
        };
        if let Err(incoming) = part {
            self.partial = None;
            return Some(incoming);
        }
        if !is_last {
            return None;
        }
        let Partial { is_text, bytes } = self.partial.take()?;
        Some(if is_text {
            text(bytes.freeze())
        } else {
            Incoming::Binary(bytes.freeze())
        })
    }

    fn begin(&mut self, is_text: bool, bytes: &Bytes) -> Result<(), Incoming> {
        if self.partial.is_some() {
            return Err(Incoming::Invalid);
        }
        self.partial = Some(Partial {
            is_text,
            bytes: BytesMut::new(),
        });
        self.append(bytes)
    }

    fn append(&mut self, bytes: &Bytes) -> Result<(), Incoming> {
        let partial = self.partial.as_mut().ok_or(Incoming::Invalid)?;
        if partial.bytes.len() + bytes.len() > self.max_payload {
            return Err(Incoming::TooBig);
        }
        partial.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

fn text(bytes: Bytes) -> Incoming {
    ByteString::try_from(bytes).map_or(Incoming::Invalid, Incoming::Text)
}

#[cfg(test)]
mod tests {
    use actix_ws::Message;
    use proptest::prelude::*;
    use tokio_util::codec::Encoder as _;

    use super::*;

    const MAX: usize = 20;

    /// What a client sends.
    fn sent(messages: impl IntoIterator<Item = Message>) -> BytesMut {
        let mut codec = Codec::new().client_mode();
        let mut bytes = BytesMut::new();
        for message in messages {
            codec.encode(message, &mut bytes).unwrap();
        }
        bytes
    }

    /// What comes of it, in pieces of `size` bytes.
    fn read(sent: &[u8], size: usize) -> Vec<Read> {
        let mut messages = Messages::new(MAX);
        let mut buffer = BytesMut::new();
        let mut all = Vec::new();
        for piece in sent.chunks(size) {
            buffer.extend_from_slice(piece);
            all.extend(std::iter::from_fn(|| messages.next(&mut buffer)));
        }
        assert_eq!(buffer.capacity(), 0, "an empty buffer holds memory");
        all
    }

    fn first(sent: &[u8]) -> Option<Read> {
        Messages::new(MAX).next(&mut BytesMut::from(sent))
    }

    fn fragments(first: Item, last: &'static [u8]) -> BytesMut {
        let last = Message::Continuation(Item::Last(Bytes::from_static(last)));
        // A ping may come between them (RFC 6455, 5.4).
        sent([
            Message::Continuation(first),
            Message::Ping(Bytes::from_static(b"p")),
            last,
        ])
    }

    #[test]
    fn fragments_are_one_message() {
        let ping = || Read::Ping(Bytes::from_static(b"p"));
        // The two bytes of a letter are in two fragments.
        let text = fragments(Item::FirstText(Bytes::from_static(b"4\xc3")), b"\xa9");
        let expected = Read::Message(Incoming::Text("4é".into()));
        assert_eq!(read(&text, 1), [ping(), expected]);

        let binary = fragments(Item::FirstBinary(Bytes::from_static(b"\xc3")), b"");
        let expected = Read::Message(Incoming::Binary(Bytes::from_static(b"\xc3")));
        assert_eq!(read(&binary, 3), [ping(), expected]);
    }

    #[test]
    fn no_message_is_longer_than_the_limit_in_one_frame_or_several() {
        let fits = Message::Binary(Bytes::from(vec![0; MAX]));
        assert_eq!(read(&sent([fits]), 7).len(), 1);

        let too_big = Some(Read::Message(Incoming::TooBig));
        let frame = sent([Message::Binary(Bytes::from(vec![0; 300]))]);
        // Known by the header, before the payload is there.
        assert_eq!(first(&frame[..4]), too_big);
        let fragments = fragments(Item::FirstText(Bytes::from(vec![b'x'; MAX])), b"x");
        assert_eq!(read(&fragments, 5).last(), too_big.as_ref());
    }

    #[test]
    fn what_breaks_the_protocol_is_invalid() {
        let text = sent([Message::Text("42".into())]);
        let changed = |at: usize, byte: u8| {
            let mut bytes = text.to_vec();
            bytes[at] = byte;
            bytes
        };
        let lone = sent([
            Message::Continuation(Item::FirstText(Bytes::new())),
            Message::Continuation(Item::Last(Bytes::new())),
        ]);
        let no_text = fragments(Item::FirstText(Bytes::from_static(b"\xff")), b"");
        let unmasked = changed(1, 2);
        let reserved = changed(0, 0xC1);
        let unknown = changed(0, 0x83);
        for broken in [&unmasked[..], &reserved, &unknown, &lone[6..]] {
            assert_eq!(
                first(broken),
                Some(Read::Message(Incoming::Invalid)),
                "{broken:?}"
            );
        }
        assert_eq!(read(&no_text, 1).last(), Some(&Read::Message(Incoming::Invalid)));
    }

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            "\\PC{0,5}".prop_map(|text| Message::Text(text.into())),
            prop::collection::vec(any::<u8>(), 0..MAX).prop_map(|bytes| Message::Binary(bytes.into())),
            prop::collection::vec(any::<u8>(), 0..MAX).prop_map(|bytes| Message::Ping(bytes.into())),
            Just(()).prop_map(|()| Message::Pong(Bytes::new())),
        ]
    }

    proptest! {
        #[test]
        fn what_a_client_says_does_not_depend_on_how_it_is_cut(
            messages in prop::collection::vec(message(), 0..6),
            size in 1_usize..40,
        ) {
            let expected: Vec<_> = messages
                .iter()
                .filter_map(|message| match message {
                    Message::Text(text) => Some(Read::Message(Incoming::Text(text.clone()))),
                    Message::Binary(bytes) => Some(Read::Message(Incoming::Binary(bytes.clone()))),
                    Message::Ping(bytes) => Some(Read::Ping(bytes.clone())),
                    _ => None,
                })
                .collect();
            prop_assert_eq!(read(&sent(messages), size), expected);
        }
    }
}
