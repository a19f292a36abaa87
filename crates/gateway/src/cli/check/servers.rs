//! The servers that a node depends on: MongoDB and Redis, and whether their clocks agree with the node's; and the one that
//! the key set is fetched from.

use std::time::Duration;

use carillon_backplane::redis::{self, SubscriberBuffer};
use carillon_protocol::time::Timestamp;
use carillon_store::mongo;
use secrecy::{ExposeSecret as _, SecretString};

use super::finding::Finding;
use crate::{
    auth::{JwksSource, JwksUrl},
    clock::{Clock as _, SystemClock},
    node::redis_options,
    settings::{Settings, read::show_duration},
};

/// How long a server may take for all that it is asked.
const PATIENCE: Duration = Duration::from_secs(15);
/// How far clocks may be apart.
const MOST_SKEW: Duration = Duration::from_secs(1);
/// An event that takes longer to Redis and back takes the most of what people call at once.
const SLOW_ECHO: Duration = Duration::from_millis(50);
/// Redis' own default; a node that takes everything in gets by with it.
const LEAST_BUFFER_BYTES: u64 = 32 << 20;

pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(uri) = &settings.mongodb_uri {
        findings.extend(look_at_mongodb(uri).await);
    }
    if let Some(url) = &settings.cluster.redis_url {
        findings.extend(look_at_redis(settings, url).await);
    }
    if let Some(JwksSource::Url(url)) = &settings.auth.jwks {
        findings.push(look_at_key_set(url).await);
    }
    findings
}

async fn look_at_key_set(url: &JwksUrl) -> Finding {
    const WHAT: &str = "key set";
    match url.try_out().await {
        Err(reason) => Finding::failed(
            WHAT,
            format!("{url}: {reason}"),
            "see that CARILLON_JWKS leads to a JSON Web Key Set, and that this machine reaches it; a node waits for it",
        ),
        Ok((0, passed_over)) => Finding::warning(
            WHAT,
            format!("{url}: no key that could be used, {passed_over} passed over"),
            "keys of RSA (RS256), P-256 (ES256) and Ed25519 (EdDSA) can",
        ),
        Ok((keys, _)) if !url.is_secure() => Finding::warning(
            WHAT,
            format!("{url}: keys: {keys}, and who is on the way there can put in their own"),
            "use https",
        ),
        Ok((keys, passed_over)) => {
            Finding::ok(WHAT, format!("{url}: keys: {keys}, passed over: {passed_over}"))
        }
    }
}

async fn look_at_mongodb(uri: &SecretString) -> Vec<Finding> {
    const WHAT: &str = "MongoDB";
    let before = SystemClock::new().now();
    let inspected = tokio::time::timeout(PATIENCE, mongo::inspect(uri.expose_secret())).await;
    let found = match inspected {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            let reason = format!("{:#}", anyhow::Error::from(error));
            return vec![Finding::failed(
                WHAT,
                reason,
                "see that it runs, that MONGODB_URI leads there, and what its user may do",
            )];
        }
        Err(_) => {
            return vec![Finding::failed(
                WHAT,
                "it does not answer",
                "see that it runs, and that MONGODB_URI leads there",
            )];
        }
    };
    let indexes = match &*found.missing_indexes {
        _ if !found.is_prepared => String::from("nothing of Carillon in it yet"),
        [] => String::from("all indexes there"),
        missing => format!("the next start makes indexes: {}", missing.join("; ")),
    };
    let (server, setup, database) = (found.server, found.setup, found.database);
    let mut findings = vec![Finding::ok(
        WHAT,
        format!("{server}, {setup}, database {database} can be written, {indexes}"),
    )];
    findings.extend(found.time_ms.map(|time| clocks("MongoDB clock", before, time)));
    findings
}

async fn look_at_redis(settings: &Settings, url: &SecretString) -> Vec<Finding> {
    const WHAT: &str = "Redis";
    let options = redis_options(settings, url);
    let before = SystemClock::new().now();
    let inspected = tokio::time::timeout(PATIENCE, redis::inspect(&options)).await;
    let found = match inspected {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            return vec![Finding::failed(
                WHAT,
                error.reason,
                "see that it runs, that REDIS_URL leads there, and what its user may do",
            )];
        }
        Err(_) => {
            return vec![Finding::failed(
                WHAT,
                "it does not answer",
                "see that it runs, and that REDIS_URL leads there",
            )];
        }
    };
    let kind = if found.is_cluster {
        format!("cluster of {}", found.servers)
    } else {
        String::from("one server")
    };
    let mut findings = vec![Finding::ok(
        WHAT,
        format!("Redis {}, {kind}, runs scripts and takes writes", found.version),
    )];
    findings.push(echo(found.echo));
    findings.push(clocks("Redis clock", before, found.time_ms));
    findings.extend(found.eviction.as_deref().map(eviction));
    findings.extend(found.subscriber_buffer.map(buffer));
    findings
}

fn echo(time: Duration) -> Finding {
    let shown = format!(
        "what is published comes back, after {:.1} ms",
        time.as_secs_f64() * 1_000.0
    );
    if time > SLOW_ECHO {
        return Finding::warning(
            "Redis events",
            shown,
            "every event takes that way: put Redis nearer to the nodes",
        );
    }
    Finding::ok("Redis events", shown)
}

fn eviction(policy: &str) -> Finding {
    if policy == "noeviction" {
        return Finding::ok("Redis memory", "nothing is evicted");
    }
    Finding::warning(
        "Redis memory",
        format!(
            "{policy}: when it is full, what sessions are recovered by and who is online are thrown away"
        ),
        "set maxmemory-policy noeviction, and maxmemory high enough",
    )
}

fn buffer(buffer: SubscriberBuffer) -> Finding {
    let SubscriberBuffer {
        hard_bytes,
        soft_bytes,
        soft_seconds,
    } = buffer;
    let hard = if hard_bytes == 0 {
        String::from("as much as there is")
    } else {
        format!("{} MiB", hard_bytes >> 20)
    };
    let soft = if soft_bytes == 0 {
        String::new()
    } else {
        format!(", {} MiB for {soft_seconds} s", soft_bytes >> 20)
    };
    let shown = format!("a node may lag {hard} behind{soft}");
    if hard_bytes != 0 && hard_bytes < LEAST_BUFFER_BYTES {
        return Finding::warning(
            "Redis buffers",
            shown,
            "set client-output-buffer-limit pubsub to 32mb 8mb 60 or more: a node that lags more is cut off and has to catch up",
        );
    }
    Finding::ok("Redis buffers", shown)
}

/// Compares a clock that was read after `before` with ours.
fn clocks(what: &'static str, before: Timestamp, theirs_ms: i64) -> Finding {
    let skew = skew(
        before.as_millis(),
        theirs_ms,
        SystemClock::new().now().as_millis(),
    );
    if skew > MOST_SKEW {
        return Finding::warning(
            what,
            format!("at least {} away from this machine's", show_duration(skew)),
            "let both follow the same time servers (NTP): tokens, times of messages and leases go by them",
        );
    }
    Finding::ok(what, "agrees with this machine's")
}

/// How far a clock that was read between two moments of ours must at least be from ours; all in milliseconds.
fn skew(before: i64, theirs: i64, after: i64) -> Duration {
    let late = before.saturating_sub(theirs).max(0);
    let early = theirs.saturating_sub(after).max(0);
    Duration::from_millis(late.max(early).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Outcome, *};

    #[test]
    fn a_clock_is_judged_by_the_moments_around_its_reading() {
        assert_eq!(skew(1_000, 1_200, 1_500), Duration::ZERO);
        assert_eq!(skew(1_000, 400, 1_500), Duration::from_millis(600));
        assert_eq!(skew(1_000, 4_000, 1_500), Duration::from_millis(2_500));
        assert_eq!(
            skew(0, i64::MIN, 0),
            Duration::from_millis(i64::MAX.unsigned_abs())
        );

        let now = SystemClock::new().now();
        assert_eq!(clocks("clock", now, now.as_millis()).outcome, Outcome::Ok);
        assert_eq!(
            clocks("clock", now, now.as_millis() - 5_000).outcome,
            Outcome::Warning
        );
    }

    #[test]
    fn a_redis_that_forgets_cuts_off_or_is_far_is_a_warning() {
        let limits = |hard_bytes| SubscriberBuffer {
            hard_bytes,
            soft_bytes: 0,
            soft_seconds: 0,
        };
        for finding in [
            eviction("allkeys-lru"),
            buffer(limits(1 << 20)),
            echo(Duration::from_millis(80)),
        ] {
            assert_eq!(finding.outcome, Outcome::Warning);
        }
        for finding in [
            eviction("noeviction"),
            buffer(limits(0)),
            buffer(limits(32 << 20)),
            echo(Duration::from_millis(1)),
        ] {
            assert_eq!(finding.outcome, Outcome::Ok, "{finding:?}");
        }
    }

    #[tokio::test]
    async fn servers_that_are_not_there_are_failures_that_name_no_password() {
        let settings = Settings {
            mongodb_uri: Some("mongodb://me:hunter2@127.0.0.1:1/chat?directConnection=true".into()),
            cluster: crate::settings::ClusterSettings {
                redis_url: Some("redis://:hunter2@127.0.0.1:1".into()),
                ..Default::default()
            },
            auth: crate::settings::AuthSettings {
                jwks: JwksUrl::parse("http://me:hunter2@127.0.0.1:1/keys?hunter").map(JwksSource::Url),
                ..Default::default()
            },
            ..Settings::default()
        };
        let findings = look(&settings).await;
        assert_eq!(findings.len(), 3);
        for finding in findings {
            assert!(
                finding.is_failed() && !format!("{finding:?}").contains("hunter"),
                "{finding:?}"
            );
        }
    }
}
