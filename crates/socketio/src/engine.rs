//! The sessions of one server: opened, found by their sid, ended.

mod arrival;

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use carillon_protocol::{engine::payload, value::Value};
use dashmap::DashMap;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{
    config::Config,
    counters::Counters,
    ids::{Ids, RandomIds},
    session::{Application, CloseReason, Handshake, Role, Session, Transport, WebSocketLink, run_polling},
};

pub use arrival::{ArrivingLayer, Owner};

/// How many POSTs may wait for a session's handler before the next one waits itself.
const INBOX_POSTS: usize = 2;

/// How often sessions are ended, where that is spread over some time.
const WAVE: Duration = Duration::from_millis(50);

/// Makes the layer above a new session.
pub trait Acceptor: Send + Sync {
    /// A session was opened.
    fn accept(&self, session: &Arc<Session>) -> Box<dyn Application>;

    /// A session is to come from another node, where [`Application::depart`] answered with `brief`. `None` where it may not.
    fn arrive(&self, _session: &Arc<Session>, _brief: &Value) -> Option<Arc<dyn ArrivingLayer>> {
        None
    }
}

/// The sessions of one server.
pub struct Engine {
    config: Arc<Config>,
    acceptor: Arc<dyn Acceptor>,
    ids: Arc<dyn Ids>,
    sessions: Arc<DashMap<ByteString, Arc<Session>>>,
    counters: Arc<Counters>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.config)
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// A server without sessions. `tasks` owns the tasks of polling sessions.
    #[must_use]
    pub fn new(
        config: Config,
        acceptor: Arc<dyn Acceptor>,
        counters: Arc<Counters>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            config: Arc::new(config),
            acceptor,
            ids: Arc::new(RandomIds),
            sessions: Arc::default(),
            counters,
            tasks,
        }
    }

    /// With the ids of new sessions from `ids`.
    #[must_use]
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// Times and bounds.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Opens a session by polling; answers with the payload of the handshake.
    #[must_use]
    pub fn open_polling(&self, handshake: Handshake) -> ByteString {
        let session = self.new_session(Transport::Polling, handshake);
        let (sender, inbox) = mpsc::channel(INBOX_POSTS);
        session.set_inbox(sender);
        let application = self.acceptor.accept(&session);
        let open = [session.open_packet()];
        self.counters.sent(Transport::Polling, &open);
        let payload = payload::encode(&open);
        let sessions = Arc::clone(&self.sessions);
        self.tasks.spawn(async move {
            run_polling(Arc::clone(&session), application, inbox).await;
            if session.is_over() {
                sessions.remove(session.sid());
            }
        });
        payload
    }

    /// Opens a session by WebSocket; it lives while [`Engine::run`] runs the link.
    pub fn open_websocket(&self, handshake: Handshake) -> WebSocketLink {
        let session = self.new_session(Transport::WebSocket, handshake);
        let application = self.acceptor.accept(&session);
        session.send(smallvec::smallvec![session.open_packet()], false);
        WebSocketLink::new(session, Role::Opened(application))
    }

    /// Takes a WebSocket that came with the sid of `session`: an upgrade, or one too many, which is accepted and closed.
    pub fn upgrade(&self, session: &Arc<Session>) -> WebSocketLink {
        session.probe()
    }

    /// Runs a WebSocket over its two halves until it ends. Not to be cancelled.
    pub async fn run<R, W>(&self, link: WebSocketLink, reader: R, writer: W)
    where
        R: futures_util::Stream<Item = crate::session::Incoming> + Unpin,
        W: crate::session::WebSocketSink,
    {
        let session = Arc::clone(link.session());
        self.tasks.track_future(link.run(reader, writer)).await;
        if session.is_over() {
            self.sessions.remove(session.sid());
        }
    }

    /// The session with this sid, while anything of it is left.
    #[must_use]
    pub fn session(&self, sid: &str) -> Option<Arc<Session>> {
        let session = Arc::clone(self.sessions.get(sid)?.value());
        session.catch_up();
        (!session.is_over()).then_some(session)
    }

    /// Ends every session. Their clients come back by themselves: it closes transports and says nothing else.
    pub fn close_all(&self, reason: CloseReason) {
        for session in self.all() {
            session.close(reason);
        }
    }

    /// Ends every session, the oldest first, evenly over `window`; those that have come meanwhile at its end.
    pub async fn close_over(&self, window: Duration, reason: CloseReason) {
        let mut sessions = self.all();
        sessions.sort_by_key(|session| session.opened_at());
        let (count, begun) = (sessions.len(), Instant::now());
        let mut closed = 0;
        let mut waves = tokio::time::interval(WAVE);
        while closed < count {
            waves.tick().await;
            let due = due(count, begun.elapsed() + WAVE, window);
            for session in sessions.iter().take(due).skip(closed) {
                session.close(reason);
            }
            closed = closed.max(due);
        }
        self.close_all(reason);
    }

    /// Bytes that wait for clients: for all of them, and for the one that most waits for.
    #[must_use]
    pub fn queued_bytes(&self) -> (usize, usize) {
        let waiting = self.sessions.iter().map(|entry| entry.value().queued_bytes());
        waiting.fold((0, 0), |(all, most), bytes| (all + bytes, most.max(bytes)))
    }

    /// Not while a shard of the map is locked: the end of a session takes it out of the map.
    fn all(&self) -> Vec<Arc<Session>> {
        self.sessions
            .iter()
            .map(|entry| Arc::clone(entry.value()))
            .collect()
    }

    fn new_session(&self, transport: Transport, handshake: Handshake) -> Arc<Session> {
        let (config, counters) = (Arc::clone(&self.config), Arc::clone(&self.counters));
        let session = Arc::new(Session::new(
            self.ids.new_sid(),
            transport,
            handshake,
            config,
            counters,
        ));
        self.sessions.insert(session.sid().clone(), Arc::clone(&session));
        session
    }
}

/// How many of `count` are due so far into `window`.
fn due(count: usize, elapsed: Duration, window: Duration) -> usize {
    let (Ok(elapsed), Ok(window)) = (
        usize::try_from(elapsed.as_millis()),
        usize::try_from(window.as_millis()),
    ) else {
        return count;
    };
    let share = count.saturating_mul(elapsed).checked_div(window);
    share.map_or(count, |share| share.min(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_share_is_due_at_any_time() {
        let millis = Duration::from_millis;
        let shares = [0, 50, 100, 1_000, 1_999, 2_000, 9_000].map(|at| due(500, millis(at), millis(2_000)));
        assert_eq!(shares, [0, 12, 25, 250, 499, 500, 500]);
        assert_eq!(due(7, millis(1), Duration::ZERO), 7);
        assert_eq!(due(0, millis(1), millis(1)), 0);
    }
}
