//! The application over Socket.IO: admits clients, keeps what recovers them, carries out what events answer.

mod delivery;
mod peer;
mod sessions;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use carillon_backplane::Backplane;
use carillon_protocol::{
    adapter::Offset,
    id::{Room, UserId},
    problem::Code,
    time::Timestamp,
    value::Value,
};
use carillon_socketio::{
    Admission, Arriving, ConnectRequest, DisconnectReason, Handler, Hub, MissedEvent, RecoveryState, Refusal,
    Socket, random_id,
};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    auth::{self, LEEWAY_MS, Verifier},
    clock::Clock,
    events::{Caller, Effect, Events, Outcome},
    gaps::Gaps,
    limits::{ChatQuota, ConnectionSlot, Limits},
    services::Services,
    telemetry::{
        Metrics,
        metrics::{RecoveryOutcome, Rejection, known_event},
        traces,
    },
};

pub use delivery::Delivery;
pub use peer::Peer;

use peer::Packed;

/// The one namespace that is served.
pub(crate) const NAMESPACE: &str = "/";

/// The application over Socket.IO.
pub struct Sockets {
    /// This node's sockets.
    pub hub: Arc<Hub<Peer>>,
    /// The way to them.
    pub delivery: Arc<Delivery>,
    /// Sessions, presence and events of all nodes.
    pub backplane: Arc<dyn Backplane>,
    /// What events do.
    pub events: Events,
    /// Use cases.
    pub services: Arc<Services>,
    /// Whose tokens are believed.
    pub verifier: Arc<Verifier>,
    /// How many connections there may be.
    pub limits: Arc<Limits>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether this node's sockets lack something.
    pub gaps: Gaps,
}

impl std::fmt::Debug for Sockets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sockets")
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Handler<Peer> for Sockets {
    fn serves(&self, nsp: &str) -> bool {
        nsp == NAMESPACE
    }

    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission<Peer>, Refusal> {
        let authorization = request.handshake.header("authorization");
        let caller =
            auth::authenticate(&self.verifier, Some(request.auth), authorization).map_err(|refusal| {
                tracing::debug!(cause = %refusal, "handshake refused");
                self.metrics.connections.refused(Rejection::Unauthenticated);
                Refusal::new(refusal.to_string())
            })?;
        let user = caller.user;
        let resumed = match request.resume {
            Some(resume) => {
                let record = self.reclaim(resume, &user).await;
                if record.is_none() {
                    self.metrics.connections.recovery(RecoveryOutcome::TooOld);
                }
                record.map(|record| (record, resume.offset))
            }
            None => None,
        };
        let slot = match self.slot(&user) {
            Ok(slot) => slot,
            Err(refusal) => {
                if let Some((record, _)) = resumed {
                    self.put_back(record).await;
                }
                return Err(refusal);
            }
        };
        let peer = Peer::new(user, self.clock.now(), caller.expires_at, resumed.is_some(), slot);
        if let Some((record, offset)) = resumed {
            return Ok(Admission {
                data: peer,
                rooms: record.rooms,
                recovery: Some(RecoveryState {
                    pid: record.pid,
                    offset,
                    resumed_socket: Some(record.socket_id),
                }),
            });
        }
        let rooms = vec![Room::of_user(peer.user())];
        // Without the log a session cannot be recovered, but it lives.
        let head = self.backplane.head().await.ok();
        let recovery = head.map(|offset| RecoveryState {
            pid: random_id(),
            offset,
            resumed_socket: None,
        });
        Ok(Admission {
            data: peer,
            rooms,
            recovery,
        })
    }

    async fn joining(&self, socket: &Arc<Socket<Peer>>) {
        let rooms = self.all_rooms(socket);
        // The record as well: a client that is told of its session may lose it, and ask for it elsewhere, in the same moment.
        tokio::join!(self.attend(&rooms), self.keep(socket));
    }

    async fn given_up(&self, socket: &Arc<Socket<Peer>>) {
        if let Some(pid) = socket.pid().filter(|_| !socket.data().is_superseded())
            && let Err(error) = self.backplane.forget(pid).await
        {
            tracing::debug!(%error, "session record not forgotten");
        }
    }

    async fn missed(&self, socket: &Arc<Socket<Peer>>, offset: Offset) -> Option<Vec<MissedEvent>> {
        let connections = &self.metrics.connections;
        let missed = match self.missed_since(socket, offset).await {
            Ok(missed) => missed,
            Err(outcome) => {
                connections.recovery(outcome);
                return None;
            }
        };
        connections.recovered(missed.len());
        let event = |missed: carillon_backplane::Missed| MissedEvent {
            tracked: self.delivery.recovered(&missed.broadcast),
            broadcast: missed.broadcast,
            offset: missed.offset,
        };
        Some(missed.into_iter().map(event).collect())
    }

    async fn connected(&self, socket: &Arc<Socket<Peer>>) {
        let session = socket.session();
        self.metrics
            .connections
            .connected(session.opened_by(), session.opened_at().elapsed());
        self.begin(socket).await;
    }

    async fn event(&self, socket: &Arc<Socket<Peer>>, args: Vec<Value>) -> Vec<Value> {
        let begun = Instant::now();
        let Some((name, rest)) = args.split_first() else {
            return Vec::new();
        };
        let name_text = name.as_text().map_or("", |name| name);
        let span = traces::event_span(known_event(name_text));
        let chats = JoinedChats {
            hub: &self.hub,
            limits: &self.limits,
            socket,
        };
        let caller = Caller {
            user: socket.data().user(),
            socket_room: socket.room(),
            chats: &chats,
        };
        let Outcome {
            effect,
            reply,
            ack,
            failure,
        } = self
            .events
            .handle(&caller, name, rest)
            .instrument(span.clone())
            .await;
        self.apply(socket, effect).await;
        // Of signals that nobody waits for, many are refused as one.
        let is_told = name_text != "typing" || failure != Some(Code::RateLimited);
        if let Some(reply) = reply
            && (is_told || socket.data().tell_throttled())
        {
            socket.emit(&reply);
        }
        if let Some(code) = failure {
            traces::refused(&span, code);
        }
        self.metrics.events.answered(name_text, failure, begun.elapsed());
        ack
    }

    async fn disconnected(&self, socket: &Arc<Socket<Peer>>, reason: DisconnectReason) {
        if let Some(pid) = socket.pid().filter(|_| !socket.data().is_superseded()) {
            let kept = match reason {
                DisconnectReason::Client | DisconnectReason::Server => self.backplane.forget(pid).await,
                DisconnectReason::Session(_) => self.backplane.lost(pid).await,
            };
            if let Err(error) = kept {
                tracing::debug!(%error, "session record not updated");
            }
        }
        self.services.presence.disconnected(socket.data().user()).await;
    }

    fn depart(&self, socket: &Arc<Socket<Peer>>) -> Option<Value> {
        Some(socket.data().pack())
    }

    fn arrive(&self, arriving: Arriving<'_>) -> Option<Peer> {
        let packed = Packed::read(&arriving.data)?;
        let slot = self.limits.connection(&packed.user).ok()?;
        Some(packed.into_peer(slot))
    }

    async fn arrived(&self, socket: &Arc<Socket<Peer>>) {
        // What the client does next, on whichever node, should find the two done.
        tokio::join!(self.begin(socket), self.keep(socket));
    }

    async fn handed_over(&self, socket: &Arc<Socket<Peer>>) {
        socket.data().supersede();
        if let Some(pid) = socket.pid() {
            self.backplane.handed_over(pid);
        }
        self.services.presence.disconnected(socket.data().user()).await;
    }
}

/// The chats that a socket has joined.
struct JoinedChats<'a> {
    hub: &'a Hub<Peer>,
    limits: &'a Limits,
    socket: &'a Socket<Peer>,
}

impl ChatQuota for JoinedChats<'_> {
    fn join(&self, chat: &Room) -> Result<(), u64> {
        let rooms = self.hub.rooms_of(self.socket);
        if rooms.contains(chat) {
            return Ok(());
        }
        let joined = rooms.iter().filter(|room| !room.is_of_user()).count();
        self.limits.chat(joined).map_err(|retry| retry.millis)
    }
}

impl Sockets {
    /// What is done for each socket that has come, from a client or from another node.
    async fn begin(&self, socket: &Arc<Socket<Peer>>) {
        let peer = socket.data();
        socket.session().set_owner(peer.user().text().clone());
        self.expire(socket, peer.expires_at());
        self.services.presence.connected(peer.user()).await;
    }

    fn slot(&self, user: &UserId) -> Result<ConnectionSlot, Refusal> {
        self.limits.connection(user).map_err(|retry| {
            self.metrics.connections.refused(Rejection::ConnectionLimit);
            retry.too_many_connections()
        })
    }

    /// What the log has for a session that came back. Not while this node reads what its sockets missed: the session has
    /// had that elsewhere, and would be given it once more.
    async fn missed_since(
        &self,
        socket: &Arc<Socket<Peer>>,
        offset: Offset,
    ) -> Result<Vec<carillon_backplane::Missed>, RecoveryOutcome> {
        if !self.gaps.are_closed() {
            return Err(RecoveryOutcome::Error);
        }
        match self.backplane.missed(offset, &self.all_rooms(socket)).await {
            Ok(Some(missed)) => Ok(missed),
            Ok(None) => Err(RecoveryOutcome::TooOld),
            Err(_) => Err(RecoveryOutcome::Error),
        }
    }

    /// Has the node be given what is said in `rooms`. Where the others are out of reach, local service goes on.
    async fn attend(&self, rooms: &[Room]) {
        if let Err(error) = self.backplane.attend(rooms).await {
            tracing::debug!(%error, "rooms not attended yet");
        }
    }

    async fn apply(&self, socket: &Socket<Peer>, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::Renew(expires_at) => {
                socket.data().renew(expires_at);
                self.expire(socket, expires_at);
            }
            Effect::Join(room) => self.join(socket, room).await,
            Effect::Leave(room) => {
                self.hub.leave(socket, &room);
                self.keep(socket).await;
            }
        }
    }

    async fn join(&self, socket: &Socket<Peer>, room: Room) {
        let seen = socket.offset();
        let head = self.backplane.head().await;
        self.hub.join(socket, room.clone());
        self.attend(&[room]).await;
        self.keep(socket).await;
        // What was said in the room before the socket joined it is nothing that the socket missed.
        if let Ok(head) = head
            && self.gaps.are_closed()
        {
            socket.advance(seen, head);
        }
    }

    /// Ends the session when its token expires.
    fn expire(&self, socket: &Socket<Peer>, expires_at: Option<Timestamp>) {
        socket
            .session()
            .expire_at(expires_at.map(|at| self.connection_end(at)));
    }

    /// When a connection whose token expires at `at` ends: then, or with the leeway where that is past already.
    fn connection_end(&self, at: Timestamp) -> Instant {
        let left = at.as_millis().saturating_sub(self.clock.now().as_millis());
        let left = if left > 0 {
            left
        } else {
            left.saturating_add(LEEWAY_MS)
        };
        // Far enough to be never, near enough for every timer.
        let longest = Duration::from_secs(60 * 60 * 24 * 365);
        Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(longest)
    }
}
