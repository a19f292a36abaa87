//! What is done now and then: old notifications deleted, the key set looked at, limiters cleared of who has been quiet, the
//! store asked how it does.

use std::{sync::Arc, time::Duration};

use carillon_store::Store;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::states::States;
use crate::{auth::Jwks, limits::Limits, services::Services, settings::Settings};

/// How often old notifications are looked for.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How often the limiters forget who has been quiet.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// What is looked after.
pub(super) struct Housekeeping {
    pub(super) services: Arc<Services>,
    pub(super) limits: Arc<Limits>,
    pub(super) jwks: Option<Arc<Jwks>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) states: Arc<States>,
}

impl Housekeeping {
    /// Begins; `tasks` owns the work, until `stopping`.
    pub(super) fn spawn(self, settings: &Settings, tasks: &TaskTracker, stopping: &CancellationToken) {
        let Self {
            services,
            limits,
            jwks,
            store,
            states,
        } = self;
        if let Some(jwks) = jwks {
            let stopping = stopping.clone();
            tasks.spawn(async move { stopping.run_until_cancelled(jwks.keep_fresh()).await });
        }
        let days = settings.notification_days;
        // MongoDB deletes them by itself.
        if days > 0 && settings.mongodb_uri.is_none() {
            tasks.spawn(clean_up(services, days, stopping.clone()));
        }
        let token = stopping.clone();
        tasks.spawn(async move {
            let mut due = tokio::time::interval(SWEEP_INTERVAL);
            while token.run_until_cancelled(due.tick()).await.is_some() {
                limits.sweep();
            }
        });
        // An embedded store answers as long as the node does.
        if settings.mongodb_uri.is_some() {
            let token = stopping.clone();
            tasks.spawn(async move { states.watch_store(store, token).await });
        }
    }
}

async fn clean_up(services: Arc<Services>, days: u32, stopping: CancellationToken) {
    let mut due = tokio::time::interval(CLEANUP_INTERVAL);
    while stopping.run_until_cancelled(due.tick()).await.is_some() {
        match services.notifications.clean_up(days).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old notifications deleted"),
            Err(problem) => tracing::warn!(%problem, "old notifications not deleted"),
        }
    }
}
