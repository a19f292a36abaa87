//! The WebSocket transport: one task reads, writes and keeps the time; messages go to the layer above without a hop.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use bytestring::ByteString;
use carillon_protocol::engine::{self, Frame, Message, Packet};
use futures_util::{Stream, StreamExt};
use tokio::sync::oneshot;

use super::{Application, Batch, Call, CloseReason, Effects, Session, Transport, machine::Input};
use crate::observer::Delivery;

/// Close code for a message over the limit (RFC 6455, 7.4.1).
const MESSAGE_TOO_BIG: u16 = 1009;
/// Close code of a server that goes: try another one (RFC 6455's registry, "Service Restart").
const SERVICE_RESTART: u16 = 1012;

/// What comes over a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A whole text message.
    Text(ByteString),
    /// A whole binary message.
    Binary(Bytes),
    /// A message over [`Config::max_payload`](crate::Config::max_payload).
    TooBig,
    /// What is no valid WebSocket message: text that is no UTF-8, a broken frame.
    Invalid,
}

impl Incoming {
    /// Length of a message in bytes.
    fn len(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.len()),
            Self::Binary(bytes) => Some(bytes.len()),
            Self::TooBig | Self::Invalid => None,
        }
    }
}

/// The writing side of a WebSocket.
pub trait WebSocketSink {
    /// Writes messages, one after the other; `false` once the connection has gone.
    fn send(&mut self, frames: impl IntoIterator<Item = Frame>) -> impl Future<Output = bool>;

    /// Closes it, with a close frame that has this code, or none.
    fn close(self, code: Option<u16>) -> impl Future<Output = ()>;
}

/// What a WebSocket is to its session.
pub(crate) enum Role {
    /// It opened the session.
    Opened(Box<dyn Application>),
    /// It may become the transport of a polling session; its number among those that tried.
    Probe(u64),
    /// It came too much: it is accepted and closed (engine.io 6, `server.ts`).
    Refused,
}

/// A WebSocket that is to be run over its two halves, once the HTTP side has accepted it.
#[must_use = "the session waits for its WebSocket"]
pub struct WebSocketLink {
    session: Arc<Session>,
    role: Role,
}

impl std::fmt::Debug for WebSocketLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocketLink")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl WebSocketLink {
    pub(crate) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(crate) const fn new(session: Arc<Session>, role: Role) -> Self {
        Self { session, role }
    }

    /// Runs it until the WebSocket or the session ends. Not to be cancelled: the layer above is told of the end here.
    pub async fn run<R, W>(self, mut reader: R, mut writer: W)
    where
        R: Stream<Item = Incoming> + Unpin,
        W: WebSocketSink,
    {
        let Self { session, role } = self;
        let coming = match role {
            Role::Opened(application) => {
                return serve(&session, async { Some(application) }, reader, writer).await;
            }
            Role::Probe(number) => take_over(&session, number, &mut reader, &mut writer).await,
            Role::Refused => None,
        };
        match coming {
            // The task of the polling session brings it once it has worked off what came before the upgrade.
            Some(application) => serve(&session, async { application.await.ok() }, reader, writer).await,
            None => close_unused(writer, session.config.close_grace).await,
        }
    }
}

/// Closes a WebSocket that carries no session, without waiting for ever.
pub(crate) async fn close_unused<W: WebSocketSink>(writer: W, grace: Duration) {
    let _late = tokio::time::timeout(grace, writer.close(None)).await;
}

impl Session {
    /// Begins an upgrade, or what only looks like one.
    pub(crate) fn probe(self: &Arc<Self>) -> WebSocketLink {
        WebSocketLink::new(Arc::clone(self), self.begin_probe())
    }

    pub(super) fn begin_probe(&self) -> Role {
        let mut state = self.state.lock();
        if self.apply(&mut state, Input::Probe).refused {
            return Role::Refused;
        }
        state.probe += 1;
        Role::Probe(state.probe)
    }

    pub(super) fn is_probing(&self, number: u64) -> bool {
        let state = self.state.lock();
        state.probe == number && !state.machine.is_closed()
    }

    /// An input of the probing WebSocket with this number; none once that one is over.
    pub(super) fn probe_input(&self, number: u64, input: Input) -> Effects {
        let mut state = self.state.lock();
        if state.probe == number {
            self.apply(&mut state, input)
        } else {
            Effects::default()
        }
    }
}

/// The upgrade: `2probe`, `3probe`, `5`; then the layer above moves here from the task of the polling session.
async fn take_over<R, W>(
    session: &Session,
    number: u64,
    reader: &mut R,
    writer: &mut W,
) -> Option<oneshot::Receiver<Box<dyn Application>>>
where
    R: Stream<Item = Incoming> + Unpin,
    W: WebSocketSink,
{
    loop {
        let changed = session.changed.notified();
        if !session.is_probing(number) {
            return None;
        }
        let incoming = tokio::select! {
            incoming = reader.next() => incoming,
            () = changed => continue,
        };
        let packet = probe_packet(incoming);
        let effects = session.probe_input(number, packet.map_or(Input::ProbeLost, Input::ProbePacket));
        if effects.application.is_some() {
            return effects.application;
        }
        if !effects.answer_probe || !writer.send([Frame::PONG_PROBE]).await {
            session.probe_input(number, Input::ProbeLost);
            return None;
        }
    }
}

/// What comes over a WebSocket that carries no session yet; `None` where it is no packet, or the WebSocket went.
pub(crate) fn probe_packet(incoming: Option<Incoming>) -> Option<Packet> {
    match incoming {
        Some(Incoming::Text(text)) => engine::decode_text(&text).ok(),
        Some(Incoming::Binary(_) | Incoming::TooBig | Incoming::Invalid) | None => None,
    }
}

/// The session's life over WebSocket. It writes and keeps the time even while the layer above is busy, or on its way.
pub(crate) async fn serve<R, W>(
    session: &Session,
    coming: impl Future<Output = Option<Box<dyn Application>>>,
    reader: R,
    writer: W,
) where
    R: Stream<Item = Incoming> + Unpin,
    W: WebSocketSink,
{
    let reading = async {
        let Some(mut application) = coming.await else {
            return session.close(CloseReason::TransportError);
        };
        let reason = read(session, &mut *application, reader).await;
        application.closed(reason).await;
    };
    tokio::join!(reading, write(session, writer), session.run_timers());
}

async fn read<R>(session: &Session, application: &mut dyn Application, mut reader: R) -> CloseReason
where
    R: Stream<Item = Incoming> + Unpin,
{
    let mut call = pin!(session.call());
    loop {
        let incoming = tokio::select! {
            biased;
            called = &mut call => match called {
                Call::Ended(reason) => return reason,
                Call::Layer => {
                    call.set(session.call());
                    application.called().await;
                    continue;
                }
            },
            incoming = reader.next() => incoming,
        };
        if let Some(length) = incoming.as_ref().and_then(Incoming::len) {
            session.counters.bytes_received(Transport::WebSocket, length);
        }
        let input = match incoming {
            Some(Incoming::Text(text)) => engine::decode_text(&text).map_or(Input::Malformed, Input::Packet),
            Some(Incoming::Binary(bytes)) => Input::Packet(Packet::Message(Message::Binary(bytes))),
            Some(Incoming::TooBig) => Input::Close(CloseReason::TooBig),
            Some(Incoming::Invalid) => Input::Malformed,
            None => Input::WebSocketLost,
        };
        if let Some(message) = session.input(input).deliver {
            session.room_for_answers().await;
            application.message(message).await;
        }
    }
}

/// Writes until the session has ended and what it left is written, or the client takes no more.
async fn write<W: WebSocketSink>(session: &Session, mut writer: W) {
    let mut writing = pin!(async move {
        loop {
            // What is written is not part of the task while it waits: there are many tasks, and most of them wait.
            let (sending, tracked) = {
                let Batch { frames, tracked } = session.next_batch().await;
                if frames.is_empty() {
                    break;
                }
                session.counters.sent(Transport::WebSocket, &frames);
                (writer.send(frames), tracked)
            };
            if !sending.await {
                session.counters.tracked(tracked, Delivery::DroppedClosed);
                session.input(Input::WebSocketLost);
                return;
            }
            session.counters.tracked(tracked, Delivery::Written);
        }
        let farewell = session.state.lock().farewell;
        let code = match farewell.map(|farewell| farewell.reason) {
            Some(CloseReason::TooBig) => Some(MESSAGE_TOO_BIG),
            Some(CloseReason::ServerShutdown) => Some(SERVICE_RESTART),
            _ => None,
        };
        writer.close(code).await;
    });
    tokio::select! {
        () = &mut writing => return,
        _reason = session.ended() => {}
    }
    // A client that reads no more, or hardly, cannot keep the connection open by that.
    let _late = tokio::time::timeout(session.config.close_grace, writing).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Counters, Handshake, Transport};

    fn number(link: &WebSocketLink) -> Option<u64> {
        if let Role::Probe(number) = link.role {
            Some(number)
        } else {
            None
        }
    }

    fn text(text: &str) -> ByteString {
        text.into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_over_has_no_say_in_the_next_one() {
        let (config, counters) = (Arc::new(Config::default()), Arc::new(Counters::default()));
        let timeout = config.upgrade_timeout;
        let handshake = Handshake::default();
        let session = Arc::new(Session::new(
            text("sid"),
            Transport::Polling,
            handshake,
            config,
            counters,
        ));
        let first = number(&session.probe()).unwrap();
        session.probe_input(first, Input::ProbePacket(Packet::Ping(text("probe"))));
        tokio::time::advance(timeout + Duration::from_millis(1)).await;
        session.input(Input::Tick);

        // Before the first has noticed its timeout there is a second.
        let second = number(&session.probe()).unwrap();
        session.probe_input(first, Input::ProbePacket(Packet::Upgrade));
        session.probe_input(first, Input::ProbeLost);

        assert!(!session.is_probing(first) && session.is_probing(second));
        assert!(
            session
                .probe_input(second, Input::ProbePacket(Packet::Ping(text("probe"))))
                .answer_probe
        );
        assert!(
            session
                .probe_input(second, Input::ProbePacket(Packet::Upgrade))
                .application
                .is_some()
        );
        assert!(
            session
                .probe_input(first, Input::ProbePacket(Packet::Upgrade))
                .application
                .is_none()
        );
    }
}
