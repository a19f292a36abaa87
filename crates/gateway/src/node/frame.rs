//! What a node has before the servers that it depends on are there, and how the rest is put together over it.

use std::sync::{Arc, OnceLock};

use bytestring::ByteString;
use carillon_backplane::Backplane;
use carillon_socketio::{Config, Counters, Engine, Hub, Ids, SocketIo};
use carillon_store::Store;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{backends::Joint, states::States};
use crate::{
    auth::{self, Verifier},
    capacity::Capacity,
    clock::{Clock, SystemClock},
    cluster::{CatchUp, Receiver, Watch, forwarding::Forwarding, hand_over::HandOver},
    events::Events,
    gaps::Gaps,
    http::{
        health::{Health, Readiness},
        measure,
    },
    limits::Limits,
    services::Services,
    settings::Settings,
    sockets::{Delivery, NAMESPACE, Peer, Sockets},
    telemetry::{
        Metrics, ProcessCounts, Runtimes, Totals,
        metrics::{KeySet, Queued, Rooms},
    },
};

/// What a node has before the servers that it depends on are there.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) capacity: Capacity,
    pub(super) limits: Arc<Limits>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) runtimes: Arc<Runtimes>,
    counts: Arc<ProcessCounts>,
    /// What serves clients, once there is something.
    serving: Arc<OnceLock<Serving>>,
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
    pub(super) fn new(settings: &Settings, counts: &Arc<ProcessCounts>) -> anyhow::Result<Self> {
        for warning in auth::warnings(&settings.auth) {
            tracing::warn!("{warning}");
        }
        let wanted = settings.limits.max_connections;
        let capacity = Capacity::of_this_process(wanted);
        if let Some(wanted) = wanted.filter(|wanted| *wanted > capacity.sessions) {
            tracing::warn!(
                wanted,
                room = capacity.sessions,
                "the limit of open files does not allow so many connections"
            );
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let metrics = Arc::new(Metrics::new(measure::routes())?);
        metrics.cluster.swept(clock.now().as_millis());
        let runtimes = Arc::new(Runtimes::new(metrics.process.clone()));
        Ok(Self {
            verifier: Arc::new(Verifier::new(&settings.auth, Arc::clone(&clock))?),
            clock,
            limits: Arc::new(Limits::new(&settings.limits, &capacity)),
            capacity,
            counters: Arc::new(Counters::observed_by(Box::new(metrics.connections.clone()))),
            metrics,
            runtimes,
            counts: Arc::clone(counts),
            serving: Arc::default(),
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
            metrics: Arc::new(move || scraped.scrape()),
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
            Arc::clone(&self.metrics),
        ));
        let hub = Arc::new(Hub::new(Arc::clone(&self.counters)));
        let delivery = Arc::new(Delivery {
            hub: Arc::clone(&hub),
            accepted: Arc::clone(&services.accepted),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
        });
        let sockets = Arc::new(Sockets {
            hub: Arc::clone(&hub),
            delivery: Arc::clone(&delivery),
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
        self.serving.get_or_init(|| Serving {
            engine: Arc::clone(&engine),
            hub: Arc::clone(&hub),
        });
        let catch_up = joint.is_cluster().then(|| self.catch_up(&delivery, store));
        if let Some(catch_up) = &catch_up {
            hub.watch_rooms(Arc::new(Watch {
                backplane: Arc::clone(&backplane),
                catch_up: Arc::clone(catch_up),
            }));
        }
        let receiver = Receiver {
            hub,
            delivery,
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

    fn catch_up(&self, delivery: &Arc<Delivery>, store: &Arc<dyn Store>) -> Arc<CatchUp> {
        let delivery = Arc::clone(delivery);
        Arc::new(CatchUp::new(
            Arc::new(move |broadcast, offset| delivery.deliver(broadcast, offset)),
            self.gaps.clone(),
            Arc::clone(store),
            Arc::clone(&self.clock),
            self.tasks.clone(),
            self.left.clone(),
            Arc::clone(&self.metrics),
        ))
    }

    /// All metrics, with what the other parts have counted.
    fn scrape(&self) -> String {
        let serving = self.serving.get();
        let key_set = self.verifier.jwks().map(|jwks| jwks.freshness());
        self.metrics.render(&Totals {
            sessions: &self.counters,
            connections_limit: self.capacity.sessions.get(),
            queued: serving.map(Serving::queued).unwrap_or_default(),
            rooms: serving.map(Serving::rooms).unwrap_or_default(),
            stage: self.readiness.stage(),
            rate_limited: self.limits.refused().collect(),
            attempts: self.verifier.attempts(),
            key_set: key_set.map_or_else(KeySet::default, |(age, refreshes)| KeySet {
                age_seconds: age.as_secs(),
                refreshes,
            }),
            store: self.states.is_store_up().unwrap_or(false),
            backplane: self.states.health(),
            catching_up: !self.gaps.are_closed(),
            waiting: self.states.waiting(),
            process: self.counts.totals(),
            runtimes: self.runtimes.all(),
        })
    }
}

/// What serves clients, as far as metrics look at it.
struct Serving {
    engine: Arc<Engine>,
    hub: Arc<Hub<Peer>>,
}

impl Serving {
    fn queued(&self) -> Queued {
        let (all, most) = self.engine.queued_bytes();
        Queued {
            all,
            most,
            limit: self.engine.config().queue_bytes,
        }
    }

    fn rooms(&self) -> Rooms {
        let mut rooms = Rooms::default();
        self.hub.joined_rooms(NAMESPACE, |room, sockets| {
            rooms.rooms += 1;
            rooms.memberships += sockets;
            rooms.users += usize::from(room.is_of_user());
        });
        rooms
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
