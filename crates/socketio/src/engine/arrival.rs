//! A session comes from another node: its client was polling there, and its WebSocket is here.
//!
//! ```text
//! client      this node                          the owner, by [`Owner`]
//! 2probe  →   probe                          →   Session::probe_elsewhere
//!         ←   3probe
//! 5       →   brief                          →   Leaving::upgrade: polling is over, what was posted is worked off
//!             sockets, in their rooms        ←   Departure::brief
//!             attend: broadcasts come here
//!             export                         →   the fence, one place in the order of broadcasts:
//!             fence: what comes is held back     Departure::export
//!         ←   what was queued there          ←
//!         ←   what was held back
//!             arrived                        →   Departure::departed
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use bytestring::ByteString;
use carillon_protocol::{
    engine::{Frame, Packet},
    id::Room,
    value::Value,
};
use dashmap::{DashMap, Entry};
use futures_util::{Stream, StreamExt};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::Engine;
use crate::session::{
    Application, CloseReason, Handshake, Incoming, Place, Session, SessionBrief, SessionExport,
    WebSocketSink, close_unused, probe_packet, serve,
};

/// The node that has a session, as the node sees it that the session's WebSocket came to. One for each WebSocket.
///
/// Each call may take its time, but not for ever: it is bounded by [`Config::upgrade_timeout`](crate::Config).
#[async_trait]
pub trait Owner: Send + Sync {
    /// `2probe` came: whether the session may be upgraded.
    async fn probe(&self) -> bool;

    /// Waits until the owner says that the upgrade may no longer come, or is gone itself.
    async fn gone(&self);

    /// `5` came: the owner stops polling, and says what is needed to build the session here. `None` where it is too late.
    async fn brief(&self) -> Option<SessionBrief>;

    /// Waits until what is broadcast to these rooms, each in its namespace, surely comes to this node's hub.
    async fn attend(&self, rooms: &[(ByteString, Room)]) -> bool;

    /// Sets the fence, a place in the order of broadcasts that both nodes see. `at_fence` is to be called there by whoever
    /// delivers what comes before it and after it. Answers with what the owner had at its side of the fence.
    async fn export(&self, at_fence: Box<dyn FnOnce() + Send>) -> Option<SessionExport>;

    /// The session is here, and its handler knows.
    async fn arrived(&self);

    /// What [`Owner::probe`] began came to nothing, at whatever point.
    async fn lost(&self);
}

/// The layer above a session that comes from another node.
pub trait ArrivingLayer: Send + Sync {
    /// The rooms that its sockets are in, each with its namespace.
    fn rooms(&self) -> Vec<(ByteString, Room)>;

    /// From now on it keeps what comes for the session; before, that was for the other node to do.
    fn fence(&self);

    /// Goes on as [`DepartingLayer::export`](crate::DepartingLayer::export) says, and gives the session what it has kept.
    /// `None` where it cannot: nothing may be lost or come twice.
    fn complete(&self, state: &Value) -> Option<Box<dyn Application>>;

    /// The session does not come.
    fn cancel(&self);
}

/// A session that is on its way here. Dropped before it is complete, nothing of it stays.
struct Arrival {
    session: Arc<Session>,
    layer: Arc<dyn ArrivingLayer>,
    sessions: Arc<DashMap<ByteString, Arc<Session>>>,
    begun: Instant,
    complete: bool,
}

impl Engine {
    /// Runs a WebSocket that came with the sid of another node's session: the upgrade, the move of the session to here, and
    /// the session, in this `place`, until its end. Where that fails the WebSocket is closed. Not to be cancelled.
    pub async fn run_arrival<R, W>(
        &self,
        sid: ByteString,
        place: Option<Arc<dyn Place>>,
        owner: Arc<dyn Owner>,
        mut reader: R,
        mut writer: W,
    ) where
        R: Stream<Item = Incoming> + Unpin,
        W: WebSocketSink,
    {
        let running = async {
            let Some((session, application)) = self
                .take_over(sid, place, &*owner, &mut reader, &mut writer)
                .await
            else {
                return close_unused(writer, self.config.close_grace).await;
            };
            let (known, when_known) = oneshot::channel();
            let coming = async {
                let mut application = application;
                application.arrived().await;
                let _waits = known.send(());
                Some(application)
            };
            let telling = async {
                if when_known.await.is_ok() {
                    owner.arrived().await;
                }
            };
            tokio::join!(serve(&session, coming, reader, writer), telling);
            if session.is_over() {
                self.sessions.remove(session.sid());
            }
        };
        self.tasks.track_future(running).await;
    }

    async fn take_over<R, W>(
        &self,
        sid: ByteString,
        place: Option<Arc<dyn Place>>,
        owner: &dyn Owner,
        reader: &mut R,
        writer: &mut W,
    ) -> Option<(Arc<Session>, Box<dyn Application>)>
    where
        R: Stream<Item = Incoming> + Unpin,
        W: WebSocketSink,
    {
        let until = Instant::now() + self.config.upgrade_timeout;
        let first = timeout_at(until, reader.next()).await.ok()?;
        if !matches!(probe_packet(first), Some(Packet::Ping(data)) if data == "probe") {
            return None;
        }
        let upgraded = match timeout_at(until, owner.probe()).await {
            Ok(true) => timeout_at(until, wait_for_upgrade(owner, reader, writer)).await,
            Ok(false) => return None,
            Err(late) => Err(late),
        };
        let moved = match upgraded {
            Ok(true) => timeout(self.config.upgrade_timeout, self.move_here(sid, place, owner)).await,
            Ok(false) | Err(_) => Ok(None),
        };
        let moved = moved.ok().flatten();
        if moved.is_none() {
            owner.lost().await;
        }
        moved
    }

    async fn move_here(
        &self,
        sid: ByteString,
        place: Option<Arc<dyn Place>>,
        owner: &dyn Owner,
    ) -> Option<(Arc<Session>, Box<dyn Application>)> {
        let brief = owner.brief().await?;
        let arrival = self.arrive(sid, place, &brief)?;
        if !owner.attend(&arrival.layer.rooms()).await {
            return None;
        }
        let (passed, when_passed) = oneshot::channel();
        let layer = Arc::clone(&arrival.layer);
        let at_fence = move || {
            layer.fence();
            let _waits = passed.send(());
        };
        let export = owner.export(Box::new(at_fence)).await?;
        // What the owner exported may overtake the fence on its way here.
        when_passed.await.ok()?;
        arrival.complete(export)
    }

    /// Builds the session and what is above it.
    fn arrive(
        &self,
        sid: ByteString,
        place: Option<Arc<dyn Place>>,
        brief: &SessionBrief,
    ) -> Option<Arrival> {
        let handshake = Handshake {
            address: brief.address.clone(),
            headers: Vec::new(),
            place,
        };
        let session = match self.sessions.entry(sid) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(entry) => {
                let (config, counters) = (Arc::clone(&self.config), Arc::clone(&self.counters));
                let session = Session::arriving(entry.key().clone(), handshake, config, counters);
                Arc::clone(entry.insert(Arc::new(session)).value())
            }
        };
        let Some(layer) = self.acceptor.arrive(&session, &brief.layer) else {
            give_up(&session, &self.sessions);
            return None;
        };
        Some(Arrival {
            session,
            layer,
            sessions: Arc::clone(&self.sessions),
            begun: Instant::now(),
            complete: false,
        })
    }
}

impl Arrival {
    fn complete(mut self, export: SessionExport) -> Option<(Arc<Session>, Box<dyn Application>)> {
        let state = self.session.restore(export, self.begun)?;
        let application = self.layer.complete(&state)?;
        self.complete = true;
        Some((Arc::clone(&self.session), application))
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if !self.complete {
            self.layer.cancel();
            give_up(&self.session, &self.sessions);
        }
    }
}

fn give_up(session: &Session, sessions: &DashMap<ByteString, Arc<Session>>) {
    session.close(CloseReason::TransportError);
    sessions.remove(session.sid());
}

/// Answers the probe, and waits for what comes next: whether it is the upgrade.
async fn wait_for_upgrade<R, W>(owner: &dyn Owner, reader: &mut R, writer: &mut W) -> bool
where
    R: Stream<Item = Incoming> + Unpin,
    W: WebSocketSink,
{
    if !writer.send([Frame::PONG_PROBE]).await {
        return false;
    }
    tokio::select! {
        incoming = reader.next() => matches!(probe_packet(incoming), Some(Packet::Upgrade)),
        () = owner.gone() => false,
    }
}
