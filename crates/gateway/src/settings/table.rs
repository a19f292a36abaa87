//! One row for every setting: its variable, its flag, what the help says, how it is read and shown.
//!
//! The file's key is the flag's name with underscores. Defaults are those of [`Settings::default`].

mod cluster;
mod tokens;
mod traces;
mod values;

use std::{path::PathBuf, time::Duration};

use super::{
    LogFormat, Settings, masked,
    read::{choice, duration_up_to, number, show_duration, show_switch, switch, text},
};
use crate::services::presence::Scope;
use values::{filter, millis, origins, proxies, put, quota, uri};

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Its environment variable.
    pub env: &'static str,
    /// Another variable that counts where the first is not set: one that other programs know.
    pub other_env: Option<&'static str>,
    /// Its flag, without the dashes.
    pub flag: &'static str,
    /// What stands for the value in the help.
    pub placeholder: &'static str,
    /// What the help says.
    pub help: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Whether an empty value switches it off instead of leaving the default.
    pub empty_is_off: bool,
    /// What the documents say of its default instead of its value, which differs from machine to machine.
    default: Option<&'static str>,
    apply: fn(&mut Settings, &str) -> Result<(), String>,
    show: fn(&Settings) -> String,
}

/// Settings that belong together.
#[derive(Debug)]
pub struct Group {
    /// Their heading in the help.
    pub heading: &'static str,
    /// The settings.
    pub settings: &'static [Setting],
}

impl Setting {
    const fn new(
        env: &'static str,
        flag: &'static str,
        placeholder: &'static str,
        help: &'static str,
        apply: fn(&mut Settings, &str) -> Result<(), String>,
        show: fn(&Settings) -> String,
    ) -> Self {
        Self {
            env,
            other_env: None,
            flag,
            placeholder,
            help,
            secret: false,
            empty_is_off: false,
            default: None,
            apply,
            show,
        }
    }

    const fn or_variable(self, name: &'static str) -> Self {
        Self {
            other_env: Some(name),
            ..self
        }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn empty_is_off(self) -> Self {
        Self {
            empty_is_off: true,
            ..self
        }
    }

    const fn default_is(self, default: &'static str) -> Self {
        Self {
            default: Some(default),
            ..self
        }
    }

    /// Its key in the settings file.
    #[must_use]
    pub fn key(&self) -> String {
        self.flag.replace('-', "_")
    }

    /// Its default in words: its value, or where that comes from; empty where it has none.
    #[must_use]
    pub fn default_in_words(&self) -> String {
        self.default
            .map_or_else(|| self.show(&Settings::default()), str::to_owned)
    }

    /// Whether its default can be written down: it is a value, and the same everywhere.
    #[must_use]
    pub fn has_fixed_default(&self) -> bool {
        self.default.is_none() && !self.default_in_words().is_empty()
    }

    /// Its value in `settings`, as it would be given; secrets are hidden, also those within addresses. Empty where it has none.
    #[must_use]
    pub fn show(&self, settings: &Settings) -> String {
        (self.show)(settings)
    }

    /// Sets it; the error says what would be taken.
    pub(super) fn apply(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        (self.apply)(settings, text)
    }
}

/// All settings.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings)
}

/// All settings in the order of the help.
pub const GROUPS: &[Group] = &[
    Group {
        heading: "Network",
        settings: NETWORK,
    },
    Group {
        heading: "Connections",
        settings: CONNECTIONS,
    },
    Group {
        heading: "Data",
        settings: DATA,
    },
    Group {
        heading: "Cluster",
        settings: cluster::SETTINGS,
    },
    Group {
        heading: "Tokens",
        settings: tokens::SETTINGS,
    },
    Group {
        heading: "Limits",
        settings: LIMITS,
    },
    Group {
        heading: "Logs",
        settings: LOGS,
    },
    Group {
        heading: "Traces",
        settings: traces::SETTINGS,
    },
];

const NETWORK: &[Setting] = &[
    Setting::new(
        "PORT",
        "port",
        "PORT",
        "Port for clients; 0 takes any free one",
        |settings, given| put(&mut settings.port, number(given, 0, u16::MAX)),
        |settings| settings.port.to_string(),
    ),
    Setting::new(
        "CARILLON_BIND",
        "bind",
        "ADDRESS",
        "Address to listen on; with --dev 127.0.0.1 and nothing but loopback",
        |settings, given| {
            put(
                &mut settings.bind,
                given
                    .parse()
                    .map_err(|_| String::from("an IP address, such as 0.0.0.0 or ::1")),
            )
        },
        |settings| settings.bind.to_string(),
    ),
    Setting::new(
        "CARILLON_INTERNAL_PORT",
        "internal-port",
        "PORT",
        "Port for health and metrics, which are then not on the client port",
        |settings, given| put(&mut settings.internal_port, number(given, 0, u16::MAX).map(Some)),
        |settings| {
            settings
                .internal_port
                .map_or_else(String::new, |port| port.to_string())
        },
    ),
    Setting::new(
        "FRONTEND_URL",
        "frontend-url",
        "ORIGINS",
        "Origins of the pages that may connect, separated by commas; the node's own always may, `*` is any",
        |settings, given| put(&mut settings.origins, origins(given)),
        |settings| settings.origins.to_string(),
    ),
    Setting::new(
        "CARILLON_TRUSTED_PROXIES",
        "trusted-proxies",
        "NETWORKS",
        "Proxies whose X-Forwarded-For is believed: limits count its right-most address that is none of these; nothing: no proxy",
        |settings, given| put(&mut settings.trusted_proxies, proxies(given)),
        |settings| settings.trusted_proxies.to_string(),
    ),
    Setting::new(
        "CARILLON_WORKERS",
        "workers",
        "COUNT",
        "Threads that serve",
        |settings, given| put(&mut settings.workers, number(given, 1, 1_024)),
        |settings| settings.workers.to_string(),
    )
    .default_is("one for each core"),
    Setting::new(
        "CARILLON_CONSOLE",
        "console",
        "ON|OFF",
        "Whether there is a page for people at /; on with --dev",
        |settings, given| put(&mut settings.console, switch(given)),
        |settings| show_switch(settings.console).to_owned(),
    ),
    Setting::new(
        "NODE_ENV",
        "node-env",
        "NAME",
        "Errors on sockets carry details where it is `development`",
        |settings, given| put(&mut settings.node_env, text(given)),
        |settings| settings.node_env.clone(),
    ),
];

const CONNECTIONS: &[Setting] = &[
    Setting::new(
        "SOCKET_PING_INTERVAL",
        "socket-ping-interval",
        "MS",
        "Milliseconds between two pings",
        |settings, given| put(&mut settings.ping_interval, millis(given)),
        |settings| settings.ping_interval.as_millis().to_string(),
    ),
    Setting::new(
        "SOCKET_PING_TIMEOUT",
        "socket-ping-timeout",
        "MS",
        "Milliseconds that a client has to answer a ping",
        |settings, given| put(&mut settings.ping_timeout, millis(given)),
        |settings| settings.ping_timeout.as_millis().to_string(),
    ),
    Setting::new(
        "CARILLON_RECOVERY_WINDOW",
        "recovery-window",
        "TIME",
        "How long a lost connection may be recovered; 0s never, 1h at most",
        |settings, given| {
            put(
                &mut settings.recovery_window,
                duration_up_to(given, Duration::from_secs(3_600)),
            )
        },
        |settings| show_duration(settings.recovery_window),
    ),
    Setting::new(
        "CARILLON_DRAIN_TIMEOUT",
        "drain-timeout",
        "TIME",
        "How long a stopping node takes to send its clients away, in all; 10m at most",
        |settings, given| {
            put(
                &mut settings.drain_timeout,
                duration_up_to(given, Duration::from_secs(600)),
            )
        },
        |settings| show_duration(settings.drain_timeout),
    ),
    Setting::new(
        "CARILLON_DRAIN_WINDOW",
        "drain-window",
        "TIME",
        "Over how long a stopping node spreads the end of its connections, 250 a second where they are few; 10m at most",
        |settings, given| {
            put(
                &mut settings.drain_window,
                duration_up_to(given, Duration::from_secs(600)),
            )
        },
        |settings| show_duration(settings.drain_window),
    ),
    Setting::new(
        "CARILLON_PRESENCE",
        "presence",
        "SCOPE",
        "Who learns who is online: all, or contacts (those who have both written to each other)",
        |settings, given| {
            let scopes = [("all", Scope::All), ("contacts", Scope::Contacts)];
            put(&mut settings.presence, choice(given, &scopes))
        },
        |settings| match settings.presence {
            Scope::All => String::from("all"),
            Scope::Contacts => String::from("contacts"),
        },
    ),
];

const DATA: &[Setting] = &[
    Setting::new(
        "CARILLON_DATA_DIR",
        "data-dir",
        "FOLDER",
        "Folder of the embedded database; made where it is missing",
        |settings, given| put(&mut settings.data_dir, text(given).map(PathBuf::from)),
        |settings| settings.data_dir.display().to_string(),
    ),
    Setting::new(
        "MONGODB_URI",
        "mongodb-uri",
        "URI",
        "MongoDB that holds the history instead of the embedded database: mongodb:// or mongodb+srv://",
        |settings, given| put(&mut settings.mongodb_uri, uri(given, &["mongodb", "mongodb+srv"])),
        |settings| masked::address(settings.mongodb_uri.as_ref()),
    )
    .secret(),
    Setting::new(
        "CARILLON_NOTIFICATION_DAYS",
        "notification-days",
        "DAYS",
        "Days after which notifications are deleted; 0 keeps all",
        |settings, given| put(&mut settings.notification_days, number(given, 0, 36_500)),
        |settings| settings.notification_days.to_string(),
    ),
];

const LIMITS: &[Setting] = &[
    Setting::new(
        "CARILLON_LIMITS",
        "limits",
        "ON|OFF",
        "Whether there are limits per user and per address; off is for measuring",
        |settings, given| put(&mut settings.limits.enabled, switch(given)),
        |settings| show_switch(settings.limits.enabled).to_owned(),
    ),
    Setting::new(
        "CARILLON_MAX_CONNECTIONS",
        "max-connections",
        "COUNT",
        "Connections that the node may hold, as far as the limit of open files allows; also with limits off",
        |settings, given| put(&mut settings.limits.max_connections, quota(given).map(Some)),
        |settings| {
            settings
                .limits
                .max_connections
                .map_or_else(String::new, |count| count.to_string())
        },
    )
    .default_is("what the limit of open files allows"),
    Setting::new(
        "CARILLON_MESSAGE_BURST",
        "message-burst",
        "COUNT",
        "Messages that a user may send at once",
        |settings, given| put(&mut settings.limits.message_burst, quota(given)),
        |settings| settings.limits.message_burst.to_string(),
    ),
    Setting::new(
        "CARILLON_MESSAGE_RATE",
        "message-rate",
        "PER-SECOND",
        "Messages that a user may send per second in the long run",
        |settings, given| put(&mut settings.limits.message_rate, quota(given)),
        |settings| settings.limits.message_rate.to_string(),
    ),
    Setting::new(
        "CARILLON_EVENT_BURST",
        "event-burst",
        "COUNT",
        "Events of any kind that a user may send at once",
        |settings, given| put(&mut settings.limits.event_burst, quota(given)),
        |settings| settings.limits.event_burst.to_string(),
    ),
    Setting::new(
        "CARILLON_EVENT_RATE",
        "event-rate",
        "PER-SECOND",
        "Events of any kind that a user may send per second in the long run",
        |settings, given| put(&mut settings.limits.event_rate, quota(given)),
        |settings| settings.limits.event_rate.to_string(),
    ),
    Setting::new(
        "CARILLON_JOINED_CHATS",
        "joined-chats",
        "COUNT",
        "Chats that a connection may have joined at once; also with limits off",
        |settings, given| put(&mut settings.limits.joined_chats, quota(given)),
        |settings| settings.limits.joined_chats.to_string(),
    ),
    Setting::new(
        "CARILLON_USER_CONNECTIONS",
        "user-connections",
        "COUNT",
        "Connections that a user may hold",
        |settings, given| put(&mut settings.limits.user_connections, quota(given)),
        |settings| settings.limits.user_connections.to_string(),
    ),
    Setting::new(
        "CARILLON_ADDRESS_CONNECTIONS",
        "address-connections",
        "COUNT",
        "Connections that an address may hold, from their opening on (IPv6: a /64)",
        |settings, given| put(&mut settings.limits.address_connections, quota(given)),
        |settings| settings.limits.address_connections.to_string(),
    ),
    Setting::new(
        "CARILLON_CONNECTION_RATE",
        "connection-rate",
        "PER-SECOND",
        "New connections of an address per second",
        |settings, given| put(&mut settings.limits.connection_rate, quota(given)),
        |settings| settings.limits.connection_rate.to_string(),
    ),
    Setting::new(
        "CARILLON_REQUEST_RATE",
        "request-rate",
        "PER-SECOND",
        "Requests of an address, and polls and posts of a user, per second",
        |settings, given| put(&mut settings.limits.request_rate, quota(given)),
        |settings| settings.limits.request_rate.to_string(),
    ),
];

const LOGS: &[Setting] = &[
    Setting::new(
        "CARILLON_LOG",
        "log",
        "FILTER",
        "Levels, also by module: info, or warn,carillon_gateway=debug",
        |settings, given| put(&mut settings.log.filter, filter(given)),
        |settings| settings.log.filter.clone(),
    ),
    Setting::new(
        "CARILLON_LOG_FORMAT",
        "log-format",
        "FORMAT",
        "text or json",
        |settings, given| {
            let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
            put(&mut settings.log.format, choice(given, &formats))
        },
        |settings| match settings.log.format {
            LogFormat::Text => String::from("text"),
            LogFormat::Json => String::from("json"),
        },
    ),
];
