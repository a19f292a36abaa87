//! The application over Socket.IO: admits clients, keeps what recovers them, carries out what events answer.

mod peer;
mod sessions;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use carillon_backplane::Backplane;
use carillon_protocol::{
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

use crate::{
    auth::{self, LEEWAY_MS, Verifier},
    clock::Clock,
    events::{Caller, Effect, Events, Outcome},
    gaps::Gaps,
    http::client::UNKNOWN_ADDRESS,
    limits::{ConnectionSlot, Limits, RetryAfter},
    services::Services,
    telemetry::Metrics,
};

pub use peer::Peer;

use peer::Packed;

/// The one namespace that is served.
pub(crate) const NAMESPACE: &str = "/";

/// The application over Socket.IO.
pub struct Sockets {
    /// This node's sockets.
    pub hub: Arc<Hub<Peer>>,
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
                self.metrics.connection_rejected_unauthenticated();
                Refusal::new(refusal.to_string())
            })?;
        let user = caller.user;
        let resumed = match request.resume {
            Some(resume) => self
                .reclaim(resume, &user)
                .await
                .map(|record| (record, resume.offset)),
            None => None,
        };
        let slot = match self.slot(&request.handshake.address, &user) {
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
                    offset: offset.into(),
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
        self.attend(&self.all_rooms(socket)).await;
    }

    async fn missed(&self, socket: &Arc<Socket<Peer>>, offset: &str) -> Option<Vec<MissedEvent>> {
        let missed = self.missed_since(socket, offset).await;
        self.metrics.recovery(missed.is_some());
        let event = |missed: carillon_backplane::Missed| MissedEvent {
            broadcast: missed.broadcast,
            offset: missed.offset,
        };
        Some(missed?.into_iter().map(event).collect())
    }

    async fn connected(&self, socket: &Arc<Socket<Peer>>) {
        let peer = socket.data();
        socket.session().set_owner(peer.user().text().clone());
        self.expire(socket, peer.expires_at());
        // Both at once: what the client does next, on whichever node, should find the two done.
        tokio::join!(self.services.presence.connected(peer.user()), self.keep(socket));
    }

    async fn event(&self, socket: &Arc<Socket<Peer>>, args: Vec<Value>) -> Vec<Value> {
        let Some((name, rest)) = args.split_first() else {
            return Vec::new();
        };
        let caller = Caller {
            user: socket.data().user(),
            socket_room: socket.room(),
        };
        let Outcome {
            effect,
            reply,
            ack,
            failure,
        } = self.events.handle(&caller, name, rest).await;
        self.metrics
            .event(name.as_text().map_or("", |name| name), failure);
        self.apply(socket, effect).await;
        if let Some(reply) = reply {
            socket.emit(&reply);
        }
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
        let slot = self.slot(&arriving.handshake.address, &packed.user).ok()?;
        Some(packed.into_peer(slot))
    }

    async fn arrived(&self, socket: &Arc<Socket<Peer>>) {
        self.connected(socket).await;
    }

    async fn handed_over(&self, socket: &Arc<Socket<Peer>>) {
        socket.data().supersede();
        if let Some(pid) = socket.pid() {
            self.backplane.handed_over(pid);
        }
        self.services.presence.disconnected(socket.data().user()).await;
    }
}

impl Sockets {
    fn slot(&self, address: &str, user: &UserId) -> Result<ConnectionSlot, Refusal> {
        let address = address.parse().unwrap_or(UNKNOWN_ADDRESS);
        self.limits
            .connection(address, user)
            .map_err(|RetryAfter { millis }| {
                self.metrics.connection_rejected_limited();
                let mut data = carillon_protocol::value::Object::with_capacity(2);
                data.push("code", Code::RateLimited.as_str());
                data.push("retryAfterMs", millis);
                Refusal {
                    message: "Too many connections".to_owned(),
                    data: Some(Value::Object(data)),
                }
            })
    }

    /// What the log has for a session that came back. Not while this node reads what its sockets missed: the session has
    /// had that elsewhere, and would be given it once more.
    async fn missed_since(
        &self,
        socket: &Arc<Socket<Peer>>,
        offset: &str,
    ) -> Option<Vec<carillon_backplane::Missed>> {
        if !self.gaps.are_closed() {
            return None;
        }
        let rooms = self.all_rooms(socket);
        self.backplane.missed(offset, &rooms).await.ok().flatten()
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
            socket.advance(seen.as_ref(), head);
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
