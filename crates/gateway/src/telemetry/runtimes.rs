//! The runtimes of a node: one for all that is done beside requests, and one on each thread that serves clients.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    time::{Instant, MissedTickBehavior},
};

use super::metrics::Process;

/// How often it is looked how late timers are.
const INTERVAL: Duration = Duration::from_millis(100);

/// All runtimes of a node.
#[derive(Debug)]
pub struct Runtimes {
    handles: Mutex<Vec<Handle>>,
    process: Process,
}

impl Runtimes {
    /// None yet but the one that this is called in, if it is called in one.
    #[must_use]
    pub fn new(process: Process) -> Self {
        Self {
            handles: Mutex::new(Handle::try_current().into_iter().collect()),
            process,
        }
    }

    /// Watches the runtime of this thread, one of actix'.
    pub fn watch_this_thread(&self) {
        if let Ok(handle) = Handle::try_current() {
            self.handles.lock().push(handle);
            // It ends with the thread.
            actix_web::rt::spawn(measure_lag(self.process.clone()));
        }
    }

    /// All that are watched.
    #[must_use]
    pub fn all(&self) -> Vec<Handle> {
        self.handles.lock().clone()
    }
}

async fn measure_lag(process: Process) {
    let mut due = tokio::time::interval(INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let planned = due.tick().await;
        process.timer_was_late(Instant::now().saturating_duration_since(planned));
    }
}
