//! The session's side: one task for each session whose client has come to another node with a WebSocket.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use bytestring::ByteString;
use carillon_backplane::{NodeTag, Routing};
use carillon_socketio::{Departure, Engine, Leaving};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{Reply, Step, fences::Fences};
use crate::gaps::Gaps;

/// How long a fence may take.
pub(super) const FENCE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the other node may take from one step to the next, once the session has left its transport.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// The node of a WebSocket, and its number for it.
pub(super) type Key = (NodeTag, u64);

/// Sessions that may leave, or are on their way.
pub(super) struct Departures {
    engine: Arc<Engine>,
    routing: Arc<dyn Routing>,
    fences: Arc<Fences>,
    gaps: Gaps,
    tasks: TaskTracker,
    under_way: Arc<Mutex<HashMap<Key, UnderWay>>>,
}

struct UnderWay {
    steps: mpsc::Sender<(Step, oneshot::Sender<Reply>)>,
    over: CancellationToken,
}

/// What the task of one session works with. Its end, however it comes, is the end of the hand-over here: what is dropped
/// then gives the session back to polling, or ends it.
struct Leave {
    node: NodeTag,
    routing: Arc<dyn Routing>,
    fences: Arc<Fences>,
    steps: mpsc::Receiver<(Step, oneshot::Sender<Reply>)>,
    _place: Place,
}

struct Place {
    under_way: Arc<Mutex<HashMap<Key, UnderWay>>>,
    key: Key,
    _over: DropGuard,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.key);
    }
}

impl Departures {
    pub(super) fn new(
        engine: Arc<Engine>,
        routing: Arc<dyn Routing>,
        fences: Arc<Fences>,
        gaps: Gaps,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            engine,
            routing,
            fences,
            gaps,
            tasks,
            under_way: Arc::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.lock().is_empty()
    }

    pub(super) async fn answer(&self, key: Key, step: Step) -> Reply {
        match step {
            Step::Probe(sid) => self.probe(key, &sid),
            Step::Watch => {
                let over = self
                    .under_way
                    .lock()
                    .get(&key)
                    .map(|under_way| under_way.over.clone());
                if let Some(over) = over {
                    over.cancelled().await;
                }
                Reply::Done
            }
            step => self.go_on(&key, step).await.unwrap_or(Reply::Refused),
        }
    }

    /// Passes a step on to the task of its session; `None` where that has ended.
    async fn go_on(&self, key: &Key, step: Step) -> Option<Reply> {
        let steps = self.under_way.lock().get(key)?.steps.clone();
        let (reply, replied) = oneshot::channel();
        steps.send((step, reply)).await.ok()?;
        replied.await.ok()
    }

    fn probe(&self, key: Key, sid: &str) -> Reply {
        if !self.gaps.are_closed() {
            // What is read here for the session would not follow it.
            return Reply::Refused;
        }
        let Some(leaving) = self
            .engine
            .session(sid)
            .and_then(|session| session.probe_elsewhere())
        else {
            return Reply::Refused;
        };
        let (steps, receiver) = mpsc::channel(1);
        let over = CancellationToken::new();
        let leave = Leave {
            node: key.0.clone(),
            routing: Arc::clone(&self.routing),
            fences: Arc::clone(&self.fences),
            steps: receiver,
            _place: Place {
                under_way: Arc::clone(&self.under_way),
                key: key.clone(),
                _over: over.clone().drop_guard(),
            },
        };
        self.under_way.lock().insert(key, UnderWay { steps, over });
        self.tasks.spawn(leave.run(leaving));
        Reply::Done
    }
}

impl Leave {
    /// The steps come in their order, each in time, or it is over. Dropped, `leaving` leaves the session with polling, and
    /// a departure ends it.
    async fn run(mut self, leaving: Leaving) {
        let reply = tokio::select! {
            () = leaving.ended() => return,
            step = self.steps.recv() => match step {
                Some((Step::Depart, reply)) => reply,
                Some(_) | None => return,
            },
        };
        let Some(departure) = leaving.upgrade().await else {
            return;
        };
        let departure = Arc::new(departure);
        if reply.send(Reply::Packed(departure.brief().to_bytes())).is_err() {
            return;
        }
        let Some((Step::Export(fence), reply)) = self.next_step().await else {
            return;
        };
        let Some(export) = self.export(&departure, fence).await else {
            return;
        };
        if reply.send(Reply::Packed(export)).is_err() {
            return;
        }
        let Some((Step::Arrived, reply)) = self.next_step().await else {
            return;
        };
        departure.departed();
        // Where the other node no longer waits, it has the session all the same.
        let _unheard = reply.send(Reply::Done);
    }

    async fn next_step(&mut self) -> Option<(Step, oneshot::Sender<Reply>)> {
        tokio::time::timeout(STEP_TIMEOUT, self.steps.recv()).await.ok()?
    }

    /// Takes the session out of this node at the fence.
    async fn export(&self, departure: &Arc<Departure>, fence: ByteString) -> Option<Bytes> {
        let (exporting, exported) = oneshot::channel();
        let at_fence = Arc::clone(departure);
        let _expected = self.fences.expect(
            fence.clone(),
            // Where nobody waits any more, the departure is dropped, and the session has ended.
            Box::new(move || _ = exporting.send(at_fence.export())),
        );
        self.routing.fence(&self.node, &fence).await.ok()?;
        let export = tokio::time::timeout(FENCE_TIMEOUT, exported).await.ok()?.ok()??;
        Some(export.to_bytes())
    }
}
