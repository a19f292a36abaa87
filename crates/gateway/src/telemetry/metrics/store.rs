//! What the store does, and how long it takes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus::{Gauge, Histogram, IntCounter, IntGauge, Result};
use tokio::time::Instant;

use super::series::{Label, Maker, Series, set};

const RESULTS: Label<'_> = ("result", &["ok", "error"]);

/// An operation of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the store's methods")]
pub enum StoreOp {
    AppendMessage,
    MarkAnnounced,
    HistoryPage,
    HistoryAfter,
    MarkMessageRead,
    MarkChatRead,
    CreateNotification,
    UnreadNotifications,
    NotificationStats,
    Notification,
    MarkNotificationRead,
    MarkNotificationsRead,
    DeleteNotification,
    DeleteNotificationsBefore,
    ChatsOf,
    UnreadCount,
    ChatIsKnown,
    AreContacts,
    Contacts,
    Ping,
    Flush,
}

impl StoreOp {
    /// Every operation, in the order of the variants.
    pub const ALL: [Self; 21] = [
        Self::AppendMessage,
        Self::MarkAnnounced,
        Self::HistoryPage,
        Self::HistoryAfter,
        Self::MarkMessageRead,
        Self::MarkChatRead,
        Self::CreateNotification,
        Self::UnreadNotifications,
        Self::NotificationStats,
        Self::Notification,
        Self::MarkNotificationRead,
        Self::MarkNotificationsRead,
        Self::DeleteNotification,
        Self::DeleteNotificationsBefore,
        Self::ChatsOf,
        Self::UnreadCount,
        Self::ChatIsKnown,
        Self::AreContacts,
        Self::Contacts,
        Self::Ping,
        Self::Flush,
    ];

    /// Its name as a label and in traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AppendMessage => "append_message",
            Self::MarkAnnounced => "mark_announced",
            Self::HistoryPage => "history_page",
            Self::HistoryAfter => "history_after",
            Self::MarkMessageRead => "mark_message_read",
            Self::MarkChatRead => "mark_chat_read",
            Self::CreateNotification => "create_notification",
            Self::UnreadNotifications => "unread_notifications",
            Self::NotificationStats => "notification_stats",
            Self::Notification => "notification",
            Self::MarkNotificationRead => "mark_notification_read",
            Self::MarkNotificationsRead => "mark_notifications_read",
            Self::DeleteNotification => "delete_notification",
            Self::DeleteNotificationsBefore => "delete_notifications_before",
            Self::ChatsOf => "chats_of",
            Self::UnreadCount => "unread_count",
            Self::ChatIsKnown => "chat_is_known",
            Self::AreContacts => "are_contacts",
            Self::Contacts => "contacts",
            Self::Ping => "ping",
            Self::Flush => "flush",
        }
    }

    const fn writes(self) -> bool {
        matches!(
            self,
            Self::AppendMessage
                | Self::MarkMessageRead
                | Self::MarkChatRead
                | Self::CreateNotification
                | Self::MarkNotificationRead
                | Self::MarkNotificationsRead
                | Self::DeleteNotification
                | Self::DeleteNotificationsBefore
        )
    }
}

/// Metrics of the store. Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    operations: Series<IntCounter, 2>,
    durations: Series<Histogram, 1>,
    depth: IntGauge,
    oldest: Gauge,
    pending: Arc<Mutex<Pending>>,
}

/// Writes that are not durable yet, in the order in which they came.
#[derive(Debug, Default)]
struct Pending {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// An operation under way. Dropped without an end, whoever asked for it has gone.
#[derive(Debug)]
pub struct Operation<'a> {
    metrics: &'a StoreMetrics,
    op: StoreOp,
    begun: Instant,
    pending: Option<u64>,
}

impl StoreMetrics {
    pub(super) fn new(maker: &Maker<'_>) -> Result<Self> {
        let names = StoreOp::ALL.map(StoreOp::as_str);
        let queue: Label<'_> = ("queue", &["store"]);
        let depth = maker.gauges("write_queue_depth", "Writes that wait to be durable.", [queue])?;
        let oldest = maker.seconds_gauges(
            "write_queue_oldest_age_seconds",
            "How long the oldest of them waits.",
            [queue],
        )?;
        let missing = || prometheus::Error::Msg("a metric without series".to_owned());
        Ok(Self {
            operations: maker.counters(
                "store_operations_total",
                "Operations of the store.",
                [("op", &names), RESULTS],
            )?,
            durations: maker.durations(
                "store_operation_duration_seconds",
                "How long operations of the store took.",
                [("op", &names)],
            )?,
            depth: depth.at([0]).cloned().ok_or_else(missing)?,
            oldest: oldest.at([0]).cloned().ok_or_else(missing)?,
            pending: Arc::default(),
        })
    }

    /// An operation begins.
    #[must_use]
    pub fn begin(&self, op: StoreOp) -> Operation<'_> {
        let begun = Instant::now();
        let pending = op.writes().then(|| {
            let mut pending = self.pending.lock();
            pending.next += 1;
            let number = pending.next;
            pending.since.insert(number, begun);
            number
        });
        Operation {
            metrics: self,
            op,
            begun,
            pending,
        }
    }

    /// Sets the gauges to what they are now.
    pub(super) fn look(&self) {
        let pending = self.pending.lock();
        set(
            &self.depth,
            u64::try_from(pending.since.len()).unwrap_or(u64::MAX),
        );
        let oldest = pending
            .since
            .first_key_value()
            .map_or(Duration::ZERO, |(_, since)| since.elapsed());
        self.oldest.set(oldest.as_secs_f64());
    }
}

impl Operation<'_> {
    /// It has ended.
    pub fn end(self, is_ok: bool) {
        let op = self.op as usize;
        self.metrics.operations.inc([op, usize::from(!is_ok)]);
        self.metrics.durations.observe([op], self.begun.elapsed());
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.pending {
            self.metrics.pending.lock().since.remove(&number);
        }
    }
}
