//! Settings that are right, and do not go well with each other or with what usually stands around a node.

use std::{sync::Arc, time::Duration};

use super::finding::Finding;
use crate::{
    auth::{self, Verifier},
    clock::SystemClock,
    settings::{DEV_SECRET_FILE, Settings, read::show_duration},
};

/// After so long balancers and proxies usually close a connection on which nothing moves.
const USUAL_IDLE: Duration = Duration::from_secs(60);
/// How long Kubernetes waits by default before it kills what it has told to stop.
const USUAL_GRACE: Duration = Duration::from_secs(30);
/// What a drain takes beside sending the clients away.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);
/// Longest pause of the official client between two attempts to connect, with its jitter.
const LONGEST_RETURN: Duration = Duration::from_millis(7_500);

pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let mut findings = tokens(settings);
    findings.push(pings(settings));
    findings.push(drain(settings));
    findings.extend(recovery(settings));
    findings.push(origins(settings));
    findings.extend(proxies(settings));
    findings.push(limits(settings));
    if settings.shows_details() && !settings.dev {
        findings.push(Finding::warning(
            "node_env",
            "development: errors carry details of what went wrong inside",
            "set NODE_ENV=production where strangers connect",
        ));
    }
    findings
}

fn tokens(settings: &Settings) -> Vec<Finding> {
    if let Err(error) = Verifier::new(&settings.auth, Arc::new(SystemClock::new())) {
        return vec![Finding::failed(
            "tokens",
            error.to_string(),
            "this build cannot be used on this machine",
        )];
    }
    let warnings = auth::warnings(&settings.auth).into_iter();
    let mut findings: Vec<_> = warnings
        .map(|warning| Finding::warning("tokens", warning, "openssl rand -base64 32 makes one"))
        .collect();
    let auth = &settings.auth;
    let mut keys = Vec::new();
    keys.extend(auth.secret.is_some().then(|| String::from("HS256 secret")));
    keys.extend(
        auth.previous_secret
            .is_some()
            .then(|| String::from("previous HS256 secret")),
    );
    keys.extend(
        auth.public_keys
            .iter()
            .map(|key| format!("{} key", key.algorithm())),
    );
    keys.extend(auth.jwks.is_some().then(|| String::from("key set")));
    if keys.is_empty() {
        let path = settings.data_dir.join(DEV_SECRET_FILE);
        keys.push(format!("development secret, {}", path.display()));
    }
    findings.push(Finding::ok("tokens", format!("verified by: {}", keys.join(", "))));
    findings
}

fn pings(settings: &Settings) -> Finding {
    let interval = show_duration(settings.ping_interval);
    if settings.ping_interval > USUAL_IDLE / 2 {
        return Finding::warning(
            "pings",
            format!(
                "every {interval}: balancers often close what is idle for {}",
                show_duration(USUAL_IDLE)
            ),
            format!(
                "set SOCKET_PING_INTERVAL to {} or less, or the balancer's idle time to more than twice {interval}",
                (USUAL_IDLE / 2).as_millis()
            ),
        );
    }
    Finding::ok(
        "pings",
        format!("every {interval}, less than half of the usual idle time of balancers"),
    )
}

fn drain(settings: &Settings) -> Finding {
    let time = show_duration(settings.drain_timeout);
    let needed = settings.drain_timeout + DRAIN_MARGIN;
    if needed > USUAL_GRACE {
        return Finding::warning(
            "drain",
            format!(
                "up to {time}, and whoever stops a node often kills it after {}",
                show_duration(USUAL_GRACE)
            ),
            format!(
                "give it {} or more: terminationGracePeriodSeconds, stop_grace_period, TimeoutStopSec",
                show_duration(needed)
            ),
        );
    }
    Finding::ok(
        "drain",
        format!(
            "up to {time}; whoever stops a node must wait {}",
            show_duration(needed)
        ),
    )
}

fn recovery(settings: &Settings) -> Option<Finding> {
    let window = settings.recovery_window;
    if window.is_zero() || window >= LONGEST_RETURN {
        return None;
    }
    Some(Finding::warning(
        "recovery",
        format!(
            "a lost connection is forgotten after {}, and clients may take {} to come back",
            show_duration(window),
            show_duration(LONGEST_RETURN)
        ),
        "set CARILLON_RECOVERY_WINDOW to 30s or more, or to 0s for no recovery",
    ))
}

fn origins(settings: &Settings) -> Finding {
    if settings.origins.allows("https://any.invalid", None) {
        return Finding::warning(
            "origins",
            "pages of any origin may connect",
            "name the application's own origins in FRONTEND_URL",
        );
    }
    let listed = settings.origins.to_string();
    let listed = if listed.is_empty() { "no others" } else { &listed };
    Finding::ok(
        "origins",
        format!("pages of the node's own origin, and of {listed}"),
    )
}

fn proxies(settings: &Settings) -> Option<Finding> {
    settings.trusted_proxies.has_everything().then(|| {
        Finding::warning(
            "proxies",
            "everybody is taken for a proxy: a client can give itself any address, and limits with it",
            "name the proxies' own networks in CARILLON_TRUSTED_PROXIES",
        )
    })
}

fn limits(settings: &Settings) -> Finding {
    if settings.limits.enabled {
        return Finding::ok("limits", "on");
    }
    Finding::warning(
        "limits",
        "off: one client can take all of the node",
        "set CARILLON_LIMITS=on",
    )
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Outcome, *};
    use crate::settings::{Environment, Flags, Loaded};

    fn found(variables: &[(&str, &str)]) -> Vec<Finding> {
        let secret = [("JWT_SECRET", "a secret of thirty-two bytes or so")];
        let environment: Environment = secret.iter().chain(variables).copied().collect();
        look(&Loaded::read(&Flags::default(), &environment).unwrap().settings)
    }

    #[test]
    fn defaults_with_a_good_secret_are_sound() {
        for finding in found(&[]) {
            assert_eq!(finding.outcome, Outcome::Ok, "{finding:?}");
        }
    }

    #[test]
    fn what_does_not_go_well_is_a_warning_with_advice() {
        for (variable, value, what) in [
            ("JWT_SECRET", "short", "tokens"),
            ("SOCKET_PING_INTERVAL", "30001", "pings"),
            ("CARILLON_DRAIN_TIMEOUT", "26s", "drain"),
            ("CARILLON_RECOVERY_WINDOW", "5s", "recovery"),
            ("FRONTEND_URL", "https://a.example,*", "origins"),
            ("CARILLON_TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0", "proxies"),
            ("CARILLON_LIMITS", "off", "limits"),
            ("NODE_ENV", "development", "node_env"),
        ] {
            let warnings: Vec<_> = found(&[(variable, value)])
                .into_iter()
                .filter(|finding| finding.outcome != Outcome::Ok)
                .collect();
            assert!(
                matches!(&*warnings, [warning] if warning.what == what && warning.advice.is_some() && !warning.is_failed()),
                "{variable}: {warnings:?}"
            );
        }
    }

    #[test]
    fn no_recovery_at_all_may_be_meant() {
        let findings = found(&[("CARILLON_RECOVERY_WINDOW", "0s")]);
        assert!(findings.iter().all(|finding| finding.outcome == Outcome::Ok));
    }
}
