//! Places among what may be open at once. Each is free again as soon as it is dropped.

use std::net::IpAddr;

use carillon_protocol::{
    id::UserId,
    problem::Code,
    value::{Object, Value},
};
use carillon_socketio::{Place, Refusal};

use super::{RetryAfter, count::Counted};

/// A place among the open sessions of the node and of an address. A session holds it from its opening, before anybody has
/// said who it is for.
#[derive(Debug)]
#[must_use = "the place is free as soon as this is dropped"]
pub struct SessionSlot {
    pub(super) _of_node: Counted<()>,
    /// None where limits are off.
    pub(super) _of_address: Option<Counted<IpAddr>>,
}

/// A place among the connections of a user.
#[derive(Debug)]
#[must_use = "the place is free as soon as this is dropped"]
pub struct ConnectionSlot {
    /// None where limits are off.
    pub(super) _of_user: Option<Counted<UserId>>,
}

/// What a session holds that is only opened to be told that there is no room.
#[derive(Debug)]
pub struct TurnedAway {
    pub(super) retry: RetryAfter,
    pub(super) _counted: Counted<()>,
}

impl RetryAfter {
    /// The contract's refusal of a connection too many.
    #[must_use]
    pub fn too_many_connections(self) -> Refusal {
        let data = Object::with_capacity(2)
            .with("code", Code::RateLimited.as_str())
            .with("retryAfterMs", self.millis);
        Refusal {
            message: String::from("Too many connections"),
            data: Some(Value::Object(data)),
        }
    }
}

impl Place for SessionSlot {
    fn refusal(&self) -> Option<Refusal> {
        None
    }
}

impl Place for TurnedAway {
    fn refusal(&self) -> Option<Refusal> {
        Some(self.retry.too_many_connections())
    }
}
