//! What this node has accepted and is announcing: since when, and under which span. So what comes back from the backplane
//! is known for this node's own, and its way to the clients can be measured by one clock.

use carillon_protocol::id::ObjectId;
use dashmap::DashMap;
use tokio::time::Instant;
use tracing::Span;

/// Messages and notifications on their way from a client of this node to its sockets, by id.
#[derive(Debug, Default)]
pub struct Accepted(DashMap<ObjectId, (Instant, Span)>);

/// On its way until this is dropped.
#[derive(Debug)]
#[must_use = "it is on its way only as long as this lives"]
pub(super) struct OnItsWay<'a> {
    accepted: &'a Accepted,
    id: ObjectId,
}

impl Accepted {
    /// A message or notification that was accepted at `since` is announced from now on, within the current span.
    pub(super) fn announce(&self, id: ObjectId, since: Instant) -> OnItsWay<'_> {
        self.0.insert(id, (since, Span::current()));
        OnItsWay { accepted: self, id }
    }

    /// When this node accepted it, and under which span it is announced; `None` where it is another node's.
    #[must_use]
    pub fn get(&self, id: ObjectId) -> Option<(Instant, Span)> {
        self.0.get(&id).map(|entry| entry.value().clone())
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.accepted.0.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_while_it_is_announced() {
        let (accepted, id, since) = (Accepted::default(), ObjectId::from_bytes([7; 12]), Instant::now());
        let on_its_way = accepted.announce(id, since);
        assert_eq!(accepted.get(id).map(|(at, _)| at), Some(since));
        drop(on_its_way);
        assert!(accepted.get(id).is_none() && accepted.0.is_empty());
    }
}
