//! How the parts do that a node depends on, for `?verbose` and metrics.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use carillon_backplane::{Backplane, Health};
use carillon_store::Store;
use tokio_util::sync::CancellationToken;

use crate::{
    http::health::PartState,
    services::{Services, Waiting},
};

/// How often the store is asked whether it can be written to.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How the store and the backplane do. Before they are there they are waited for, as are keys that are fetched.
#[derive(Default)]
pub(super) struct States {
    has_keys: AtomicBool,
    store: OnceLock<AtomicBool>,
    backplane: OnceLock<Arc<dyn Backplane>>,
    services: OnceLock<Arc<Services>>,
}

impl States {
    /// The node has the keys that tokens are verified by.
    pub(super) fn has_keys(&self) {
        self.has_keys.store(true, Ordering::Relaxed);
    }

    /// The node has its store, and it works.
    pub(super) fn has_store(&self) {
        self.store.get_or_init(|| AtomicBool::new(true));
    }

    /// The node has its backplane.
    pub(super) fn has_backplane(&self, backplane: Arc<dyn Backplane>) {
        self.backplane.get_or_init(|| backplane);
    }

    /// The node has its use cases.
    pub(super) fn has_services(&self, services: Arc<Services>) {
        self.services.get_or_init(|| services);
    }

    /// What the other nodes are still to be told.
    pub(super) fn waiting(&self) -> Waiting {
        self.services
            .get()
            .map_or_else(Waiting::default, |services| services.waiting())
    }

    /// The states in words.
    pub(super) fn tell(&self) -> Vec<PartState> {
        let state = |is_up| match is_up {
            None => "waiting",
            Some(true) => "up",
            Some(false) => "down",
        };
        let backplane = self.backplane.get().map(|backplane| backplane.health().is_up);
        let has_keys = self.has_keys.load(Ordering::Relaxed);
        let mut states = vec![
            ("store", state(self.is_store_up())),
            ("backplane", state(backplane)),
        ];
        // Those that it has it keeps, whatever becomes of where they are from.
        states.extend((!has_keys).then_some(("keys", "waiting")));
        states
    }

    /// Whether the store could be written to lately; `None` before it is there.
    pub(super) fn is_store_up(&self) -> Option<bool> {
        self.store.get().map(|is_up| is_up.load(Ordering::Relaxed))
    }

    /// How the backplane does.
    pub(super) fn health(&self) -> Health {
        self.backplane
            .get()
            .map_or_else(Health::default, |backplane| backplane.health())
    }

    /// Asks the store now and then, until `stopping`.
    pub(super) async fn watch_store(&self, store: Arc<dyn Store>, stopping: CancellationToken) {
        let mut due = tokio::time::interval(INTERVAL);
        while stopping.run_until_cancelled(due.tick()).await.is_some() {
            self.ask_store(&*store).await;
        }
    }

    async fn ask_store(&self, store: &dyn Store) {
        let answer = tokio::time::timeout(PATIENCE, store.ping()).await;
        let is_up = matches!(answer, Ok(Ok(())));
        let was_up = self
            .store
            .get()
            .is_some_and(|state| state.swap(is_up, Ordering::Relaxed));
        match (was_up, is_up) {
            (true, false) => tracing::warn!("the store does not answer"),
            (false, true) => tracing::info!("the store answers again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use carillon_backplane::local::{LocalBackplane, LogBounds};

    use super::*;
    use crate::services::{presence::Scope, testing::Node};

    #[tokio::test]
    async fn states_are_waiting_then_up_then_down() {
        let (node, states) = (Node::new(Scope::All), States::default());
        let before = states.tell();
        assert_eq!(
            before,
            [
                ("store", "waiting"),
                ("backplane", "waiting"),
                ("keys", "waiting")
            ]
        );
        states.has_keys();
        assert_eq!(states.tell(), before[..2]);
        assert_eq!(states.health().nodes, 0);

        let local = LocalBackplane::new("n", Duration::ZERO, LogBounds::default());
        states.has_backplane(Arc::new(local));
        states.has_store();
        assert_eq!(states.tell(), [("store", "up"), ("backplane", "up")]);
        node.store.set_down(true);
        states.ask_store(&*node.store).await;
        assert_eq!(states.tell(), [("store", "down"), ("backplane", "up")]);
        node.store.set_down(false);
        states.ask_store(&*node.store).await;
        assert_eq!(states.is_store_up(), Some(true));
    }
}
