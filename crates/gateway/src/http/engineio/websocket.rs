//! WebSocket over actix-ws: whole messages in, frames out.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::{HttpRequest, HttpResponse, error::PayloadError, web};
use actix_ws::{CloseCode, CloseReason, Item, Message, MessageStream, ProtocolError};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use carillon_protocol::engine::{Frame, payload};
use carillon_socketio::{Engine, Handshake, Incoming, Owner, Place, Session, WebSocketSink};
use futures_util::Stream;

use super::{frame_guard, refusal::Refusal};

/// How a client gets binary messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum BinaryFrames {
    /// As binary frames.
    #[default]
    Raw,
    /// As text frames of `b` and base64: it asked so by the query parameter `b64`.
    Base64,
}

/// What a WebSocket is for.
pub(super) enum Link {
    /// It opens a session.
    Open(Handshake),
    /// It came with the sid of a session.
    Upgrade(Arc<Session>),
    /// It came with the sid of a session on another node, for which there is this place.
    Arrival(ByteString, Arc<dyn Place>, Arc<dyn Owner>),
    /// The session of its sid, on another node, has a WebSocket or no room here: it is accepted and closed.
    Surplus,
}

/// Accepts the WebSocket and runs it, apart from the request.
pub(super) async fn serve(
    engine: &Arc<Engine>,
    request: &HttpRequest,
    payload: web::Payload,
    binary: BinaryFrames,
    link: Link,
) -> HttpResponse {
    let max_payload = engine.config().max_payload;
    let Some(payload) = frame_guard::guard(request, payload, max_payload).await else {
        return Refusal::BadRequest.respond();
    };
    let Ok((response, session, messages)) = actix_ws::handle(request, payload) else {
        return Refusal::BadRequest.respond();
    };
    let engine = Arc::clone(engine);
    let reader = Reader {
        messages: messages.max_frame_size(max_payload),
        writer: session.clone(),
        max_payload,
        partial: None,
    };
    let writer = Writer { session, binary };
    let link = match link {
        Link::Open(handshake) => engine.open_websocket(handshake),
        Link::Upgrade(session) => engine.upgrade(&session),
        Link::Arrival(sid, place, owner) => {
            actix_web::rt::spawn(
                async move { engine.run_arrival(sid, Some(place), owner, reader, writer).await },
            );
            return response;
        }
        Link::Surplus => {
            let grace = engine.config().close_grace;
            actix_web::rt::spawn(async move { _ = tokio::time::timeout(grace, writer.close(None)).await });
            return response;
        }
    };
    // Ends with the connection or the session, whichever goes first; a drain waits until no session is left.
    actix_web::rt::spawn(async move { engine.run(link, reader, writer).await });
    response
}

/// Whole messages out of frames.
struct Reader {
    messages: MessageStream,
    /// For the answers to pings of the WebSocket itself.
    writer: actix_ws::Session,
    max_payload: usize,
    partial: Option<Partial>,
}

/// The fragments of a message so far.
struct Partial {
    is_text: bool,
    bytes: BytesMut,
}

impl Stream for Reader {
    type Item = Incoming;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        let this = self.get_mut();
        loop {
            let message = match ready!(Pin::new(&mut this.messages).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) if is_overflow(&error) => return Poll::Ready(Some(Incoming::TooBig)),
                Some(Err(ProtocolError::Io(error))) if error.kind() != std::io::ErrorKind::InvalidData => {
                    return Poll::Ready(None);
                }
                Some(Err(_)) => return Poll::Ready(Some(Incoming::Invalid)),
                None => return Poll::Ready(None),
            };
            match message {
                Message::Text(text) => return Poll::Ready(Some(Incoming::Text(text))),
                Message::Binary(bytes) => return Poll::Ready(Some(Incoming::Binary(bytes))),
                Message::Continuation(item) => {
                    if let Some(incoming) = this.fragment(item) {
                        return Poll::Ready(Some(incoming));
                    }
                }
                Message::Ping(data) => this.pong(&data),
                Message::Pong(_) | Message::Nop => {}
                Message::Close(reason) => {
                    this.echo_close(reason);
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl Reader {
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
        let bytes = bytes.freeze();
        Some(match (is_text, ByteString::try_from(bytes.clone())) {
            (true, Ok(text)) => Incoming::Text(text),
            (true, Err(_)) => Incoming::Invalid,
            (false, _) => Incoming::Binary(bytes),
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

    /// Answers a ping at once, or not at all where the client does not read: it is only a courtesy.
    fn pong(&mut self, data: &Bytes) {
        try_now(self.writer.pong(data));
    }

    /// Answers a close frame with its own code (RFC 6455, 5.5.1), where the client still reads.
    fn echo_close(&self, reason: Option<CloseReason>) {
        try_now(self.writer.clone().close(reason));
    }
}

/// Whether a frame was too large, as the guard or the codec says.
fn is_overflow(error: &ProtocolError) -> bool {
    let ProtocolError::Io(error) = error else {
        return matches!(error, ProtocolError::Overflow);
    };
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<PayloadError>());
    matches!(cause, Some(PayloadError::Overflow))
}

/// Does what can be done without waiting.
fn try_now(work: impl Future) {
    let mut work = std::pin::pin!(work);
    let _done = work
        .as_mut()
        .poll(&mut Context::from_waker(std::task::Waker::noop()));
}

struct Writer {
    session: actix_ws::Session,
    binary: BinaryFrames,
}

impl WebSocketSink for Writer {
    async fn send(&mut self, frame: Frame) -> bool {
        let sent = match (frame, self.binary) {
            (Frame::Text(text), _) => self.session.text(text).await,
            (Frame::Binary(bytes), BinaryFrames::Raw) => self.session.binary(bytes).await,
            // The same as one segment of a polling payload.
            (frame @ Frame::Binary(_), BinaryFrames::Base64) => {
                self.session.text(payload::encode(&[frame])).await
            }
        };
        sent.is_ok()
    }

    async fn close(self, code: Option<u16>) {
        // Where it is closed already there is nothing left to do.
        let _closed = self
            .session
            .close(code.map(|code| CloseCode::from(code).into()))
            .await;
    }
}
