//! The hand-over of a session: its client came with a WebSocket to another node than the one that has it, and from then on
//! that other node has it (Engine.IO v4, "Upgrade", between two nodes).
//!
//! ```text
//! client      the WebSocket's node (arrival)        the session's node (departure)
//! 2probe  →   Probe                             →   asks the session, answers held polls from now on
//! 3probe  ←                                     ←   accepted
//! 5       →   Depart                            →   no polls any more; what was posted is worked off
//!             corked sockets, rooms attended    ←   brief
//!             Export                            →   sends a fence to both
//!             at the fence: collects            ←   at the fence: exports, delivers no more
//!             uncorked, the client's at once
//!             Arrived                           →   forgets the session, but for its sid
//! ```
//!
//! The fence has one place among all events, so that none is lost between the two, or given twice. Whatever fails before
//! `5` leaves the client with polling; what fails later ends the session, and its client recovers it.

mod arrival;
mod departures;
mod fences;

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use carillon_backplane::{Fanout, NodeTag, Routing};
use carillon_socketio::{Engine, Owner};
use serde::{Deserialize, Serialize};
use tokio_util::task::TaskTracker;

use super::message;
use crate::gaps::Gaps;
use arrival::RemoteOwner;
use departures::Departures;
use fences::Fences;

/// What goes from node to node: the number is that of the WebSocket, chosen by its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Question {
    number: u64,
    step: Step,
}

/// A step of a hand-over, asked by the WebSocket's node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    /// `2probe` has come for the session with this sid.
    Probe(ByteString),
    /// Answered once the probe is over, and the WebSocket is of no use any more.
    Watch,
    /// `5` has come.
    Depart,
    /// All is ready here for the fence with this id.
    Export(ByteString),
    /// The session lives here.
    Arrived,
    /// It failed.
    Lost,
}

/// What the session's node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It is done.
    Done,
    /// What was asked for, as socketio packs it.
    Packed(Bytes),
    /// It cannot be; the hand-over has failed.
    Refused,
}

/// Sessions on their way to this node, and away from it.
pub struct HandOver {
    routing: Arc<dyn Routing>,
    fanout: Arc<dyn Fanout>,
    gaps: Gaps,
    fences: Arc<Fences>,
    departures: Departures,
}

impl std::fmt::Debug for HandOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandOver")
            .field("node", self.routing.tag())
            .finish_non_exhaustive()
    }
}

impl HandOver {
    /// For the sessions of `engine`; `tasks` owns what is under way. No session goes or comes while there are `gaps`.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        routing: Arc<dyn Routing>,
        fanout: Arc<dyn Fanout>,
        gaps: Gaps,
        tasks: TaskTracker,
    ) -> Self {
        let fences = Arc::new(Fences::default());
        Self {
            departures: Departures::new(
                engine,
                Arc::clone(&routing),
                Arc::clone(&fences),
                gaps.clone(),
                tasks,
            ),
            routing,
            fanout,
            gaps,
            fences,
        }
    }

    /// The node of a session, for the WebSocket that came here with its sid.
    pub(crate) fn owner(self: &Arc<Self>, node: NodeTag, sid: ByteString) -> Arc<dyn Owner> {
        Arc::new(RemoteOwner::new(Arc::clone(self), node, sid))
    }

    /// Answers the node of a WebSocket. Dropped where that one no longer waits.
    pub async fn answer(&self, from: NodeTag, question: Bytes) -> Bytes {
        let Some(Question { number, step }) = message::read_question(&from, &question) else {
            return Bytes::new();
        };
        message::encode(&self.departures.answer((from, number), step).await)
    }

    /// The fence `id` has passed. Never waits.
    pub fn fence(&self, id: &str) {
        self.fences.passed(id);
    }
}

#[cfg(test)]
mod tests;
