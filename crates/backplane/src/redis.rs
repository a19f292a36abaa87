//! The Redis backplane: the nodes of a cluster, and Node servers and emitters on the same Redis.
//!
//! [`link`] keeps the connections; what comes goes through [`receiver`], what goes out through [`publisher`]. Redis decides
//! the order of all events by its scripts ([`log`]), and each node hears them on one connection in that order.
//! While Redis is away a node serves its own sockets, and questions are answered [`Unavailable`] at once.

mod channels;
mod codec;
mod commands;
mod echoes;
mod fanout;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod inspection;
mod keyring;
mod lease;
mod lifetimes;
mod link;
mod log;
mod members;
mod peers;
mod presence;
mod publisher;
mod receiver;
mod recovery;
mod requests;
mod routing;
mod scripts;
mod seal;
mod shards;
mod subscriptions;

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytestring::ByteString;
use carillon_protocol::adapter::channel::DEFAULT_PREFIX;
use parking_lot::{Mutex, RwLock};
use rand::distr::{Alphanumeric, SampleString};
use redis::{ConnectionInfo, IntoConnectionInfo as _, io::tcp::TcpSettings};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Backplane, Health, Inbound, Measure, NodeTag, Result, Unavailable};

pub use codec::Wire;
#[cfg(feature = "fuzzing")]
pub use fuzzing::fuzz_node_frame;
pub use inspection::{Inspection, SubscriberBuffer, inspect};
pub use routing::MAX_BODY_BYTES;

/// How a node takes part in a cluster.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS.
    pub url: String,
    /// What the channels of Socket.IO's adapter start with: Node's option `key`.
    pub key: String,
    /// Which adapter Node servers on this Redis use.
    pub wire: Wire,
    /// What seals session ids and what nodes tell each other. `None`: one that the first node puts into Redis.
    pub secret: Option<String>,
    /// How long a node that does not renew counts as alive.
    pub lease: Duration,
    /// How long a lost session can be recovered.
    pub recovery_window: Duration,
    /// How long a dead connection may go unnoticed: ping interval and timeout.
    pub longest_silence: Duration,
    /// The namespace, with its slash.
    pub nsp: ByteString,
}

impl Default for RedisOptions {
    /// `redis://127.0.0.1`, Node's key, the classic adapter, a secret in Redis, a lease of 5 s, sessions for 120 s, silence of 45 s.
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1".to_owned(),
            key: DEFAULT_PREFIX.to_owned(),
            wire: Wire::Classic,
            secret: None,
            lease: Duration::from_secs(5),
            recovery_window: Duration::from_secs(120),
            longest_silence: Duration::from_secs(45),
            nsp: ByteString::from_static("/"),
        }
    }
}

impl std::fmt::Debug for RedisOptions {
    /// Neither the secret nor the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisOptions")
            .field("key", &self.key)
            .field("wire", &self.wire)
            .field("nsp", &self.nsp)
            .finish_non_exhaustive()
    }
}

/// One node's part of a cluster.
pub struct RedisBackplane {
    me: Weak<Self>,
    options: RedisOptions,
    lifetimes: lifetimes::Lifetimes,
    server: ConnectionInfo,
    shards: RwLock<Arc<shards::Shards>>,
    tag: NodeTag,
    own_channel: String,
    membership_channel: String,
    names: channels::Names,
    codec: codec::Codec,
    scripts: scripts::Scripts,
    keyring: keyring::Keyring,
    commands: commands::Commands,
    publisher: publisher::Publisher,
    subscriptions: subscriptions::Subscriptions,
    echoes: echoes::Echoes,
    members: members::Members,
    users: presence::Users,
    online: presence::List,
    sessions: recovery::Sessions,
    routes: routing::Routes,
    questions: peers::Questions,
    /// Broadcasts of other servers whose acks may still be waited for.
    acks: Arc<Semaphore>,
    gate: Mutex<receiver::Gate>,
    node: OnceLock<Arc<dyn Inbound>>,
    tasks: OnceLock<TaskTracker>,
    is_up: AtomicBool,
    /// Redis does not know any more what this node has told it.
    has_lost_data: AtomicBool,
    /// The node has left the cluster.
    left: CancellationToken,
    /// Events were delivered here that are not in the log.
    has_unlogged: AtomicBool,
    probes: link::Probes,
    outages: link::Outages,
    marks: log::Marks,
    unshared: AtomicU64,
    received: AtomicU64,
    malformed: AtomicU64,
}

impl std::fmt::Debug for RedisBackplane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisBackplane")
            .field("tag", &self.tag)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl RedisBackplane {
    /// Looks whether the server is there and fit.
    ///
    /// # Errors
    /// Where it does not answer, or cannot be used: then with the reason.
    pub async fn connect(options: RedisOptions) -> Result<Arc<Self>> {
        // Nothing waits in the system for the server's word that it has what was sent before.
        let unbuffered = TcpSettings::default().set_nodelay(true);
        let server = options
            .url
            .as_str()
            .into_connection_info()?
            .set_tcp_settings(unbuffered);
        let shards = shards::Shards::discover(std::slice::from_ref(&server), options.wire).await?;
        let tag = NodeTag::from(Alphanumeric.sample_string(&mut rand::rng(), seal::TAG_LENGTH));
        let names = channels::Names::new(&options.key);
        let commands = commands::Commands::new(shards.server_of(&names.nodes())?.clone())?;
        let secret = match &options.secret {
            Some(secret) => secret.clone(),
            None => keyring::shared_secret(&commands, &names, &keyring::random_secret()).await?,
        };
        let keyring = keyring::Keyring::new(&secret, &tag, &options.nsp)?;
        Ok(Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            server,
            shards: RwLock::new(Arc::new(shards)),
            own_channel: names.node_channel(&tag),
            membership_channel: names.membership_channel(),
            names,
            codec: codec::Codec::new(options.wire, &options.key, options.nsp.clone()),
            scripts: scripts::Scripts::new(),
            keyring,
            tag,
            lifetimes: lifetimes::Lifetimes::new(&options),
            commands,
            publisher: publisher::Publisher::default(),
            subscriptions: subscriptions::Subscriptions::default(),
            echoes: echoes::Echoes::default(),
            members: members::Members::default(),
            users: presence::Users::default(),
            online: presence::List::default(),
            sessions: recovery::Sessions::default(),
            routes: routing::Routes::default(),
            questions: peers::Questions::default(),
            acks: Arc::new(Semaphore::new(requests::MAX_ASKED)),
            gate: Mutex::default(),
            node: OnceLock::new(),
            tasks: OnceLock::new(),
            is_up: AtomicBool::new(false),
            has_lost_data: AtomicBool::new(false),
            left: CancellationToken::new(),
            has_unlogged: AtomicBool::new(false),
            probes: link::Probes::default(),
            outages: link::Outages::default(),
            unshared: AtomicU64::new(0),
            marks: log::Marks::default(),
            received: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            options,
        }))
    }

    /// Joins the cluster with this node's receiving side, and stays in it until `stopping`: call it once. When it returns, the
    /// node hears what the others publish.
    ///
    /// # Errors
    /// Where that could not be reached; it may be called again then, with the same arguments.
    pub async fn start(
        self: &Arc<Self>,
        node: Arc<dyn Inbound>,
        tasks: &TaskTracker,
        stopping: CancellationToken,
    ) -> Result<()> {
        self.node.get_or_init(|| node);
        self.tasks.get_or_init(|| tasks.clone());
        let session = self.bring_up().await?;
        let backplane = Arc::clone(self);
        tasks.spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => (),
                () = backplane.left.cancelled() => (),
                () = backplane.stay_up(session) => (),
            }
            backplane.take_down("the node stops");
        });
        Ok(())
    }

    /// Leaves the cluster for good, at the end of a drain and before `stopping`: other nodes see it at once. Users that are
    /// left have 10 s to come back on another node before they are taken offline. Nothing comes and nothing goes out after that.
    ///
    /// # Errors
    /// Where Redis is out of reach: the lease lapses then.
    pub async fn leave(&self) -> Result<()> {
        self.reachable()?;
        // First: a lease that is renewed meanwhile would be none that was given back.
        self.left.cancel();
        self.return_lease().await
    }

    /// An error where Redis is known to be away: nobody has to wait to learn that.
    fn reachable(&self) -> Result<()> {
        if self.is_up() {
            return Ok(());
        }
        Err(Unavailable::new("Redis is out of reach"))
    }

    fn measured(&self, measure: Measure) {
        if let Some(node) = self.node.get() {
            node.measured(measure);
        }
    }

    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    /// Hands `payload` over to be published on `channel`. Answers whether it will be.
    fn post(&self, channel: &str, payload: &[u8]) -> bool {
        let shard = self.shards.read().of(channel);
        self.publisher.post(shard, self.codec.publish(channel, payload))
    }

    /// Runs a call of `script` where `channel` is, in order with all that was handed over before.
    async fn call(
        &self,
        channel: &str,
        script: &Arc<redis::Script>,
        call: redis::Cmd,
    ) -> Result<redis::Value> {
        let shard = self.shards.read().of(channel);
        self.publisher.call(shard, Some(script), call).await
    }

    /// Whether Redis is a cluster: then events have no total order.
    fn is_cluster(&self) -> bool {
        self.shards.read().is_cluster()
    }

    fn require_order(&self) -> Result<()> {
        if self.is_cluster() {
            return Err(Unavailable::new("events have no total order in a Redis Cluster"));
        }
        Ok(())
    }
}

/// As Redis takes durations.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Backplane for RedisBackplane {
    fn health(&self) -> Health {
        let (reconnects, degraded) = self.outages.sum();
        Health {
            is_up: self.is_up(),
            nodes: self.members.len(),
            rooms: self.subscriptions.len(),
            received: self.received.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
            published: self.publisher.published(),
            dropped: self.publisher.dropped(),
            unshared: self.unshared.load(Ordering::Relaxed),
            probe_failures: self.probes.failures(),
            reconnects,
            degraded,
        }
    }
}
