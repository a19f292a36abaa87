//! What is kept with each socket, and what of it goes along when its session moves to another node.

use std::time::Duration;

use carillon_protocol::{
    id::UserId,
    time::Timestamp,
    value::{Object, Value},
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::ConnectionSlot;

/// How long after a session was resumed it cannot be taken from a connection that lives.
const RIVAL_WINDOW: Duration = Duration::from_secs(10);
/// How often a client that goes on asking too often is told so, where nothing but an ack answers what it asks.
const THROTTLED_PAUSE: Duration = Duration::from_secs(1);

/// What is kept with each socket.
#[derive(Debug)]
pub struct Peer {
    user: UserId,
    connected_at: Timestamp,
    /// When its token expires, as far as the connection goes by it.
    expires_at: Mutex<Option<Timestamp>>,
    /// When it took over the session of an earlier connection.
    resumed_at: Option<Instant>,
    /// Its place among the connections of its user; given back when another connection takes over.
    slot: Mutex<Option<ConnectionSlot>>,
    /// When it was last told that it asks too often.
    throttled_at: Mutex<Option<Instant>>,
}

/// A peer that comes from another node, without a place yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) user: UserId,
    connected_at: Timestamp,
    expires_at: Option<Timestamp>,
    resumed_at: Option<Instant>,
}

impl Peer {
    /// A peer that connects now; `is_resumed` where it takes over an earlier connection's session.
    pub(super) fn new(
        user: UserId,
        now: Timestamp,
        expires_at: Option<Timestamp>,
        is_resumed: bool,
        slot: ConnectionSlot,
    ) -> Self {
        Self {
            user,
            connected_at: now,
            expires_at: Mutex::new(expires_at),
            resumed_at: is_resumed.then(Instant::now),
            slot: Mutex::new(Some(slot)),
            throttled_at: Mutex::default(),
        }
    }

    /// Whose socket it is.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// When it connected.
    #[must_use]
    pub const fn connected_at(&self) -> Timestamp {
        self.connected_at
    }

    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        *self.expires_at.lock()
    }

    pub(super) fn renew(&self, expires_at: Option<Timestamp>) {
        *self.expires_at.lock() = expires_at;
    }

    /// Gives its place back: another connection takes over, and with it the session's record.
    pub(super) fn supersede(&self) {
        self.slot.lock().take();
    }

    pub(super) fn is_superseded(&self) -> bool {
        self.slot.lock().is_none()
    }

    /// Whether it is to be told now that it asks too often: once in a while, however often it does.
    pub(super) fn tell_throttled(&self) -> bool {
        let mut told = self.throttled_at.lock();
        let is_due = told.is_none_or(|at| at.elapsed() >= THROTTLED_PAUSE);
        if is_due {
            *told = Some(Instant::now());
        }
        is_due
    }

    /// Whether it took the session over a moment ago: who asks for the same one now is a rival, not its return.
    pub(super) fn has_just_resumed(&self) -> bool {
        self.resumed_at.is_some_and(|at| at.elapsed() < RIVAL_WINDOW)
    }

    /// What goes along to another node. It holds no token.
    pub(super) fn pack(&self) -> Value {
        let mut packed = Object::with_capacity(4)
            .with("user", &self.user)
            .with("connectedAt", self.connected_at.as_millis());
        if let Some(at) = self.expires_at() {
            packed.push("expiresAt", at.as_millis());
        }
        if let Some(at) = self.resumed_at {
            let elapsed = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
            packed.push("sinceResumed", elapsed);
        }
        Value::Object(packed)
    }
}

impl Packed {
    /// Reads what [`Peer::pack`] wrote.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let number = |key| match value.get(key) {
            Some(Value::Int(number)) => Some(*number),
            Some(Value::UInt(number)) => i64::try_from(*number).ok(),
            _ => None,
        };
        let ago =
            |millis: i64| Instant::now().checked_sub(Duration::from_millis(u64::try_from(millis).ok()?));
        Some(Self {
            user: UserId::from_value(value.get("user")?).ok()?,
            connected_at: number("connectedAt").map(Timestamp::from_millis)?,
            expires_at: number("expiresAt").map(Timestamp::from_millis),
            resumed_at: number("sinceResumed").and_then(ago),
        })
    }

    /// The peer on this node.
    pub(super) fn into_peer(self, slot: ConnectionSlot) -> Peer {
        Peer {
            user: self.user,
            connected_at: self.connected_at,
            expires_at: Mutex::new(self.expires_at),
            resumed_at: self.resumed_at,
            slot: Mutex::new(Some(slot)),
            throttled_at: Mutex::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capacity::Capacity, limits::Limits, settings::LimitSettings};

    fn slot() -> ConnectionSlot {
        let limits = Limits::new(&LimitSettings::default(), &Capacity::of(1_024, None));
        limits.connection(&UserId::parse("ann").unwrap()).unwrap()
    }

    fn peer(expires_at: Option<i64>, is_resumed: bool) -> Peer {
        let (ann, now) = (UserId::parse("ann").unwrap(), Timestamp::from_millis(5));
        Peer::new(
            ann,
            now,
            expires_at.map(Timestamp::from_millis),
            is_resumed,
            slot(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_the_same_on_another_node() {
        let resumed = peer(None, true);
        tokio::time::advance(Duration::from_secs(9)).await;
        resumed.renew(Some(Timestamp::from_millis(9_000)));
        let bytes = Value::from_msgpack(&resumed.pack().to_msgpack().into()).unwrap();

        let moved = Packed::read(&bytes).unwrap().into_peer(slot());

        assert_eq!(
            (moved.user(), moved.connected_at()),
            (resumed.user(), resumed.connected_at())
        );
        assert_eq!(moved.expires_at(), Some(Timestamp::from_millis(9_000)));
        assert!(moved.has_just_resumed() && !moved.is_superseded());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!moved.has_just_resumed());
        assert_eq!(Packed::read(&peer(None, false).pack()).unwrap().expires_at, None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_too_often_is_told_once_a_second() {
        let peer = peer(None, false);
        assert!(peer.tell_throttled() && !peer.tell_throttled());
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(!peer.tell_throttled());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(peer.tell_throttled() && !peer.tell_throttled());
    }

    #[test]
    fn what_is_no_peer_is_refused() {
        for text in [
            "null",
            "[]",
            "{}",
            r#"{"user":"","connectedAt":1}"#,
            r#"{"user":"ann"}"#,
        ] {
            assert_eq!(Packed::read(&Value::from_json(text).unwrap()), None, "{text}");
        }
    }
}
