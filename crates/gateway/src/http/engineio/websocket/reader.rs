//! Whole messages out of what a WebSocket's client sends.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_http::ws::{Codec, Frame};
use actix_web::dev::Payload;
use actix_ws::{Item, Message, ProtocolError};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use carillon_socketio::Incoming;
use futures_util::Stream;
use tokio_util::codec::Decoder as _;

use super::{frame_length, wire::Wire};

/// A client may not send before it knows that it has a WebSocket (RFC 6455, 4.1). The HTTP library, which has read what one
/// sends all the same, may keep a part for itself where it is as much as this.
const MAX_EARLY_BYTES: usize = 32 * 1024;

/// The reading half of a WebSocket.
pub(super) struct Reader {
    wire: Wire,
    /// What came with the request, until it has ended.
    early: Option<Payload>,
    early_bytes: usize,
    /// What is not yet a whole frame.
    buffer: BytesMut,
    codec: Codec,
    max_payload: usize,
    partial: Option<Partial>,
}

/// The fragments of a message so far.
struct Partial {
    is_text: bool,
    bytes: BytesMut,
}

/// What a frame comes to.
enum Step {
    Message(Incoming),
    /// Nothing for the session.
    Nothing,
    Closed,
}

impl Stream for Reader {
    type Item = Incoming;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        let this = self.get_mut();
        loop {
            match this.step() {
                Some(Step::Message(incoming)) => return Poll::Ready(Some(incoming)),
                Some(Step::Nothing) => {}
                Some(Step::Closed) => return Poll::Ready(None),
                None => {
                    if !ready!(this.poll_fill(cx)) {
                        return Poll::Ready(None);
                    }
                }
            }
        }
    }
}

impl Reader {
    pub(super) fn new(wire: Wire, early: Payload, max_payload: usize) -> Self {
        Self {
            wire,
            early: Some(early),
            early_bytes: 0,
            buffer: BytesMut::new(),
            codec: Codec::new().max_size(max_payload),
            max_payload,
            partial: None,
        }
    }

    /// Reads more; `false` at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if let Some(early) = &mut self.early {
            if let Some(Ok(bytes)) = ready!(Pin::new(early).poll_next(cx)) {
                self.early_bytes += bytes.len();
                self.buffer.extend_from_slice(&bytes);
                return Poll::Ready(self.early_bytes < MAX_EARLY_BYTES);
            }
            self.early = None;
        }
        let read = ready!(self.wire.poll_read(cx, &mut self.buffer));
        Poll::Ready(matches!(read, Ok(1..)))
    }

    /// The next frame; `None` where more has to be read.
    fn step(&mut self) -> Option<Step> {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            return None;
        }
        // The codec asks only once the whole frame is there, so that a client could have it hold any amount.
        if frame_length::announced(&self.buffer).is_some_and(|length| length > self.max_payload) {
            return Some(Step::Message(Incoming::TooBig));
        }
        let frame = match self.codec.decode(&mut self.buffer) {
            Ok(frame) => frame?,
            Err(ProtocolError::Overflow) => return Some(Step::Message(Incoming::TooBig)),
            Err(_) => return Some(Step::Message(Incoming::Invalid)),
        };
        Some(match frame {
            Frame::Text(bytes) => Step::Message(text(bytes)),
            Frame::Binary(bytes) => Step::Message(Incoming::Binary(bytes)),
            Frame::Continuation(item) => self.fragment(item).map_or(Step::Nothing, Step::Message),
            Frame::Ping(data) => {
                self.wire.pong(Message::Pong(data));
                Step::Nothing
            }
            Frame::Pong(_) => Step::Nothing,
            Frame::Close(reason) => {
                // With the client's own code (RFC 6455, 5.5.1), where it still reads.
                self.wire.put_close(reason);
                self.wire.flush_now();
                Step::Closed
            }
        })
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
