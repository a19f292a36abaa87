//! A client's TCP connection as the HTTP library has it: one that a WebSocket can be taken out of, and whose later heads have
//! to come in time, as the library sees to with the first.
//!
//! actix-http keeps a connection's dispatcher, and two buffers of 8 KiB, for as long as a response lasts, and actix-ws makes
//! a WebSocket a response that lasts. Here the stream is moved out of the dispatcher once the head of the response is
//! written. What the dispatcher finds then is a connection that has ended, and it ends with it.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{
    body::{BodySize, MessageBody},
    dev::Extensions,
    rt::net::TcpStream,
};
use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
    time::{Sleep, sleep},
};

/// How long a client may take to send the head of a request.
pub(super) const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What the dispatcher reads from and writes to.
pub(super) struct Connection {
    shared: Rc<Shared>,
    /// Runs while a later head has begun and is not whole.
    head_timeout: Option<Pin<Box<Sleep>>>,
}

/// How far a connection is with its requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// A request is there, or the first is on its way, which the library looks after.
    Asked,
    /// Its response is about to be written.
    Answering,
    /// No byte of the next one has come.
    Answered,
    /// The next one's head has begun.
    LaterHead,
}

struct Shared {
    progress: Cell<Progress>,
    /// None once it was taken.
    stream: RefCell<Option<Taken>>,
    /// Who gets it with the next flush.
    heir: Cell<Option<oneshot::Sender<Taken>>>,
}

/// A client's stream.
pub(super) struct Taken {
    pub(super) stream: TcpStream,
    /// As long as this lives the connection counts as open.
    pub(super) open: Open,
}

/// See [`Connection::new`].
pub(super) type Open = oneshot::Sender<Infallible>;

impl Connection {
    /// Over a stream, with what ends when the connection does, whoever has the stream then.
    pub(super) fn new(stream: TcpStream) -> (Self, oneshot::Receiver<Infallible>) {
        // What is written goes out at once, also while the client has not said that it has what came before: there is nothing to
        // wait for, as all that is due is in one write. A stream that cannot is as good, but slower.
        let _slower = stream.set_nodelay(true);
        let (open, ended) = oneshot::channel();
        let shared = Shared {
            progress: Cell::new(Progress::Asked),
            stream: RefCell::new(Some(Taken { stream, open })),
            heir: Cell::new(None),
        };
        let connection = Self {
            shared: Rc::new(shared),
            head_timeout: None,
        };
        (connection, ended)
    }

    /// Puts what requests know their connection by among its data.
    pub(super) fn introduce(&self, data: &mut Extensions) {
        data.insert(Held(Rc::clone(&self.shared)));
    }

    /// Whether a later head takes too long.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.shared.progress.get() != Progress::LaterHead {
            self.head_timeout = None;
        }
        let timeout = self.head_timeout.as_mut();
        timeout.is_some_and(|timeout| timeout.as_mut().poll(cx).is_ready())
    }
}

/// Among the data of a connection: what its requests know it by.
#[derive(Clone)]
pub(super) struct Held(Rc<Shared>);

impl Held {
    /// The head of a request is there.
    pub(super) fn asked(&self) {
        self.0.progress.set(Progress::Asked);
    }

    /// The response is there.
    pub(super) fn answering(&self) {
        self.0.progress.set(Progress::Answering);
    }

    /// A body without bytes for the response, and the stream, which comes when the head of that response is written; an error
    /// where the client has gone first.
    pub(super) fn take(&self) -> (impl MessageBody + 'static, oneshot::Receiver<Taken>) {
        let (heir, stream) = oneshot::channel();
        let last_body = LastBody {
            connection: Rc::clone(&self.0),
            heir: Some(heir),
        };
        (last_body, stream)
    }
}

/// The body of the last response on a connection.
struct LastBody {
    connection: Rc<Shared>,
    heir: Option<oneshot::Sender<Taken>>,
}

impl MessageBody for LastBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        // A body is asked for once the head is in the buffer: the next flush ends with it.
        this.connection.heir.set(this.heir.take());
        Poll::Ready(None)
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = match &mut *this.shared.stream.borrow_mut() {
            Some(Taken { stream, .. }) => Pin::new(stream).poll_read(cx, buf),
            None => return Poll::Ready(Ok(())),
        };
        if buf.filled().len() > before && this.shared.progress.get() == Progress::Answered {
            this.shared.progress.set(Progress::LaterHead);
            this.head_timeout = Some(Box::pin(sleep(REQUEST_HEAD_TIMEOUT)));
        }
        if this.is_late(cx) {
            // To the dispatcher its client has ended.
            buf.set_filled(before);
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self.shared.stream.borrow_mut() {
            Some(Taken { stream, .. }) => Pin::new(stream).poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Called when all that was in the dispatcher's buffer is written.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Shared {
            progress,
            stream: slot,
            heir,
        } = &*self.shared;
        let mut slot = slot.borrow_mut();
        let Some(Taken { stream, .. }) = &mut *slot else {
            return Poll::Ready(Ok(()));
        };
        ready!(Pin::new(stream).poll_flush(cx))?;
        if progress.get() == Progress::Answering {
            progress.set(Progress::Answered);
        }
        if let Some(heir) = heir.take()
            && let Some(taken) = slot.take()
        {
            // Where nobody waits any more it is closed.
            let _unwanted = heir.send(taken);
            // The dispatcher is to see at once that it has nothing left.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.shared.stream.borrow_mut() {
            Some(Taken { stream, .. }) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, io::Write as _, pin::pin};

    use futures_util::FutureExt as _;
    use tokio::{net::TcpListener, sync::oneshot::error::TryRecvError, time::advance};

    use super::*;

    /// A connection, and its client's end.
    async fn connection() -> (Connection, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Connection::new(listener.accept().await.unwrap().0).0, client)
    }

    /// How many bytes come; 0 at the end.
    async fn read(connection: &mut Connection) -> usize {
        let mut bytes = [0; 16];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|cx| Pin::new(&mut *connection).poll_read(cx, &mut buffer))
            .await
            .unwrap();
        buffer.filled().len()
    }

    async fn flush(connection: &mut Connection) {
        poll_fn(|cx| Pin::new(&mut *connection).poll_flush(cx))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn what_is_written_does_not_wait_for_what_was_written_before() {
        let (connection, _client) = connection().await;
        let stream = connection.shared.stream.borrow();
        assert!(stream.as_ref().unwrap().stream.nodelay().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn each_later_head_has_its_time_and_no_more() {
        const ALMOST: Duration = Duration::from_millis(9_900);
        // Paused time would go on to the next timer while bytes are on their way, but for work that blocks.
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let standstill = tokio::task::spawn_blocking(move || ended.recv());
        let (mut connection, mut client) = connection().await;
        for _ in 0..3 {
            let held = Held(Rc::clone(&connection.shared));
            held.asked();
            held.answering();
            flush(&mut connection).await;
            client.write_all(b"GET").unwrap();
            assert_eq!(read(&mut connection).await, 3);
            advance(ALMOST).await;
        }
        client.write_all(b" / ").unwrap();
        assert_eq!(read(&mut connection).await, 3);
        assert!(read(&mut connection).now_or_never().is_none());
        advance(REQUEST_HEAD_TIMEOUT - ALMOST).await;
        assert_eq!(read(&mut connection).await, 0);
        drop(end);
        assert!(standstill.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_connection_is_open_as_long_as_its_stream_whoever_has_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut connection, mut ended) = Connection::new(listener.accept().await.unwrap().0);
        let (body, taken) = Held(Rc::clone(&connection.shared)).take();
        let mut body = pin!(body);
        assert!(poll_fn(|cx| body.as_mut().poll_next(cx)).await.is_none());
        flush(&mut connection).await;

        let taken = taken.await.unwrap();
        drop(connection);
        assert_eq!(ended.try_recv(), Err(TryRecvError::Empty));
        drop(taken);
        assert_eq!(ended.try_recv(), Err(TryRecvError::Closed));
    }

    #[tokio::test]
    async fn what_takes_the_stream_has_it_once_all_is_written_and_the_rest_finds_an_end() {
        let (mut connection, mut client) = connection().await;
        let (body, mut stream) = Held(Rc::clone(&connection.shared)).take();
        flush(&mut connection).await;
        assert!(stream.try_recv().is_err(), "before the head was in the buffer");

        let mut body = pin!(body);
        assert!(poll_fn(|cx| body.as_mut().poll_next(cx)).await.is_none());
        flush(&mut connection).await;
        let Taken { stream, .. } = stream.await.unwrap();
        assert_eq!(read(&mut connection).await, 0);
        client.write_all(b"frame").unwrap();
        stream.readable().await.unwrap();
        assert_eq!(stream.try_read(&mut [0; 16]).unwrap(), 5);
    }
}
