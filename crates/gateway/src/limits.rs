//! How much one user or one address may do on this node: messages, events, requests, connections; and how many connections
//! the node takes from all of them.
//!
//! Rates are token buckets (GCRA, the `governor` crate), connections are counted. An IPv6 address counts by its /64,
//! the least that one subscriber gets. `CARILLON_LIMITS=off` lifts what is per user and per address. What bounds the node's
//! memory stays: its own connections here, what bounds a single one (payload, queue) elsewhere. Whoever refuses tells the
//! client `retryAfterMs`.

mod count;
mod kind;
mod quota;
mod slots;

use std::{
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
};

use carillon_protocol::id::UserId;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::DefaultKeyedStateStore,
};

use crate::{capacity::Capacity, settings::LimitSettings};
use count::Count;
use kind::Refusals;

pub use kind::Limit;
pub use quota::{ChatQuota, EventQuota, RequestQuota};
pub use slots::{ConnectionSlot, SessionSlot, TurnedAway};

/// When a place may be free again is not known: a retry after this time is worth it, in milliseconds.
const RETRY_PLACE_MS: u64 = 1_000;

type Buckets<K, C> = RateLimiter<K, DefaultKeyedStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Too much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much at once, worth a retry after {millis} ms")]
pub struct RetryAfter {
    /// After what time a retry is worth it, in milliseconds, at least 1.
    pub millis: u64,
}

/// All limits of a node, by a clock that tests can set.
pub struct Limits<C: Clock = DefaultClock> {
    enabled: bool,
    clock: C,
    messages: Buckets<UserId, C>,
    events: Buckets<UserId, C>,
    address_requests: Buckets<IpAddr, C>,
    user_requests: Buckets<UserId, C>,
    new_sessions: Buckets<IpAddr, C>,
    user_connections: Count<UserId>,
    address_sessions: Count<IpAddr>,
    sessions: Count<()>,
    turned_away: Count<()>,
    joined_chats: usize,
    refusals: Refusals,
}

impl Limits {
    /// Limits as they are set, by the machine's clock.
    #[must_use]
    pub fn new(settings: &LimitSettings, capacity: &Capacity) -> Self {
        Self::with_clock(settings, capacity, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with_clock(settings: &LimitSettings, capacity: &Capacity, clock: C) -> Self {
        let per_second = |rate: NonZeroU32| Quota::per_second(rate);
        let messages = per_second(settings.message_rate).allow_burst(settings.message_burst);
        let events = per_second(settings.event_rate).allow_burst(settings.event_burst);
        Self {
            enabled: settings.enabled,
            messages: buckets(messages, &clock),
            events: buckets(events, &clock),
            address_requests: buckets(per_second(settings.request_rate), &clock),
            user_requests: buckets(per_second(settings.request_rate), &clock),
            new_sessions: buckets(per_second(settings.connection_rate), &clock),
            user_connections: Count::new(settings.user_connections),
            address_sessions: Count::new(settings.address_connections),
            sessions: Count::new(capacity.sessions),
            turned_away: Count::new(capacity.turned_away),
            joined_chats: usize::try_from(settings.joined_chats.get()).unwrap_or(usize::MAX),
            refusals: Refusals::default(),
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

    /// Takes one event from the user's bucket.
    ///
    /// # Errors
    /// [`RetryAfter`] where it is empty; the event then costs nothing.
    pub fn event(&self, user: &UserId) -> Result<(), RetryAfter> {
        self.take(Limit::Events, &self.events, user)
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

    /// A place for a session that is opened from the address.
    ///
    /// # Errors
    /// [`RetryAfter`] where the node or the address holds all it may, or the address opened too many just now.
    pub fn session(&self, address: IpAddr) -> Result<SessionSlot, RetryAfter> {
        let slot = self.arrival(address)?;
        self.take(Limit::ConnectionRate, &self.new_sessions, &subscriber(address))?;
        Ok(slot)
    }

    /// A place for a session that comes from another node, where it was opened.
    ///
    /// # Errors
    /// [`RetryAfter`] where the node or the address holds all it may.
    pub fn arrival(&self, address: IpAddr) -> Result<SessionSlot, RetryAfter> {
        let of_node = self.sessions.hold(());
        let of_node = of_node.ok_or_else(|| self.refuse(Limit::NodeConnections, RETRY_PLACE_MS))?;
        let full = || self.refuse(Limit::AddressConnections, RETRY_PLACE_MS);
        let of_address = self
            .enabled
            .then(|| self.address_sessions.hold(subscriber(address)).ok_or_else(full))
            .transpose()?;
        Ok(SessionSlot {
            _of_node: of_node,
            _of_address: of_address,
        })
    }

    /// What a session holds that is told `retry` in answer to its CONNECT. `None` where so many are being told that it must
    /// be refused before it is opened.
    pub fn turn_away(&self, retry: RetryAfter) -> Option<TurnedAway> {
        let counted = self.turned_away.hold(())?;
        Some(TurnedAway {
            retry,
            _counted: counted,
        })
    }

    /// A place for a connection of the user.
    ///
    /// # Errors
    /// [`RetryAfter`] where the user holds all it may.
    pub fn connection(&self, user: &UserId) -> Result<ConnectionSlot, RetryAfter> {
        let full = || self.refuse(Limit::UserConnections, RETRY_PLACE_MS);
        let of_user = self
            .enabled
            .then(|| self.user_connections.hold(user.clone()).ok_or_else(full))
            .transpose()?;
        Ok(ConnectionSlot { _of_user: of_user })
    }

    /// Whether a connection that has joined so many chats may join another one.
    ///
    /// # Errors
    /// [`RetryAfter`] where it may not, before it leaves one.
    pub fn chat(&self, joined: usize) -> Result<(), RetryAfter> {
        if joined < self.joined_chats {
            return Ok(());
        }
        Err(self.refuse(Limit::JoinedChats, RETRY_PLACE_MS))
    }

    /// Forgets buckets that are full again. Whoever owns the limits calls it on a timer, so that memory follows those
    /// who were here lately, not all who ever were.
    pub fn sweep(&self) {
        sweep(&self.messages);
        sweep(&self.events);
        sweep(&self.address_requests);
        sweep(&self.user_requests);
        sweep(&self.new_sessions);
    }

    /// How often each limit refused something since the start.
    pub fn refused(&self) -> impl Iterator<Item = (Limit, u64)> {
        self.refusals.all()
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
        self.refusals.count(limit);
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

#[cfg(test)]
mod tests;
