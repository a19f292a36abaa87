//! Watches the bytes of a WebSocket and ends them at the first frame that announces more than may be sent.
//!
//! actix-ws judges a frame's length only once the whole frame is there, so that a client could make it hold gigabytes. Here
//! the length is judged as soon as the frame's header is (RFC 6455, 5.2).

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{FromRequest, HttpRequest, dev, error::PayloadError, web};
use bytes::Bytes;
use futures_util::Stream;

/// The longest header: two bytes, eight of length, four of mask.
const MAX_HEADER_BYTES: usize = 14;

/// Puts the guard in front of a request's bytes.
pub(super) async fn guard(
    request: &HttpRequest,
    payload: web::Payload,
    max_frame: usize,
) -> Option<web::Payload> {
    let guarded = Guarded {
        bytes: payload.into_inner(),
        frames: Frames::new(max_frame),
    };
    let stream: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(guarded);
    let mut payload = dev::Payload::Stream { payload: stream };
    web::Payload::from_request(request, &mut payload).await.ok()
}

struct Guarded {
    bytes: dev::Payload,
    frames: Frames,
}

impl Stream for Guarded {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let chunk = ready!(Pin::new(&mut this.bytes).poll_next(cx));
        Poll::Ready(match chunk {
            Some(Ok(chunk)) if !this.frames.pass(&chunk) => Some(Err(PayloadError::Overflow)),
            chunk => chunk,
        })
    }
}

/// Where in its frames a stream of bytes is.
struct Frames {
    max: u64,
    header: Vec<u8>,
    /// What is left of the current frame's payload.
    left: u64,
}

impl Frames {
    fn new(max: usize) -> Self {
        Self {
            max: u64::try_from(max).unwrap_or(u64::MAX),
            header: Vec::with_capacity(MAX_HEADER_BYTES),
            left: 0,
        }
    }

    /// Follows the next bytes; `false` where a frame among them announces too much.
    fn pass(&mut self, mut chunk: &[u8]) -> bool {
        while let Some((byte, rest)) = chunk.split_first() {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(chunk.len());
                self.left -= u64::try_from(skipped).unwrap_or(u64::MAX);
                chunk = chunk.split_at(skipped).1;
                continue;
            }
            self.header.push(*byte);
            chunk = rest;
            let Some(length) = payload_length(&self.header) else {
                continue;
            };
            if length > self.max {
                return false;
            }
            self.header.clear();
            self.left = length;
        }
        true
    }
}

/// The length of the payload behind a header, once the header is whole with its mask.
fn payload_length(header: &[u8]) -> Option<u64> {
    let (_, rest) = header.split_first()?;
    let (second, rest) = rest.split_first()?;
    let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
    let (length, rest) = match second & 0x7F {
        126 => {
            let (bytes, rest) = rest.split_first_chunk::<2>()?;
            (u64::from(u16::from_be_bytes(*bytes)), rest)
        }
        127 => {
            let (bytes, rest) = rest.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*bytes), rest)
        }
        short => (u64::from(short), rest),
    };
    (rest.len() >= mask_bytes).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A masked text frame with a payload of zeros.
    fn frame(length: usize) -> Vec<u8> {
        let mut bytes = vec![0x81];
        match length {
            0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
            126..=65_535 => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(std::iter::repeat_n(0, length));
        bytes
    }

    #[test]
    fn a_frame_that_announces_too_much_ends_it_at_its_header() {
        let mut frames = Frames::new(1_000_000);
        assert!(frames.pass(&frame(1_000_000)));
        let header = &frame(1_000_001)[..MAX_HEADER_BYTES];
        assert!(!frames.pass(header));
        assert!(!Frames::new(1_000_000).pass(&[&[0x81, 0xFF][..], &[0xFF; 8], &[0; 4]].concat()));
    }

    proptest! {
        #[test]
        fn finds_the_frames_however_they_are_cut(
            lengths in proptest::collection::vec(0_usize..70_000, 1..6),
            cuts in proptest::collection::vec(1_usize..5_000, 1..200),
        ) {
            let fits = lengths.iter().all(|length| *length <= 60_000);
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| frame(*length)).collect();
            let (mut frames, mut rest, mut cut) = (Frames::new(60_000), &bytes[..], cuts.iter().cycle());
            let mut passed = true;
            while !rest.is_empty() && passed {
                let (chunk, tail) = rest.split_at(rest.len().min(*cut.next().unwrap()));
                passed = frames.pass(chunk);
                rest = tail;
            }
            prop_assert_eq!(passed, fits);
        }

        #[test]
        fn takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..4_096)) {
            Frames::new(1_000).pass(&bytes);
        }
    }
}
