//! What makes the node one of several.

use std::time::Duration;

use carillon_backplane::redis::Wire;

use super::{
    Setting,
    values::{cluster_secret, put, redis_key, uri},
};
use crate::settings::{
    masked,
    read::{choice, duration_between, show_duration},
};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "REDIS_URL",
        "redis-url",
        "URL",
        "Redis that joins several nodes, which also share MONGODB_URI: redis:// or rediss://",
        |settings, given| put(&mut settings.cluster.redis_url, uri(given, &["redis", "rediss"])),
        |settings| masked::address(settings.cluster.redis_url.as_ref()),
    )
    .secret(),
    Setting::new(
        "CARILLON_REDIS_KEY",
        "redis-key",
        "TEXT",
        "What channels in Redis begin with; Node servers on the same Redis have it as the adapter's `key`",
        |settings, given| put(&mut settings.cluster.redis_key, redis_key(given)),
        |settings| settings.cluster.redis_key.clone(),
    ),
    Setting::new(
        "CARILLON_REDIS_WIRE",
        "redis-wire",
        "ADAPTER",
        "Node adapter that is spoken in Redis: classic, or sharded (Redis 7)",
        |settings, given| {
            let wires = [("classic", Wire::Classic), ("sharded", Wire::Sharded)];
            put(&mut settings.cluster.redis_wire, choice(given, &wires))
        },
        |settings| match settings.cluster.redis_wire {
            Wire::Classic => String::from("classic"),
            Wire::Sharded => String::from("sharded"),
        },
    ),
    Setting::new(
        "CARILLON_CLUSTER_SECRET",
        "cluster-secret",
        "SECRET",
        "Secret that the nodes share, 16 bytes or more; without one the first node puts its own into Redis",
        |settings, given| put(&mut settings.cluster.secret, cluster_secret(given)),
        |settings| masked::secret(settings.cluster.secret.as_ref()),
    )
    .secret(),
    Setting::new(
        "CARILLON_LEASE",
        "lease",
        "TIME",
        "How long a node may be silent before the others take it for dead; 1s to 60s, the same on all nodes",
        |settings, given| {
            let (least, most) = (Duration::from_secs(1), Duration::from_secs(60));
            put(&mut settings.cluster.lease, duration_between(given, least, most))
        },
        |settings| show_duration(settings.cluster.lease),
    ),
];
