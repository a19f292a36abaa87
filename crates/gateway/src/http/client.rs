//! Where a request comes from, as far as limits go by it.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;

/// What stands for the address of a request without a connection (a test).
pub const UNKNOWN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The address at the other end of the connection. Headers that claim another one are not believed.
#[must_use]
pub fn address(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(UNKNOWN_ADDRESS, |peer| peer.ip())
}
