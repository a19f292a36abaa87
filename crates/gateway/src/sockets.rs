//! The application over Socket.IO: admits clients, keeps what recovers them, carries out what events answer.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use carillon_backplane::{Backplane, SessionRecord};
use carillon_protocol::{
    id::{Room, UserId},
    problem::Code,
    time::Timestamp,
    value::Value,
};
use carillon_socketio::{
    Admission, ConnectRequest, DisconnectReason, Handler, Hub, MissedEvent, RecoveryState, Refusal,
    ResumeRequest, Socket, random_id,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    auth::{self, LEEWAY_MS, Verifier},
    clock::Clock,
    events::{Caller, Effect, Events, Outcome},
    http::client::UNKNOWN_ADDRESS,
    limits::{ConnectionSlot, Limits, RetryAfter},
    services::Services,
    telemetry::Metrics,
};

/// The one namespace that is served.
const NAMESPACE: &str = "/";

/// How long after a session was resumed it cannot be taken from a connection that lives.
const RIVAL_WINDOW: Duration = Duration::from_secs(10);

/// What is kept with each socket.
#[derive(Debug)]
pub struct Peer {
    user: UserId,
    /// When its token expires, as far as the connection goes by it.
    expires_at: Option<Timestamp>,
    /// When it took over the session of an earlier connection.
    resumed_at: Option<Instant>,
    /// Its place among the connections of its user and address; given back when another connection takes over.
    slot: Mutex<Option<ConnectionSlot>>,
}

impl Peer {
    /// Gives its place back: another connection takes over, and with it the session's record.
    fn supersede(&self) {
        self.slot.lock().take();
    }

    /// Whether it took the session over a moment ago: who asks for the same one now is a rival, not its return.
    fn has_just_resumed(&self) -> bool {
        self.resumed_at.is_some_and(|at| at.elapsed() < RIVAL_WINDOW)
    }

    fn is_superseded(&self) -> bool {
        self.slot.lock().is_none()
    }
}

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
        let lost = match request.resume {
            Some(resume) => self.supersede(resume, &user).await,
            None => None,
        };
        let slot = self.slot(&request.handshake.address, &user)?;
        let resumed = match (request.resume, lost) {
            (Some(resume), Some(_)) => self.take(resume).await,
            _ => None,
        };
        let peer = Peer {
            user,
            expires_at: caller.expires_at,
            resumed_at: resumed.as_ref().map(|_| Instant::now()),
            slot: Mutex::new(Some(slot)),
        };
        if let Some((record, recovery)) = resumed {
            return Ok(Admission {
                data: peer,
                rooms: record.rooms,
                recovery: Some(recovery),
            });
        }
        let rooms = vec![Room::of_user(&peer.user)];
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

    async fn missed(&self, socket: &Arc<Socket<Peer>>, offset: &str) -> Option<Vec<MissedEvent>> {
        let mut rooms = self.hub.rooms_of(socket);
        rooms.push(socket.room().clone());
        let missed = self.backplane.missed(offset, &rooms).await.ok().flatten();
        self.metrics.recovery(missed.is_some());
        let event = |missed: carillon_backplane::Missed| MissedEvent {
            broadcast: missed.broadcast,
            offset: missed.offset,
        };
        Some(missed?.into_iter().map(event).collect())
    }

    async fn connected(&self, socket: &Arc<Socket<Peer>>) {
        let Peer { user, expires_at, .. } = socket.data();
        socket.session().set_owner(user.text().clone());
        socket
            .session()
            .expire_at(expires_at.map(|at| self.connection_end(at)));
        self.keep(socket).await;
        if let Err(problem) = self.services.presence.connected(user).await {
            tracing::warn!(%problem, "presence not renewed");
        }
    }

    async fn event(&self, socket: &Arc<Socket<Peer>>, args: Vec<Value>) -> Vec<Value> {
        let Some((name, rest)) = args.split_first() else {
            return Vec::new();
        };
        let caller = Caller {
            user: &socket.data().user,
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
                DisconnectReason::Client => self.backplane.forget(pid).await,
                DisconnectReason::Session(_) => self.backplane.lost(pid).await,
            };
            if let Err(error) = kept {
                tracing::warn!(%error, "session record not updated");
            }
        }
        if let Err(problem) = self.services.presence.disconnected(&socket.data().user).await {
            tracing::warn!(%problem, "presence not released");
        }
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

    /// Looks for the session that `user` asks to have back, and ends whatever is left of its old connection.
    async fn supersede(&self, resume: ResumeRequest<'_>, user: &UserId) -> Option<SessionRecord> {
        let record = self
            .backplane
            .find(resume.pid)
            .await
            .ok()
            .flatten()
            .filter(|record| record.user == *user)?;
        if let Some(old) = self.hub.find(NAMESPACE, &record.socket_id) {
            if old.data().has_just_resumed() {
                return None;
            }
            // First: the end of the old session must not touch the record.
            old.data().supersede();
            self.hub.supersede(&old);
        }
        Some(record)
    }

    /// Takes the record for good: of several who ask, one resumes the session.
    async fn take(&self, resume: ResumeRequest<'_>) -> Option<(SessionRecord, RecoveryState)> {
        let record = self.backplane.take(resume.pid).await.ok().flatten()?;
        let recovery = RecoveryState {
            pid: record.pid.clone(),
            offset: resume.offset.into(),
            resumed_socket: Some(record.socket_id.clone()),
        };
        Some((record, recovery))
    }

    /// Keeps what the session needs to be recovered, as it is now.
    async fn keep(&self, socket: &Socket<Peer>) {
        let Some(pid) = socket.pid() else { return };
        let record = SessionRecord {
            pid: pid.clone(),
            socket_id: socket.id().clone(),
            user: socket.data().user.clone(),
            rooms: self.hub.rooms_of(socket),
        };
        if let Err(error) = self.backplane.keep(record).await {
            tracing::warn!(%error, "session record not kept");
        }
    }

    async fn apply(&self, socket: &Socket<Peer>, effect: Effect) {
        match effect {
            Effect::None => return,
            Effect::Renew(expires_at) => {
                socket
                    .session()
                    .expire_at(expires_at.map(|at| self.connection_end(at)));
                return;
            }
            Effect::Join(room) => self.hub.join(socket, room),
            Effect::Leave(room) => self.hub.leave(socket, &room),
        }
        self.keep(socket).await;
        // What was said in the room before the socket joined it is nothing that the socket missed.
        let seen = socket.offset();
        if let Ok(head) = self.backplane.head().await {
            socket.advance(seen.as_ref(), head);
        }
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
