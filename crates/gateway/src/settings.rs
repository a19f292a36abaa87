//! What an operator can set, each with its unit and default.
//!
//! Flags win over the environment, the environment over a file (`carillon.toml`, named by `--config` or
//! `CARILLON_CONFIG`), the file over the defaults of this struct. Every setting is one row of [`table`]: from it
//! come the flag, the variable, the file's key, the help and the parser, so all layers read the same text and
//! complain in the same words. This is the only reader of the process environment.

mod dev_secret;
mod error;
mod layers;
mod loaded;
mod masked;
mod names;
pub mod read;
pub mod reference;
pub mod table;

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use carillon_backplane::redis::Wire;
use secrecy::SecretString;

use crate::{
    auth::{JwksSource, PublicKey},
    http::{client::Proxies, origin::Origins},
    services::presence::Scope,
};

pub use dev_secret::DEV_SECRET_FILE;
pub use error::SettingsError;
pub use layers::{Environment, Flags, Source};
pub use loaded::Loaded;

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Development (`--dev` only): loopback alone, a secret of its own, tokens minted over HTTP. Default: off.
    pub dev: bool,
    /// `CARILLON_BIND`: the address that is listened on. Default: 0.0.0.0, with `--dev` 127.0.0.1.
    pub bind: IpAddr,
    /// `PORT`: the port for clients; 0 takes any free one. Default: 4000.
    pub port: u16,
    /// `CARILLON_INTERNAL_PORT`: a port of their own for health and metrics. Default: none, they are on `port`.
    pub internal_port: Option<u16>,
    /// `CARILLON_WORKERS`: threads that serve. Default: one for each core.
    pub workers: usize,
    /// `CARILLON_CONSOLE`: a page for people at `/`. Default: off, with `--dev` on.
    pub console: bool,
    /// `NODE_ENV`: errors carry `details` where it is `development`. Default: `production`.
    pub node_env: String,
    /// `FRONTEND_URL`: origins of pages that may connect, beside the node's own; `*` is any. Default: none.
    pub origins: Origins,
    /// `CARILLON_TRUSTED_PROXIES`: networks of proxies whose `X-Forwarded-For` is believed. Default: none.
    pub trusted_proxies: Proxies,
    /// `CARILLON_DATA_DIR`: the folder of the embedded database and the development secret. Default: `./data`.
    pub data_dir: PathBuf,
    /// `MONGODB_URI`: the MongoDB that holds the history. Default: none, the embedded database does.
    pub mongodb_uri: Option<SecretString>,
    /// `CARILLON_NOTIFICATION_DAYS`: days after which a notification is deleted; 0 keeps all. Default: 90.
    pub notification_days: u32,
    /// `SOCKET_PING_INTERVAL`: time between pings. Default: 25 s.
    pub ping_interval: Duration,
    /// `SOCKET_PING_TIMEOUT`: time for the answer to a ping. Default: 60 s.
    pub ping_timeout: Duration,
    /// `CARILLON_RECOVERY_WINDOW`: how long a lost session may be recovered. Default: 120 s.
    pub recovery_window: Duration,
    /// `CARILLON_DRAIN_WINDOW`: over how long a stopping node spreads the end of its connections, at most. Default: 10 s.
    pub drain_window: Duration,
    /// `CARILLON_DRAIN_TIMEOUT`: how long a stopping node takes to send its clients away, in all. Default: 15 s.
    pub drain_timeout: Duration,
    /// `CARILLON_PRESENCE`: who learns who is online. Default: all.
    pub presence: Scope,
    /// What makes the node one of several.
    pub cluster: ClusterSettings,
    /// How much one user or address may do.
    pub limits: LimitSettings,
    /// Whose tokens are believed.
    pub auth: AuthSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Where traces go.
    pub traces: TraceSettings,
}

/// What makes the node one of several.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// `REDIS_URL`: the Redis that joins the nodes. Default: none, the node is alone.
    pub redis_url: Option<SecretString>,
    /// `CARILLON_REDIS_KEY`: what channels in Redis begin with, as Node's adapter has it. Default: `socket.io`.
    pub redis_key: String,
    /// `CARILLON_REDIS_WIRE`: which of Node's adapters is spoken. Default: classic.
    pub redis_wire: Wire,
    /// `CARILLON_CLUSTER_SECRET`: what nodes seal their messages and session ids with. Default: one that the first node
    /// puts into Redis.
    pub secret: Option<SecretString>,
    /// `CARILLON_LEASE`: the silence after which a node is dead. Default: 5 s.
    pub lease: Duration,
}

/// How much one user, one address or all may do on this node.
#[derive(Debug, Clone, Copy)]
pub struct LimitSettings {
    /// `CARILLON_LIMITS`: off lifts what is per user and per address. Default: on.
    pub enabled: bool,
    /// `CARILLON_MAX_CONNECTIONS`: connections that the node may hold. Default: none, what the limit of open files allows.
    pub max_connections: Option<NonZeroU32>,
    /// `CARILLON_MESSAGE_BURST`: messages that a user may send at once. Default: 200.
    pub message_burst: NonZeroU32,
    /// `CARILLON_MESSAGE_RATE`: messages that a user may send per second in the long run. Default: 20.
    pub message_rate: NonZeroU32,
    /// `CARILLON_EVENT_BURST`: events that a user may send at once. Default: 5000.
    pub event_burst: NonZeroU32,
    /// `CARILLON_EVENT_RATE`: events that a user may send per second in the long run. Default: 500.
    pub event_rate: NonZeroU32,
    /// `CARILLON_JOINED_CHATS`: chats that a connection may have joined. Default: 1000.
    pub joined_chats: NonZeroU32,
    /// `CARILLON_USER_CONNECTIONS`: connections that a user may hold. Default: 50.
    pub user_connections: NonZeroU32,
    /// `CARILLON_ADDRESS_CONNECTIONS`: connections that an address may hold. Default: 5000.
    pub address_connections: NonZeroU32,
    /// `CARILLON_CONNECTION_RATE`: new connections of an address per second. Default: 500.
    pub connection_rate: NonZeroU32,
    /// `CARILLON_REQUEST_RATE`: requests of an address, and polls and posts of a user, per second. Default: 2000.
    pub request_rate: NonZeroU32,
}

/// Whose tokens are believed, and what their claims are called.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// `JWT_SECRET`: the HS256 secret. Default: none.
    pub secret: Option<SecretString>,
    /// `CARILLON_JWT_SECRET_PREVIOUS`: a second live HS256 secret, for rotation. Default: none.
    pub previous_secret: Option<SecretString>,
    /// `CARILLON_JWT_PUBLIC_KEY`: keys of RS256, ES256 or EdDSA. Default: none.
    pub public_keys: Vec<PublicKey>,
    /// `CARILLON_JWKS`: a file or an address with more keys of RS256, ES256 or EdDSA, followed as it changes. Default: none.
    pub jwks: Option<JwksSource>,
    /// `CARILLON_JWT_AUDIENCE`: what `aud` must name. Default: not looked at.
    pub audience: Option<String>,
    /// `CARILLON_JWT_ISSUER`: what `iss` must be. Default: not looked at.
    pub issuer: Option<String>,
    /// `CARILLON_JWT_USER_CLAIM`: the claim with the user's id; `sub` counts where it is absent. Default: `userId`.
    pub user_claim: String,
    /// `CARILLON_JWT_ROLE_CLAIM`: the claim with the role. Default: `role`.
    pub role_claim: String,
    /// `CARILLON_JWT_ADMIN_ROLE`: the role of admins; `None` is off. Default: `admin`.
    pub admin_role: Option<String>,
    /// `CARILLON_JWT_SERVICE_ROLE`: the role of services; `None` is off. Default: `service`.
    pub service_role: Option<String>,
    /// `CARILLON_REQUIRE_EXP`: whether a token without `exp` is refused. Default: off.
    pub require_exp: bool,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// `CARILLON_LOG`: levels, also by module, as `info,carillon_gateway=debug`. Default: `info`.
    pub filter: String,
    /// `CARILLON_LOG_FORMAT`: text or JSON. Default: text.
    pub format: LogFormat,
}

/// Where traces go, and how many.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// `CARILLON_OTLP_ENDPOINT`: their receiver, over gRPC without TLS. Default: none, nothing is traced.
    pub otlp_endpoint: Option<String>,
    /// `CARILLON_TRACE_RATIO`: the share of traces that are sent, 0 to 1. Default: 1.
    pub ratio: f64,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dev: false,
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 4_000,
            internal_port: None,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            console: false,
            node_env: String::from("production"),
            origins: Origins::default(),
            trusted_proxies: Proxies::default(),
            data_dir: PathBuf::from("./data"),
            mongodb_uri: None,
            notification_days: 90,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(60),
            recovery_window: Duration::from_secs(120),
            drain_window: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(15),
            presence: Scope::All,
            cluster: ClusterSettings::default(),
            limits: LimitSettings::default(),
            auth: AuthSettings::default(),
            log: LogSettings {
                filter: String::from("info"),
                format: LogFormat::Text,
            },
            traces: TraceSettings {
                otlp_endpoint: None,
                ratio: 1.0,
            },
        }
    }
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            redis_url: None,
            redis_key: String::from("socket.io"),
            redis_wire: Wire::Classic,
            secret: None,
            lease: Duration::from_secs(5),
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        const fn at_least_one(count: u32) -> NonZeroU32 {
            NonZeroU32::MIN.saturating_add(count - 1)
        }
        Self {
            enabled: true,
            max_connections: None,
            message_burst: at_least_one(200),
            message_rate: at_least_one(20),
            event_burst: at_least_one(5_000),
            event_rate: at_least_one(500),
            joined_chats: at_least_one(1_000),
            user_connections: at_least_one(50),
            address_connections: at_least_one(5_000),
            connection_rate: at_least_one(500),
            request_rate: at_least_one(2_000),
        }
    }
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            secret: None,
            previous_secret: None,
            public_keys: Vec::new(),
            jwks: None,
            audience: None,
            issuer: None,
            user_claim: String::from("userId"),
            role_claim: String::from("role"),
            admin_role: Some(String::from("admin")),
            service_role: Some(String::from("service")),
            require_exp: false,
        }
    }
}

impl Settings {
    /// Reads all layers, the file among them, and checks what they make together. With `--dev` and no `JWT_SECRET`
    /// the secret comes from the data folder, where the first start puts it.
    ///
    /// # Errors
    /// [`SettingsError`], which names the variable, flag or key and says what is allowed.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Self, SettingsError> {
        let mut settings = Loaded::read(flags, environment)?.settings;
        if settings.dev && settings.auth.secret.is_none() {
            settings.auth.secret = Some(dev_secret::load_or_create(&settings.data_dir)?);
        }
        Ok(settings)
    }

    /// Whether errors on sockets carry `details`.
    #[must_use]
    pub fn shows_details(&self) -> bool {
        self.node_env == "development"
    }

    /// What the single settings, each good by itself, make wrong together.
    fn contradictions(&self) -> Vec<SettingsError> {
        let auth = &self.auth;
        let has_key = auth.secret.is_some() || !auth.public_keys.is_empty() || auth.jwks.is_some();
        let (port, bind) = (self.port, self.bind);
        let is_port_shared = self.internal_port == Some(port) && port != 0;
        let has_redis = self.cluster.redis_url.is_some();
        [
            (self.dev && !bind.is_loopback()).then_some(SettingsError::DevBind { bind }),
            is_port_shared.then_some(SettingsError::SamePort { port }),
            (has_redis && self.mongodb_uri.is_none()).then_some(SettingsError::RedisAlone),
            (!has_redis && self.cluster.secret.is_some()).then_some(SettingsError::SecretAlone),
            (!self.dev && !has_key).then_some(SettingsError::NoKey),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests;
