//! Where a request comes from, as far as limits go by it.

mod network;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use actix_web::{HttpRequest, http::header::HeaderValue, web};

pub use network::Network;

/// What stands for the address of a request without a connection (a test).
pub const UNKNOWN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// Most hops of `X-Forwarded-For` that are looked at.
const MAX_HOPS: usize = 32;

/// Networks of proxies whose `X-Forwarded-For` is believed. Without any, nobody's is.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<[Network]>);

/// The address of the client: that at the other end of the connection, or what [`Proxies`] in the application's data
/// say about where the request comes from.
#[must_use]
pub fn address(request: &HttpRequest) -> IpAddr {
    let peer = request.peer_addr().map_or(UNKNOWN_ADDRESS, |peer| peer.ip());
    let Some(proxies) = request.app_data::<web::Data<Proxies>>() else {
        return peer;
    };
    let lines: Vec<_> = request
        .headers()
        .get_all("x-forwarded-for")
        .map(HeaderValue::as_bytes)
        .collect();
    proxies.client(peer, &lines)
}

impl Proxies {
    /// Networks and addresses, separated by commas; `None` where one of them is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(Network::parse).collect::<Option<_>>().map(Self)
    }

    /// Whether every address of a kind is taken for a proxy.
    #[must_use]
    pub fn has_everything(&self) -> bool {
        self.0.iter().any(Network::is_everything)
    }

    /// The client of a request: each proxy has written to the end of `X-Forwarded-For` whom it had the request from, so it
    /// is read from there as long as a proxy is believed. Where the list ends, or what is no address stands in it, it is the
    /// last that was believed.
    fn client(&self, peer: IpAddr, lines: &[&[u8]]) -> IpAddr {
        let mut client = peer.to_canonical();
        let hops = lines
            .iter()
            .rev()
            .flat_map(|line| line.rsplit(|byte| *byte == b','));
        for hop in hops.take(MAX_HOPS) {
            if !self.is_trusted(client) {
                break;
            }
            let Some(from) = hop_address(hop) else { break };
            client = from;
        }
        client
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl fmt::Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, network) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { "," };
            write!(f, "{separator}{network}")?;
        }
        Ok(())
    }
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = text.parse().ok().or_else(in_brackets).or_else(with_port);
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const PROXIES: &str = "10.0.0.0/8, fd00::/8, 192.0.2.7";

    fn client(peer: &str, lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        let proxies = Proxies::parse(PROXIES).unwrap();
        proxies.client(peer.parse().unwrap(), &lines).to_string()
    }

    #[rstest]
    #[case::nobody_is_trusted("198.51.100.1", &["203.0.113.9"], "198.51.100.1")]
    #[case::one_proxy("10.0.0.1", &["203.0.113.9"], "203.0.113.9")]
    #[case::two_proxies("10.0.0.1", &["203.0.113.9, 10.2.3.4"], "203.0.113.9")]
    #[case::what_the_client_made_up("10.0.0.1", &["10.9.9.9, 1.1.1.1, 203.0.113.9"], "203.0.113.9")]
    #[case::several_lines("10.0.0.1", &["1.1.1.1", "203.0.113.9", "192.0.2.7,10.2.3.4"], "203.0.113.9")]
    #[case::a_proxy_that_asks_itself("10.0.0.1", &["10.2.3.4, 10.2.3.5"], "10.2.3.4")]
    #[case::no_header("10.0.0.1", &[], "10.0.0.1")]
    #[case::an_empty_header("10.0.0.1", &[""], "10.0.0.1")]
    #[case::junk_at_the_end("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1")]
    #[case::junk_behind_a_proxy("10.0.0.1", &["203.0.113.9, _x, 10.2.3.4"], "10.2.3.4")]
    #[case::an_empty_hop("10.0.0.1", &["203.0.113.9,,10.2.3.4"], "10.2.3.4")]
    #[case::ports("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9")]
    #[case::ipv6("fd00::1", &["2001:db8::1"], "2001:db8::1")]
    #[case::ipv6_in_brackets("fd00::1", &["[2001:db8::1]"], "2001:db8::1")]
    #[case::ipv6_with_port("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1")]
    #[case::mapped_peer("::ffff:10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9")]
    #[case::mapped_peer_alone("::ffff:198.51.100.1", &["203.0.113.9"], "198.51.100.1")]
    fn the_client_is_the_last_that_no_proxy_is(
        #[case] peer: &str,
        #[case] lines: &[&str],
        #[case] expected: &str,
    ) {
        assert_eq!(client(peer, lines), expected);
    }

    #[test]
    fn no_more_hops_are_looked_at_than_there_may_be() {
        let line = format!("203.0.113.9{}", ",10.2.3.4".repeat(MAX_HOPS));
        assert_eq!(client("10.0.0.1", &[&line]), "10.2.3.4");
        assert_eq!(
            client("10.0.0.1", &[&line.replacen(",10.2.3.4", "", 1)]),
            "203.0.113.9"
        );
    }

    #[test]
    fn a_request_is_judged_by_all_its_lines_and_the_applications_proxies() {
        let request = |proxies: Option<&str>| {
            let request = TestRequest::default()
                .peer_addr("10.0.0.1:50000".parse().unwrap())
                .append_header(("X-Forwarded-For", "1.1.1.1"))
                .append_header(("x-forwarded-for", "203.0.113.9"));
            match proxies {
                Some(list) => request.app_data(web::Data::new(Proxies::parse(list).unwrap())),
                None => request,
            }
            .to_http_request()
        };
        assert_eq!(address(&request(Some(PROXIES))).to_string(), "203.0.113.9");
        assert_eq!(address(&request(Some(""))).to_string(), "10.0.0.1");
        assert_eq!(address(&request(None)).to_string(), "10.0.0.1");
    }

    #[test]
    fn lists_are_read_shown_and_judged() {
        assert_eq!(
            Proxies::parse(PROXIES).unwrap().to_string(),
            "10.0.0.0/8,fd00::/8,192.0.2.7"
        );
        assert!(Proxies::parse("10.0.0.0/8,proxy.example").is_none());
        assert!(!Proxies::parse(PROXIES).unwrap().has_everything());
        assert!(Proxies::parse("10.0.0.0/8,::/0").unwrap().has_everything());
    }

    proptest! {
        #[test]
        fn no_header_panics_and_a_peer_that_is_no_proxy_is_itself(
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4),
        ) {
            let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
            let proxies = Proxies::parse(PROXIES).unwrap();
            let _ = proxies.client("10.0.0.1".parse().unwrap(), &lines);
            let stranger: IpAddr = "198.51.100.1".parse().unwrap();
            prop_assert_eq!(proxies.client(stranger, &lines), stranger);
        }
    }
}
