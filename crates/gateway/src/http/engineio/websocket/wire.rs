//! A WebSocket's TCP stream, once it is out of the hands of the HTTP library: read when something is there, written when
//! something is to be said. A connection where nothing happens holds no buffer.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_http::ws::Codec;
use actix_web::rt::net::TcpStream;
use actix_ws::{CloseReason, Message};
use bytes::{Buf as _, BytesMut};
use tokio::{io::AsyncWrite as _, time::timeout};
use tokio_util::{codec::Encoder as _, io::poll_read_buf};

/// How much is read at once.
const READ_BYTES: usize = 4 * 1024;
/// A client that has so much unread is not answered its pings.
const MAX_BYTES_BEFORE_PONG: usize = 4 * 1024;
/// How long a client may take to hear that its WebSocket was closed.
const LINGER: Duration = Duration::from_secs(1);

/// Shared by the reading and the writing half, which are of one task.
#[derive(Clone)]
pub(super) struct Wire(Rc<RefCell<Inner>>);

struct Inner {
    stream: TcpStream,
    /// Whole frames, but for what of the first is written.
    unwritten: BytesMut,
    codec: Codec,
    /// A close frame is the last one.
    is_closed: bool,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            stream,
            unwritten: BytesMut::new(),
            codec: Codec::new(),
            is_closed: false,
        })))
    }

    /// Reads what is there to the end of `buffer`, which takes memory only then; answers how much, 0 at the end.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        let stream = &mut self.0.borrow_mut().stream;
        ready!(stream.poll_read_ready(cx))?;
        buffer.reserve(READ_BYTES);
        let read = poll_read_buf(Pin::new(stream), cx, buffer);
        if read.is_pending() && buffer.is_empty() {
            *buffer = BytesMut::new();
        }
        read
    }

    /// Puts messages behind what is unwritten; `false` once the WebSocket is closed.
    pub(super) fn put(&self, messages: impl IntoIterator<Item = Message>) -> bool {
        let mut this = self.0.borrow_mut();
        let Inner {
            unwritten,
            codec,
            is_closed,
            ..
        } = &mut *this;
        messages
            .into_iter()
            .all(|message| !*is_closed && codec.encode(message, unwritten).is_ok())
    }

    /// Puts a close frame behind what is unwritten, if none is there.
    pub(super) fn put_close(&self, reason: Option<CloseReason>) {
        self.put([Message::Close(reason)]);
        self.0.borrow_mut().is_closed = true;
    }

    /// Answers a ping, unless the client does not read: it is only a courtesy.
    pub(super) fn pong(&self, message: Message) {
        if self.0.borrow().unwritten.len() < MAX_BYTES_BEFORE_PONG {
            self.put([message]);
            self.flush_now();
        }
    }

    /// Writes what the client takes without being waited for.
    pub(super) fn flush_now(&self) {
        // Whoever waits to write goes on with the rest, or finds the same error.
        let _rest = self.poll_flush(&mut Context::from_waker(std::task::Waker::noop()));
    }

    /// Writes all; `false` once the connection has gone.
    pub(super) async fn flush(&self) -> bool {
        poll_fn(|cx| self.poll_flush(cx)).await.is_ok()
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Inner {
            stream, unwritten, ..
        } = &mut *self.0.borrow_mut();
        while !unwritten.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, unwritten))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            unwritten.advance(written);
        }
        *unwritten = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Ends the connection so that the client hears the last frame: what it still sends is read and dropped for a moment, since
    /// bytes that nobody has read would have the system reset the connection.
    pub(super) async fn end(self) {
        let ending = async {
            let mut dropped = BytesMut::new();
            poll_fn(|cx| Pin::new(&mut self.0.borrow_mut().stream).poll_shutdown(cx)).await?;
            while poll_fn(|cx| self.poll_read(cx, &mut dropped)).await? > 0 {
                dropped.clear();
            }
            io::Result::Ok(())
        };
        let _gone = timeout(LINGER, ending).await;
    }
}
