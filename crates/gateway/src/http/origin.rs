//! Which web origins may use the node: those of `FRONTEND_URL`, and the node's own.

use std::{collections::HashSet, fmt};

/// An entry of `FRONTEND_URL` that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin such as https://chat.example or http://localhost:3000")]
pub struct InvalidOrigin(pub String);

/// The allowed origins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    listed: HashSet<Origin>,
    any: bool,
}

/// Scheme and `host[:port]`, lower case, without the scheme's default port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Origin {
    scheme: String,
    authority: String,
}

impl Origins {
    /// Reads a list of origins, comma separated, each with at most a slash after it; `*` allows every origin. An
    /// empty list allows the node's own only.
    ///
    /// # Errors
    /// For the first entry that is no origin.
    pub fn parse(list: &str) -> Result<Self, InvalidOrigin> {
        let mut origins = Self::default();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if entry == "*" {
                origins.any = true;
                continue;
            }
            let origin = Origin::parse(entry.strip_suffix('/').unwrap_or(entry));
            origins
                .listed
                .insert(origin.ok_or_else(|| InvalidOrigin(entry.to_owned()))?);
        }
        Ok(origins)
    }

    /// Whether a request with this `Origin` and `Host` is let in. The opaque origin `null` and what is no origin never are.
    #[must_use]
    pub fn allows(&self, origin: &str, host: Option<&str>) -> bool {
        let Some(origin) = Origin::parse(origin) else {
            return false;
        };
        self.any || self.listed.contains(&origin) || host.is_some_and(|host| origin.is_at(host))
    }
}

/// As [`Origins::parse`] reads them, in the order of the alphabet.
impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = self.listed.iter();
        let mut origins: Vec<String> = listed
            .map(|Origin { scheme, authority }| format!("{scheme}://{authority}"))
            .collect();
        origins.extend(self.any.then(|| String::from("*")));
        origins.sort();
        f.write_str(&origins.join(","))
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if !is_scheme {
            return None;
        }
        let authority = without_default_port(&scheme, authority)?;
        Some(Self { scheme, authority })
    }

    /// Whether the web server that calls itself `host` serves this origin. The scheme is not compared: TLS ends before
    /// the node.
    fn is_at(&self, host: &str) -> bool {
        matches!(&*self.scheme, "http" | "https")
            && without_default_port(&self.scheme, host).is_some_and(|host| host == self.authority)
    }
}

/// `host[:port]` in lower case, without a port that `scheme` implies; `None` where it is no such thing.
fn without_default_port(scheme: &str, authority: &str) -> Option<String> {
    // The colons of an IPv6 address stand within brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c))
        }
    };
    let port = match port {
        Some(port) if port.chars().all(|c| c.is_ascii_digit()) => Some(port.parse::<u16>().ok()?),
        Some(_) => return None,
        None => None,
    };
    let host = is_host.then(|| host.to_ascii_lowercase())?;
    Some(match (scheme, port) {
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => host,
        (_, Some(port)) => format!("{host}:{port}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listed_are_allowed() {
        let origins =
            Origins::parse(" https://Chat.example/ ,http://localhost:3000,, capacitor://localhost").unwrap();

        for allowed in [
            "https://chat.example",
            "https://chat.example:443",
            "http://localhost:3000",
            "capacitor://localhost",
        ] {
            assert!(origins.allows(allowed, None), "{allowed}");
        }
        for refused in [
            "http://chat.example",
            "https://chat.example:444",
            "https://chat.example.evil.example",
            "https://evil.example",
            "http://localhost:30000",
            "http://localhost",
        ] {
            assert!(!origins.allows(refused, Some("node:4000")), "{refused}");
        }
    }

    #[test]
    fn they_are_shown_as_they_are_read() {
        let origins = Origins::parse("https://b.example, http://a.example:80/,*").unwrap();
        assert_eq!(origins.to_string(), "*,http://a.example,https://b.example");
        assert_eq!(Origins::parse(&origins.to_string()), Ok(origins));
        assert_eq!(Origins::default().to_string(), "");
    }

    #[test]
    fn the_own_origin_is_always_allowed() {
        let origins = Origins::parse("").unwrap();
        for (origin, host) in [
            ("http://localhost:4000", "localhost:4000"),
            ("https://Node.example", "node.example"),
            ("https://node.example", "node.example:443"),
            ("http://[::1]:4000", "[::1]:4000"),
        ] {
            assert!(origins.allows(origin, Some(host)), "{origin} at {host}");
        }
        for (origin, host) in [
            ("http://localhost:4001", "localhost:4000"),
            ("http://localhost", "localhost:4000"),
            ("file://node", "node"),
            ("https://node.example", "node.example@evil.example"),
        ] {
            assert!(!origins.allows(origin, Some(host)), "{origin} at {host}");
        }
        assert!(!origins.allows("http://localhost:4000", None));
    }

    #[test]
    fn a_star_allows_every_origin_that_is_one() {
        let origins = Origins::parse("*").unwrap();
        assert!(origins.allows("https://any.example:8443", None));
        for refused in [
            "null",
            "",
            "*",
            "https://",
            "://a",
            "https://a b",
            "https://a/path",
            "https://user@a",
            "https://a:port",
            "https://a:99999",
            "https://a:+1",
            "https://[::1",
            "https://a, https://b",
        ] {
            assert!(!origins.allows(refused, Some("a")), "{refused}");
        }
    }

    #[test]
    fn an_entry_that_is_no_origin_is_named() {
        assert_eq!(
            Origins::parse("http://a,chat.example"),
            Err(InvalidOrigin("chat.example".to_owned()))
        );
        assert!(Origins::parse("https://a/path").is_err());
    }
}
