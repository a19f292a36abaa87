//! The WebSocket's side: the session's node, as the engine sees it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use bytestring::ByteString;
use carillon_backplane::NodeTag;
use carillon_protocol::id::Room;
use carillon_socketio::{Owner, SessionBrief, SessionExport};
use rand::distr::{Alphanumeric, SampleString};
use tokio::sync::oneshot;

use super::{HandOver, Question, Reply, Step, departures::FENCE_TIMEOUT};
use crate::cluster::message::{self, Subject};

/// How long the session's node may take to answer what it can answer at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take over what waits for its session: longer than the session's own times.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);
/// Characters in the id of a fence.
const FENCE_ID_LENGTH: usize = 20;

/// The node that has the session for which a WebSocket came here.
pub(super) struct RemoteOwner {
    hand_over: Arc<HandOver>,
    node: NodeTag,
    sid: ByteString,
    number: u64,
}

impl RemoteOwner {
    pub(super) fn new(hand_over: Arc<HandOver>, node: NodeTag, sid: ByteString) -> Self {
        Self {
            hand_over,
            node,
            sid,
            number: rand::random(),
        }
    }

    async fn ask(&self, step: Step, timeout: Duration) -> Option<Reply> {
        let question = message::encode(&Question {
            number: self.number,
            step,
        });
        let body = message::seal(Subject::HandOver, &question);
        match self.hand_over.routing.request(&self.node, body, timeout).await {
            Ok(reply) => rmp_serde::from_slice(&reply).ok(),
            Err(error) => {
                tracing::debug!(node = %self.node, %error, "a session's node did not answer");
                None
            }
        }
    }

    async fn packed(&self, step: Step, timeout: Duration) -> Option<Bytes> {
        match self.ask(step, timeout).await? {
            Reply::Packed(bytes) => Some(bytes),
            Reply::Done | Reply::Refused => None,
        }
    }
}

#[async_trait]
impl Owner for RemoteOwner {
    /// Without fences the client stays with polling, and while this node reads what its sockets missed: the session has had that.
    async fn probe(&self) -> bool {
        self.hand_over.routing.has_fences()
            && self.hand_over.gaps.are_closed()
            && self.ask(Step::Probe(self.sid.clone()), ANSWER_TIMEOUT).await == Some(Reply::Done)
    }

    async fn gone(&self) {
        self.ask(Step::Watch, SESSION_TIMEOUT).await;
    }

    async fn brief(&self) -> Option<SessionBrief> {
        SessionBrief::from_bytes(&self.packed(Step::Depart, SESSION_TIMEOUT).await?)
    }

    async fn attend(&self, rooms: &[(ByteString, Room)]) -> bool {
        let rooms: Vec<_> = rooms.iter().map(|(_nsp, room)| room.clone()).collect();
        self.hand_over.fanout.attend(&rooms).await.is_ok()
    }

    async fn export(&self, at_fence: Box<dyn FnOnce() + Send>) -> Option<SessionExport> {
        let id: ByteString = Alphanumeric
            .sample_string(&mut rand::rng(), FENCE_ID_LENGTH)
            .into();
        let (passing, passed) = oneshot::channel();
        let _expected = self.hand_over.fences.expect(
            id.clone(),
            Box::new(move || {
                at_fence();
                // Where nobody waits, the hand-over was given up.
                let _unheard = passing.send(());
            }),
        );
        let export = self
            .packed(Step::Export(id), FENCE_TIMEOUT + ANSWER_TIMEOUT)
            .await?;
        // It passed here when it did there, or very nearly.
        tokio::time::timeout(FENCE_TIMEOUT, passed).await.ok()?.ok()?;
        SessionExport::from_bytes(&export)
    }

    async fn arrived(&self) {
        self.ask(Step::Arrived, ANSWER_TIMEOUT).await;
    }

    async fn lost(&self) {
        self.ask(Step::Lost, ANSWER_TIMEOUT).await;
    }
}
