//! Who may talk to a development node: this machine, by a loopback name, and nobody through a proxy.
//!
//! A development node signs tokens for whoever asks, so a page that a browser opened elsewhere must not reach it,
//! neither across origins nor by a name that somebody points at 127.0.0.1.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a development node serves a request with this `Host` and `Origin`. `Host` must be there and, like
/// `Origin` where there is one, loopback (`localhost`, 127.0.0.0/8, `[::1]`); the ports may be any, as the page
/// under development comes from a server of its own.
#[must_use]
pub fn dev_request_allowed(host: Option<&str>, origin: Option<&str>, has_forwarding_header: bool) -> bool {
    let is_origin_here = origin.is_none_or(|origin| match origin.split_once("://") {
        Some(("http" | "https", authority)) => is_loopback(authority),
        _ => false,
    });
    host.is_some_and(is_loopback) && is_origin_here && !has_forwarding_header
}

/// Whether a header says that a proxy passed the request on: `Forwarded`, `X-Forwarded-*`, `X-Real-IP`, `Via`.
#[must_use]
pub fn is_forwarding_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "forwarded" | "x-real-ip" | "via") || name.starts_with("x-forwarded-")
}

/// Whether `host`, `host:port` or `[address]:port` names this machine.
fn is_loopback(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    // A sign would be read as part of the number.
    let is_port = |port: &str| !port.starts_with('+') && port.parse::<u16>().is_ok();
    if !port.is_none_or(is_port) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("localhost")]
    #[case("localhost:4000")]
    #[case("LocalHost:1")]
    #[case("127.0.0.1:4000")]
    #[case("127.3.2.1")]
    #[case("[::1]")]
    #[case("[::1]:4000")]
    fn loopback_hosts_are_served(#[case] host: &str) {
        assert!(dev_request_allowed(Some(host), None, false));
        assert!(!dev_request_allowed(Some(host), None, true));
    }

    #[rstest]
    #[case("")]
    #[case("carillon.example")]
    #[case("localhost.evil.example")]
    #[case("127.0.0.1.evil.example")]
    #[case("evil.example:4000@localhost")]
    #[case("localhost@evil.example")]
    #[case("127.1")]
    #[case("0.0.0.0")]
    #[case("192.168.0.1")]
    #[case("::1")]
    #[case("[::2]")]
    #[case("[::ffff:127.0.0.1]")]
    #[case("localhost:port")]
    #[case("localhost:4000, evil.example")]
    fn other_hosts_are_refused(#[case] host: &str) {
        assert!(!dev_request_allowed(Some(host), None, false));
    }

    #[test]
    fn a_request_without_host_is_refused() {
        assert!(!dev_request_allowed(None, None, false));
    }

    #[rstest]
    #[case("http://localhost:4000", true)]
    #[case("http://localhost:5173", true)]
    #[case("http://127.0.0.1", true)]
    #[case("https://[::1]:3000", true)]
    #[case("https://evil.example", false)]
    #[case("http://localhost.evil.example", false)]
    #[case("null", false)]
    #[case("", false)]
    #[case("localhost:4000", false)]
    #[case("http://localhost:4000/path", false)]
    fn only_pages_of_this_machine_are_served(#[case] origin: &str, #[case] served: bool) {
        assert_eq!(
            dev_request_allowed(Some("localhost:4000"), Some(origin), false),
            served
        );
    }

    #[test]
    fn forwarding_headers_are_known_in_any_case() {
        for name in [
            "Forwarded",
            "X-Forwarded-For",
            "x-forwarded-host",
            "X-Real-IP",
            "via",
        ] {
            assert!(is_forwarding_header(name), "{name}");
        }
        for name in ["Host", "X-Forward", "Authorization"] {
            assert!(!is_forwarding_header(name), "{name}");
        }
    }
}
