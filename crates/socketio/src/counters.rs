//! What has happened, counted: for whoever exports metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::session::{CloseReason, Transport};

/// Totals since the start. They only grow.
#[derive(Debug, Default)]
pub struct Counters {
    opened_polling: AtomicU64,
    opened_websocket: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
    pub(crate) arrived: AtomicU64,
    pub(crate) upgraded: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) delivered: AtomicU64,
}

impl Counters {
    pub(crate) fn opened(&self, transport: Transport) {
        let counter = match transport {
            Transport::Polling => &self.opened_polling,
            Transport::WebSocket => &self.opened_websocket,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self, reason: CloseReason) {
        for (known, counter) in CloseReason::ALL.iter().zip(&self.closed) {
            if *known == reason {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Sessions opened, by the transport that opened them.
    #[must_use]
    pub fn opened_by(&self, transport: Transport) -> u64 {
        match transport {
            Transport::Polling => self.opened_polling.load(Ordering::Relaxed),
            Transport::WebSocket => self.opened_websocket.load(Ordering::Relaxed),
        }
    }

    /// Sessions that came from other nodes.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Sessions ended, by reason.
    pub fn closed_by_reason(&self) -> impl Iterator<Item = (CloseReason, u64)> {
        CloseReason::ALL
            .into_iter()
            .zip(self.closed.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }

    /// Sessions that live.
    #[must_use]
    pub fn live(&self) -> u64 {
        let closed: u64 = self.closed_by_reason().map(|(_, count)| count).sum();
        let opened = self.opened_by(Transport::Polling) + self.opened_by(Transport::WebSocket);
        (opened + self.arrived()).saturating_sub(closed)
    }

    /// Sessions that went from polling to WebSocket.
    #[must_use]
    pub fn upgraded(&self) -> u64 {
        self.upgraded.load(Ordering::Relaxed)
    }

    /// Volatile packets that were dropped at a full queue.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Events put into a queue, once per socket.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }
}
