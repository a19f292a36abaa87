//! How much one user or one address may do on this node: messages, requests, connections.
//!
//! Rates are token buckets (GCRA, the `governor` crate), connections are counted. An IPv6 address counts by its /64,
//! the least that one subscriber gets. `CARILLON_LIMITS=off` lifts all of it; what bounds a single connection (payload,
//! queue) is elsewhere and stays. Whoever refuses tells the client `retryAfterMs`.

mod count;

use std::{
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use carillon_protocol::id::UserId;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::DefaultKeyedStateStore,
};

use crate::settings::LimitSettings;
use count::{Count, Counted};

/// When a connection may be free again is not known: a retry after this time is worth it, in milliseconds.
const RETRY_CONNECTION_MS: u64 = 1_000;

type Buckets<K, C> = RateLimiter<K, DefaultKeyedStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Too much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much at once, worth a retry after {millis} ms")]
pub struct RetryAfter {
    /// After what time a retry is worth it, in milliseconds, at least 1.
    pub millis: u64,
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Messages of a user.
    Messages,
    /// Requests of an address.
    AddressRequests,
    /// Polls and posts of a user.
    UserRequests,
    /// Connections of a user at once.
    UserConnections,
    /// Connections of an address at once.
    AddressConnections,
    /// New connections of an address.
    ConnectionRate,
}

/// All limits of a node, by a clock that tests can set.
pub struct Limits<C: Clock = DefaultClock> {
    enabled: bool,
    clock: C,
    messages: Buckets<UserId, C>,
    address_requests: Buckets<IpAddr, C>,
    user_requests: Buckets<UserId, C>,
    new_connections: Buckets<IpAddr, C>,
    user_connections: Count<UserId>,
    address_connections: Count<IpAddr>,
    refused: [AtomicU64; Limit::ALL.len()],
}

/// A place among the connections of a user and of an address; dropping it frees both.
#[derive(Debug)]
#[must_use = "the place is free as soon as this is dropped"]
pub struct ConnectionSlot {
    /// None where limits are off.
    _counted: Option<(Counted<UserId>, Counted<IpAddr>)>,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 6] = [
        Self::Messages,
        Self::AddressRequests,
        Self::UserRequests,
        Self::UserConnections,
        Self::AddressConnections,
        Self::ConnectionRate,
    ];

    /// What it is counted by, as metrics name it.
    #[must_use]
    pub const fn scope(self) -> &'static str {
        match self {
            Self::Messages | Self::UserRequests | Self::UserConnections => "user",
            Self::AddressRequests | Self::AddressConnections | Self::ConnectionRate => "ip",
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::AddressRequests => "address_requests",
            Self::UserRequests => "user_requests",
            Self::UserConnections => "user_connections",
            Self::AddressConnections => "address_connections",
            Self::ConnectionRate => "connection_rate",
        }
    }
}

impl Limits {
    /// Limits as they are set, by the machine's clock.
    #[must_use]
    pub fn new(settings: &LimitSettings) -> Self {
        Self::with_clock(settings, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with_clock(settings: &LimitSettings, clock: C) -> Self {
        let per_second = |rate: NonZeroU32| Quota::per_second(rate);
        let messages = per_second(settings.message_rate).allow_burst(settings.message_burst);
        Self {
            enabled: settings.enabled,
            messages: buckets(messages, &clock),
            address_requests: buckets(per_second(settings.request_rate), &clock),
            user_requests: buckets(per_second(settings.request_rate), &clock),
            new_connections: buckets(per_second(settings.connection_rate), &clock),
            user_connections: Count::new(settings.user_connections),
            address_connections: Count::new(settings.address_connections),
            refused: Default::default(),
            clock,
        }
    }

    /// Takes one message from the user's bucket.
    ///
    /// # Errors
    /// [`RetryAfter`] where it is empty; the message then costs nothing.
    pub fn message(&self, user: &UserId) -> Result<(), RetryAfter> {
        self.take(Limit::Messages, &self.messages, user)
    }

    /// Takes one request from the address's bucket.
    ///
    /// # Errors
    /// [`RetryAfter`] where it is empty.
    pub fn request(&self, address: IpAddr) -> Result<(), RetryAfter> {
        self.take(
            Limit::AddressRequests,
            &self.address_requests,
            &subscriber(address),
        )
    }

    /// Takes one poll or post of an open session from its user's bucket.
    ///
    /// # Errors
    /// [`RetryAfter`] where it is empty.
    pub fn user_request(&self, user: &UserId) -> Result<(), RetryAfter> {
        self.take(Limit::UserRequests, &self.user_requests, user)
    }

    /// A place for a new connection of the user from the address.
    ///
    /// # Errors
    /// [`RetryAfter`] where the user or the address holds all it may, or the address opened too many just now.
    pub fn connection(&self, address: IpAddr, user: &UserId) -> Result<ConnectionSlot, RetryAfter> {
        if !self.enabled {
            return Ok(ConnectionSlot { _counted: None });
        }
        let address = subscriber(address);
        let full = |limit| move || self.refuse(limit, RETRY_CONNECTION_MS);
        let of_user = self
            .user_connections
            .hold(user.clone())
            .ok_or_else(full(Limit::UserConnections))?;
        let of_address = self
            .address_connections
            .hold(address)
            .ok_or_else(full(Limit::AddressConnections))?;
        self.take(Limit::ConnectionRate, &self.new_connections, &address)?;
        Ok(ConnectionSlot {
            _counted: Some((of_user, of_address)),
        })
    }

    /// Forgets buckets that are full again. Whoever owns the limits calls it on a timer, so that memory follows those
    /// who were here lately, not all who ever were.
    pub fn sweep(&self) {
        sweep(&self.messages);
        sweep(&self.address_requests);
        sweep(&self.user_requests);
        sweep(&self.new_connections);
    }

    /// How often each limit refused something since the start.
    pub fn refused(&self) -> impl Iterator<Item = (Limit, u64)> {
        Limit::ALL
            .into_iter()
            .zip(self.refused.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    fn take<K: Hash + Eq + Clone>(
        &self,
        limit: Limit,
        buckets: &Buckets<K, C>,
        key: &K,
    ) -> Result<(), RetryAfter> {
        if !self.enabled {
            return Ok(());
        }
        buckets.check_key(key).map_err(|not_until| {
            let wait = not_until
                .wait_time_from(self.clock.now())
                .as_micros()
                .div_ceil(1_000);
            self.refuse(limit, u64::try_from(wait).unwrap_or(u64::MAX).max(1))
        })
    }

    fn refuse(&self, limit: Limit, millis: u64) -> RetryAfter {
        for (known, count) in Limit::ALL.iter().zip(&self.refused) {
            if *known == limit {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        RetryAfter { millis }
    }
}

impl<C: Clock> fmt::Debug for Limits<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

fn buckets<K: Hash + Eq + Clone, C: Clock + Clone>(quota: Quota, clock: &C) -> Buckets<K, C> {
    RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock.clone())
}

fn sweep<K: Hash + Eq + Clone, C: Clock>(buckets: &Buckets<K, C>) {
    buckets.retain_recent();
    buckets.shrink_to_fit();
}

/// What of an address stands for one subscriber: IPv4 as it is, of IPv6 the first 64 bits.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Bounds the requests of an address.
pub trait RequestQuota: Send + Sync {
    /// Counts one request.
    ///
    /// # Errors
    /// Where there are too many: after how many milliseconds a retry is worth it.
    fn request(&self, address: IpAddr) -> Result<(), u64>;

    /// Counts one poll or post of a session that belongs to `user`, in place of the address it comes from.
    ///
    /// # Errors
    /// As [`RequestQuota::request`].
    fn session_request(&self, user: &UserId) -> Result<(), u64>;
}

/// Bounds the messages of a user.
pub trait MessageQuota: Send + Sync {
    /// Counts one message.
    ///
    /// # Errors
    /// Where there are too many: after how many milliseconds a retry is worth it.
    fn message(&self, user: &UserId) -> Result<(), u64>;
}

impl RequestQuota for Limits {
    fn request(&self, address: IpAddr) -> Result<(), u64> {
        Self::request(self, address).map_err(|refusal| refusal.millis)
    }

    fn session_request(&self, user: &UserId) -> Result<(), u64> {
        self.user_request(user).map_err(|refusal| refusal.millis)
    }
}

impl MessageQuota for Limits {
    fn message(&self, user: &UserId) -> Result<(), u64> {
        Self::message(self, user).map_err(|refusal| refusal.millis)
    }
}

#[cfg(test)]
mod tests;
