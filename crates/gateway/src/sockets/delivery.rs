//! Giving events to this node's sockets, and measuring how long messages and notifications took to them.

use std::{sync::Arc, time::Duration};

use carillon_protocol::{
    adapter::{Broadcast, Offset},
    id::ObjectId,
    time::Timestamp,
    value::Value,
};
use carillon_socketio::{Hub, Path, Tracked};
use tokio::time::Instant;

use crate::{
    clock::Clock,
    services::accepted::Accepted,
    telemetry::{Metrics, traces},
};

use super::Peer;

/// The way to this node's sockets.
pub struct Delivery {
    /// This node's sockets.
    pub hub: Arc<Hub<Peer>>,
    /// What this node's clients have just sent.
    pub accepted: Arc<Accepted>,
    /// The time, for what other nodes' clients have sent.
    pub clock: Arc<dyn Clock>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

/// A message or notification, as far as its way is measured.
#[derive(Debug, PartialEq, Eq)]
struct Told<'a> {
    is_message: bool,
    id: ObjectId,
    /// By its node's clock.
    at: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn of(broadcast: &'a Broadcast) -> Option<Self> {
        let [Value::String(name), payload, ..] = &*broadcast.event else {
            return None;
        };
        let is_message = match &**name {
            "receiveMessage" => true,
            "notification" => false,
            _ => return None,
        };
        let text = |key| payload.get(key).and_then(Value::as_text).map(|text| &**text);
        let message = text("messageId");
        Some(Self {
            is_message,
            id: ObjectId::parse(message.or_else(|| text("notifId"))?)?,
            // Whoever creates a notification by itself may date it back.
            at: message.and_then(|_| text("timestamp")),
        })
    }
}

impl Delivery {
    /// Gives an event to the sockets that it is for.
    pub fn deliver(&self, broadcast: &Broadcast, offset: Option<Offset>) {
        let Some(told) = Told::of(broadcast) else {
            self.hub.deliver(broadcast, offset);
            return;
        };
        let (tracked, parent) = match self.accepted.get(told.id) {
            Some((since, span)) => (track(Path::Local, since), Some(span)),
            None => (self.by_time_of(&told, Path::Remote), None),
        };
        let _span = traces::delivery_span(parent.as_ref(), told.is_message).entered();
        let recipients = self.hub.deliver_tracked(broadcast, offset, tracked);
        if told.is_message {
            self.metrics.events.fanned_out(recipients);
        }
    }

    /// What a client missed, as far as its way is measured.
    #[must_use]
    pub fn recovered(&self, broadcast: &Broadcast) -> Option<Tracked> {
        self.by_time_of(&Told::of(broadcast)?, Path::Recovery)
    }

    /// Since the time that a message says itself; its node's clock is taken to be right, this node's is corrected.
    fn by_time_of(&self, told: &Told<'_>, path: Path) -> Option<Tracked> {
        let at = Timestamp::parse(told.at?)?;
        let skew = self.metrics.cluster.clock_skew_millis();
        let now = self.clock.now().as_millis().saturating_sub(skew);
        let age = u64::try_from(now.saturating_sub(at.as_millis())).unwrap_or(0);
        track(path, Instant::now().checked_sub(Duration::from_millis(age))?)
    }
}

const fn track(path: Path, since: Instant) -> Option<Tracked> {
    Some(Tracked { path, since })
}

#[cfg(test)]
mod tests {
    use carillon_protocol::event;
    use carillon_socketio::Counters;

    use super::*;
    use crate::services::{
        broadcast,
        presence::Scope,
        testing::{Node, user},
    };

    #[tokio::test(start_paused = true)]
    async fn what_another_node_accepted_is_as_old_as_it_says() {
        let node = Node::new(Scope::All);
        node.clock.set(10_000);
        let message = node.say("bob", "ann", "hello").await;
        let told = broadcast(
            event::receive_message(&message),
            vec![message.pair().room()],
            vec![],
        );
        let delivery = Delivery {
            hub: Arc::new(Hub::new(Arc::new(Counters::default()))),
            accepted: Arc::clone(&node.services.accepted),
            clock: node.clock.clone(),
            metrics: Arc::clone(&node.metrics),
        };
        node.clock.set(10_250);
        // It has to be possible at all that something happened so long ago.
        tokio::time::advance(Duration::from_secs(1)).await;

        let age = |path| {
            let tracked = delivery.by_time_of(&Told::of(&told).unwrap(), path).unwrap();
            (tracked.path, tracked.since.elapsed().as_millis())
        };
        assert_eq!(age(Path::Remote), (Path::Remote, 250));
        assert_eq!(delivery.recovered(&told).unwrap().path, Path::Recovery);

        delivery.metrics.cluster.clock_is_ahead(200);
        assert_eq!(age(Path::Remote), (Path::Remote, 50));
        delivery.metrics.cluster.clock_is_ahead(400);
        assert_eq!(age(Path::Remote), (Path::Remote, 0));
    }

    #[tokio::test]
    async fn messages_and_notifications_alone_are_measured() {
        let node = Node::new(Scope::All);
        let message = node.say("bob", "ann", "hello").await;
        let notification = node.services.notifications.unread(&user("ann"), 1).await.unwrap();
        let notification = notification.into_iter().next().unwrap();
        let of = |event| Told::of(&broadcast(event, vec![], vec![])).map(|told| (told.is_message, told.id));

        assert_eq!(of(event::receive_message(&message)), Some((true, message.id)));
        assert_eq!(
            of(event::message_notification(&message, notification.content.id)),
            Some((false, message.id))
        );
        assert_eq!(
            of(event::created_notification(&notification)),
            Some((false, notification.content.id))
        );
        let at = node.clock.now();
        assert_eq!(of(event::user_typing(&user("bob"), true, at)), None);
        assert_eq!(of(vec![Value::from("receiveMessage"), Value::Null]), None);
        assert_eq!(of(vec![]), None);
    }
}
