//! WebSocket: actix-ws' messages and codec over the client's own TCP stream, which is taken out of the HTTP library's hands
//! once the handshake is answered. Whole messages in, frames out.

mod frame_length;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod messages;
mod reader;
mod wire;

use std::sync::Arc;

use actix_http::ws;
use actix_web::{HttpRequest, HttpResponse, body::MessageBody as _, web};
use actix_ws::{CloseCode, Message};
use bytestring::ByteString;
use carillon_protocol::engine::{Frame, payload};
use carillon_socketio::{Engine, Handshake, Owner, Place, Session, WebSocketLink, WebSocketSink};
use futures_util::stream;

use super::refusal::Refusal;
use crate::http::connection::{Held, Taken};
#[cfg(feature = "fuzzing")]
pub use fuzzing::fuzz_websocket;
use reader::Reader;
use wire::Wire;

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

/// What is to be run over a WebSocket.
enum Run {
    Link(WebSocketLink),
    Arrival(ByteString, Arc<dyn Place>, Arc<dyn Owner>),
    Close,
}

/// Accepts the WebSocket and runs it, apart from the request.
pub(super) fn serve(
    engine: &Arc<Engine>,
    request: &HttpRequest,
    early: web::Payload,
    binary: BinaryFrames,
    link: Link,
) -> HttpResponse {
    let (Ok(mut response), Some(connection)) = (ws::handshake(request.head()), request.conn_data::<Held>())
    else {
        return Refusal::BadRequest.respond();
    };
    let (body, taken) = connection.take();
    let Ok(response) = response.message_body(body.boxed()) else {
        return Refusal::BadRequest.respond();
    };
    let engine = Arc::clone(engine);
    let run = match link {
        Link::Open(handshake) => Run::Link(engine.open_websocket(handshake)),
        Link::Upgrade(session) => Run::Link(engine.upgrade(&session)),
        Link::Arrival(sid, place, owner) => Run::Arrival(sid, place, owner),
        Link::Surplus => Run::Close,
    };
    // Ends with the connection or the session, whichever goes first; a drain waits until no session is left.
    actix_web::rt::spawn(async move {
        // The connection counts as open until all is done.
        let Ok(Taken { stream, open: _open }) = taken.await else {
            // The client went before it had its answer. A session that it opened is to end all the same.
            if let Run::Link(link) = run {
                engine.run(link, stream::empty(), Gone).await;
            }
            return;
        };
        let wire = Wire::new(stream);
        let reader = Reader::new(wire.clone(), early.into_inner(), engine.config().max_payload);
        let writer = Writer {
            wire: wire.clone(),
            binary,
        };
        match run {
            Run::Link(link) => engine.run(link, reader, writer).await,
            // Boxed, as few WebSockets need the room for it.
            Run::Arrival(sid, place, owner) => {
                Box::pin(engine.run_arrival(sid, Some(place), owner, reader, writer)).await;
            }
            Run::Close => {
                let grace = engine.config().close_grace;
                let _late = tokio::time::timeout(grace, writer.close(None)).await;
            }
        }
        wire.end().await;
    });
    response.into()
}

/// The writing half of a WebSocket.
struct Writer {
    wire: Wire,
    binary: BinaryFrames,
}

impl WebSocketSink for Writer {
    fn send(&mut self, frames: impl IntoIterator<Item = Frame>) -> impl Future<Output = bool> {
        let messages = frames.into_iter().map(|frame| match (frame, self.binary) {
            (Frame::Text(text), _) => Message::Text(text),
            (Frame::Binary(bytes), BinaryFrames::Raw) => Message::Binary(bytes),
            // The same as one segment of a polling payload.
            (frame @ Frame::Binary(_), BinaryFrames::Base64) => Message::Text(payload::encode(&[frame])),
        });
        let is_put = self.wire.put(messages);
        async move { is_put && self.wire.flush().await }
    }

    async fn close(self, code: Option<u16>) {
        self.wire.put_close(code.map(|code| CloseCode::from(code).into()));
        // Where it is gone there is nothing left to do.
        self.wire.flush().await;
    }
}

/// The writing half of a connection that is not there any more.
struct Gone;

impl WebSocketSink for Gone {
    async fn send(&mut self, _frames: impl IntoIterator<Item = Frame>) -> bool {
        false
    }

    async fn close(self, _code: Option<u16>) {}
}
