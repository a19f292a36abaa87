//! What a node has before the servers that it depends on are there, and how the rest is put together over it.

use std::sync::Arc;

use bytestring::ByteString;
use carillon_backplane::Backplane;
use carillon_socketio::{Config, Counters, Engine, Hub, Ids, SocketIo, Transport};
use carillon_store::Store;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{backends::Joint, states::States};
use crate::{
    auth::{self, Verifier},
    clock::{Clock, SystemClock},
    cluster::{CatchUp, Receiver, Watch, forwarding::Forwarding, hand_over::HandOver},
    events::Events,
    gaps::Gaps,
    http::health::{Health, Readiness, Stage},
    limits::Limits,
    services::Services,
    settings::Settings,
    sockets::{Peer, Sockets},
    telemetry::{Metrics, Totals},
};

/// What a node has before the servers that it depends on are there.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) limits: Arc<Limits>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) counters: Arc<Counters>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) states: Arc<States>,
    /// Whether the node's sockets lack something.
    pub(super) gaps: Gaps,
    /// The tasks of sessions.
    pub(super) sessions: TaskTracker,
    /// All others.
    pub(super) tasks: TaskTracker,
    /// The node drains.
    pub(super) stopping: CancellationToken,
    /// Its clients are gone, and the cluster can do without it.
    pub(super) left: CancellationToken,
}

/// What a node does for its clients, over its backends.
pub(super) struct Service {
    pub(super) services: Arc<Services>,
    pub(super) engine: Arc<Engine>,
    pub(super) forwarding: Arc<Forwarding>,
    pub(super) hand_over: Arc<HandOver>,
}

impl Frame {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        for warning in auth::warnings(&settings.auth) {
            tracing::warn!("{warning}");
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        Ok(Self {
            verifier: Arc::new(Verifier::new(&settings.auth, Arc::clone(&clock))?),
            clock,
            limits: Arc::new(Limits::new(&settings.limits)),
            metrics: Arc::new(Metrics::new()?),
            counters: Arc::default(),
            readiness: Arc::default(),
            states: Arc::default(),
            gaps: Gaps::default(),
            sessions: TaskTracker::new(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            left: CancellationToken::new(),
        })
    }

    pub(super) fn health(&self) -> Health {
        let (told, scraped) = (Arc::clone(&self.states), self.clone());
        Health {
            readiness: Arc::clone(&self.readiness),
            parts: Arc::new(move || told.tell()),
            metrics: Arc::new(move || scraped.metrics.render(&scraped.totals())),
        }
    }

    /// Puts together what serves clients, and joins it with the other nodes.
    pub(super) async fn assemble(
        &self,
        settings: &Settings,
        store: &Arc<dyn Store>,
        joint: &Joint,
    ) -> Service {
        let backplane = joint.backplane();
        let services = Arc::new(Services::new(
            Arc::clone(store),
            Arc::clone(&backplane),
            Arc::clone(&self.clock),
            settings.presence,
            self.gaps.clone(),
            self.tasks.clone(),
        ));
        let hub = Arc::new(Hub::new(Arc::clone(&self.counters)));
        let sockets = Arc::new(Sockets {
            hub: Arc::clone(&hub),
            backplane: Arc::clone(&backplane),
            events: Events::new(
                Arc::clone(&services),
                Arc::clone(&self.clock),
                self.limits.clone(),
                self.verifier.clone(),
                settings.shows_details(),
            ),
            services: Arc::clone(&services),
            verifier: Arc::clone(&self.verifier),
            limits: Arc::clone(&self.limits),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            gaps: self.gaps.clone(),
        });
        let config = Config {
            ping_interval: settings.ping_interval,
            ping_timeout: settings.ping_timeout,
            ..Config::default()
        };
        let ids: Arc<dyn Ids> = Arc::new(NodeIds(Arc::clone(&backplane)));
        let socket_io = SocketIo::new(Arc::clone(&hub), sockets.clone()).with_ids(Arc::clone(&ids));
        let engine = Engine::new(
            config,
            Arc::new(socket_io),
            Arc::clone(&self.counters),
            self.sessions.clone(),
        );
        let engine = Arc::new(engine.with_ids(ids));
        let forwarding = Arc::new(Forwarding::new(
            engine.clone(),
            backplane.clone(),
            self.limits.clone(),
        ));
        let hand_over = Arc::new(HandOver::new(
            engine.clone(),
            backplane.clone(),
            backplane.clone(),
            self.gaps.clone(),
            self.tasks.clone(),
        ));
        let catch_up = joint.is_cluster().then(|| self.catch_up(&hub, store));
        if let Some(catch_up) = &catch_up {
            hub.watch_rooms(Arc::new(Watch {
                backplane: Arc::clone(&backplane),
                catch_up: Arc::clone(catch_up),
            }));
        }
        let receiver = Receiver {
            hub,
            sockets,
            services: Arc::clone(&services),
            catch_up,
            forwarding: Arc::clone(&forwarding),
            hand_over: Arc::clone(&hand_over),
            tasks: self.tasks.clone(),
        };
        joint.join(Arc::new(receiver), &self.tasks, &self.left).await;
        if joint.is_cluster() {
            let (services, left) = (Arc::clone(&services), self.left.clone());
            self.tasks
                .spawn(async move { left.run_until_cancelled(services.keep_announcing()).await });
        }
        self.states.has_backplane(backplane);
        self.states.has_services(Arc::clone(&services));
        Service {
            services,
            engine,
            forwarding,
            hand_over,
        }
    }

    fn catch_up(&self, hub: &Arc<Hub<Peer>>, store: &Arc<dyn Store>) -> Arc<CatchUp> {
        let hub = Arc::clone(hub);
        Arc::new(CatchUp::new(
            Arc::new(move |broadcast, offset| {
                hub.deliver(broadcast, offset);
            }),
            self.gaps.clone(),
            Arc::clone(store),
            Arc::clone(&self.clock),
            self.tasks.clone(),
            self.left.clone(),
        ))
    }

    /// What the other parts have counted, for a scrape.
    fn totals(&self) -> Totals {
        let counters = &self.counters;
        Totals {
            connections: counters.live(),
            opened: [Transport::Polling, Transport::WebSocket]
                .map(|transport| (transport.as_str(), counters.opened_by(transport)))
                .to_vec(),
            closed: counters
                .closed_by_reason()
                .map(|(reason, count)| (reason.as_str(), count))
                .collect(),
            upgraded: counters.upgraded(),
            delivered: counters.delivered(),
            dropped: counters.dropped(),
            rate_limited: self
                .limits
                .refused()
                .map(|(limit, count)| (limit.as_str(), count))
                .collect(),
            ready: self.readiness.stage() == Stage::Ready,
            store: self.states.is_store_up().unwrap_or(false),
            backplane: self.states.health(),
            catching_up: !self.gaps.are_closed(),
            waiting: self.states.waiting(),
        }
    }
}

/// Ids that name their node, so that any other node knows whom to ask.
struct NodeIds(Arc<dyn Backplane>);

impl Ids for NodeIds {
    fn new_sid(&self) -> ByteString {
        self.0.new_sid()
    }

    fn new_socket_id(&self) -> ByteString {
        self.0.new_socket_id()
    }
}
