//! What clients ask for over sockets, and what comes of messages, notifications, typing and presence.

use std::time::Duration;

use carillon_protocol::{presence::Status, problem::Code};
use prometheus::{Histogram, IntCounter, Result};

use super::series::{Maker, Series};

/// Events that clients may send; any other counts as the last.
pub(super) const EVENTS: [&str; 8] = [
    "joinChat",
    "leaveChat",
    "sendMessage",
    "markMessageRead",
    "typing",
    "getOnlineUsers",
    "refreshToken",
    "other",
];
/// What may come of what a client asks for, as labels.
pub(super) const OUTCOMES: [&str; 3] = ["ok", "client_error", "server_error"];
const SEND: &str = "sendMessage";
/// Messages come over sockets alone.
const SOURCES: &[&str] = &["socket"];
const SOCKET: usize = 0;
/// Notifications go to sockets and inboxes alone.
const CHANNELS: &[&str] = &["in_app"];
const IN_APP: usize = 0;

/// The name of an event as metrics and traces know it; `other` for what a client has made up.
#[must_use]
pub fn known_event(name: &str) -> &'static str {
    let [.., other] = EVENTS;
    EVENTS.into_iter().find(|event| *event == name).unwrap_or(other)
}

/// What came of something that a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// The client was wrong, or too quick.
    ClientError,
    /// This side failed.
    ServerError,
}

impl Outcome {
    /// What a refusal with this code is.
    #[must_use]
    pub const fn of(failure: Option<Code>) -> Self {
        match failure {
            None => Self::Ok,
            Some(Code::Internal | Code::Unavailable) => Self::ServerError,
            Some(
                Code::Invalid
                | Code::Unauthorized
                | Code::Forbidden
                | Code::NotFound
                | Code::MethodNotAllowed
                | Code::TooLarge
                | Code::UnsupportedMediaType
                | Code::RateLimited
                | Code::TokenExpired,
            ) => Self::ClientError,
        }
    }
}

/// What came of a message that was good to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is stored.
    Ok,
    /// It was stored before.
    Duplicate,
    /// It was refused for what it says, or for coming too soon.
    ClientError,
    /// It could not be stored.
    ServerError,
}

/// What came of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationOutcome {
    /// It is stored and was given to those of its user's sockets that there are.
    Live,
    /// It is stored alone, as the backplane failed.
    Stored,
    /// It could not be stored.
    Failed,
}

/// What happened to a hole in the order of a chat's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// It was filled from the store.
    Repaired,
    /// It stays: clients see it by `seq` and ask for what is missing.
    Resync,
}

/// Metrics of what clients do.
#[derive(Debug)]
pub struct Events {
    events: Series<IntCounter, 2>,
    durations: Series<Histogram, 1>,
    sends: Series<IntCounter, 2>,
    send_durations: Series<Histogram, 1>,
    sizes: Histogram,
    fanout: Histogram,
    gaps: Series<IntCounter, 1>,
    typing: Series<IntCounter, 1>,
    notifications: Series<IntCounter, 2>,
    dispatch: Series<Histogram, 1>,
    presence: Series<IntCounter, 1>,
    suppressed: IntCounter,
}

impl Events {
    pub(super) fn new(maker: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            events: maker.counters(
                "events_total",
                "Events of clients that were answered.",
                [("event", &EVENTS), ("outcome", &OUTCOMES)],
            )?,
            durations: maker.durations(
                "event_duration_seconds",
                "From the receipt of a client's event to its answer.",
                [("event", &EVENTS)],
            )?,
            sends: maker.counters(
                "message_sends_total",
                "Messages that clients sent.",
                [
                    ("source", SOURCES),
                    ("outcome", &["ok", "duplicate", "client_error", "server_error"]),
                ],
            )?,
            send_durations: maker.durations(
                "message_send_duration_seconds",
                "From the acceptance of a message until it is durable and announced.",
                [("source", SOURCES)],
            )?,
            sizes: maker.sizes("message_size_bytes", "Length of the text of accepted messages.")?,
            fanout: maker.counts(
                "message_fanout_recipients",
                "Connections of this node that a message went to.",
            )?,
            gaps: maker.counters(
                "sequence_gaps_total",
                "Holes found in the order of a chat's messages.",
                [("action", &["repaired", "resync"])],
            )?,
            typing: maker.counters(
                "typing_events_total",
                "Typing signals that were good to be passed on.",
                [("action", &["forwarded", "dropped"])],
            )?,
            notifications: maker.counters(
                "notifications_total",
                "Notifications created, those that come with messages among them.",
                [("channel", CHANNELS), ("outcome", &["live", "stored", "failed"])],
            )?,
            dispatch: maker.durations(
                "notification_dispatch_duration_seconds",
                "From the acceptance of a notification that was created by itself until it is durable and announced.",
                [("channel", CHANNELS)],
            )?,
            presence: maker.counters(
                "presence_transitions_total",
                "Changes of users' presence that this node announced.",
                [("to", &["online", "offline"])],
            )?,
            suppressed: maker.counter(
                "presence_suppressed_total",
                "Users who came back so soon that nobody was told.",
            )?,
        })
    }

    /// An event of a client was answered: how long that took, and the kind of its refusal, if it was refused.
    pub fn answered(&self, name: &str, failure: Option<Code>, took: Duration) {
        let last = EVENTS.len() - 1;
        let event = EVENTS.iter().position(|event| *event == name).unwrap_or(last);
        let outcome = Outcome::of(failure);
        self.events.inc([event, outcome as usize]);
        self.durations.observe([event], took);
        // What was accepted is counted by whoever sends it.
        if outcome == Outcome::ClientError && name == SEND {
            self.sends.inc([SOCKET, SendOutcome::ClientError as usize]);
        }
    }

    /// A message that was accepted, of so many bytes, is sent or could not be.
    #[expect(clippy::cast_precision_loss, reason = "messages are short")]
    pub fn sent(&self, outcome: SendOutcome, bytes: usize, took: Duration) {
        self.sends.inc([SOCKET, outcome as usize]);
        self.send_durations.observe([SOCKET], took);
        self.sizes.observe(bytes as f64);
    }

    /// A message went to so many connections of this node.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a node has far fewer than 2^52 connections"
    )]
    pub fn fanned_out(&self, recipients: usize) {
        self.fanout.observe(recipients as f64);
    }

    /// A hole in a chat's order was found.
    pub fn gap(&self, gap: Gap) {
        self.gaps.inc([gap as usize]);
    }

    /// A typing signal was passed on, or could not be.
    pub fn typing(&self, is_forwarded: bool) {
        self.typing.inc([usize::from(!is_forwarded)]);
    }

    /// A notification came with a message, or was created.
    pub fn notified(&self, outcome: NotificationOutcome) {
        self.notifications.inc([IN_APP, outcome as usize]);
    }

    /// A notification was created by itself, and is announced as far as it can be.
    pub fn dispatched(&self, took: Duration) {
        self.dispatch.observe([IN_APP], took);
    }

    /// A user's change is announced.
    pub fn presence(&self, to: Status) {
        self.presence.inc([match to {
            Status::Online => 0,
            Status::Offline => 1,
        }]);
    }

    /// A user came back before anybody was told of its going.
    pub fn presence_suppressed(&self) {
        self.suppressed.inc();
    }
}
