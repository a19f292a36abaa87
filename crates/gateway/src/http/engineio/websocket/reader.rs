//! The reading half of a WebSocket.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::dev::Payload;
use actix_ws::Message;
use bytes::BytesMut;
use carillon_socketio::Incoming;
use futures_util::Stream;

use super::{
    messages::{Messages, Read},
    wire::Wire,
};

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
    messages: Messages,
}

impl Stream for Reader {
    type Item = Incoming;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        let this = self.get_mut();
        loop {
            match this.messages.next(&mut this.buffer) {
                Some(Read::Message(incoming)) => return Poll::Ready(Some(incoming)),
                Some(Read::Ping(data)) => this.wire.pong(Message::Pong(data)),
                Some(Read::Close(reason)) => {
                    // With the client's own code (RFC 6455, 5.5.1), where it still reads.
                    this.wire.put_close(reason);
                    this.wire.flush_now();
                    return Poll::Ready(None);
                }
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
            messages: Messages::new(max_payload),
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
}
