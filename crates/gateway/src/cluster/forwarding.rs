//! Requests with a sid on whichever node they land: the sid names the node that has the session, and that node judges and
//! carries them out. No other node is asked, and none where the sid says that there is no use.
//!
//! A forwarded GET is held by the owner; where its client goes, the question to the owner is dropped, and the owner ends
//! the session as it would for its own. A forwarded POST is read here, within the same bounds, and answered once the owner
//! has its packets.

mod bodies;
mod stale;

use std::{
    future::{Ready, ready},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use bytestring::ByteString;
use carillon_backplane::{NodeTag, RouteError, Routing};
use carillon_socketio::{Engine, Session};
use serde::{Deserialize, Serialize};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::message::{self, Subject};
use crate::{
    http::{
        body::{BodyError, READ_TIMEOUT},
        engineio::{Answer, OwnSessions, Refusal, SessionRequest, Wanted},
    },
    limits::RequestQuota,
};
use bodies::Bodies;
use stale::StaleSids;

/// How much longer than its parts a question to another node may take.
const MARGIN: Duration = Duration::from_secs(5);
/// How long the body of a POST is waited for before its session is told of it: most are here with their head, so that one
/// question is enough.
const EARLY_BODY: Duration = Duration::from_millis(20);

/// After what time without an answer the other node is asked whether it is there at all: most answers are held, and a node
/// that was killed counts as living until its lease lapses.
const UNHEARD_AFTER: Duration = Duration::from_secs(1);
/// How long it may take to say so.
const HERE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long a node that goes waits for the answers to polls of other nodes' sessions.
const LET_GO_TIMEOUT: Duration = Duration::from_secs(1);

/// Requests with a sid.
pub struct Forwarding {
    own: OwnSessions,
    routing: Arc<dyn Routing>,
    bodies: Bodies,
    stale: StaleSids,
    /// Polls that other nodes hold.
    polls: TaskTracker,
    leaving: CancellationToken,
    /// How long an answer may take: at least every ping interval there is something for the client, or its session ends.
    answer_timeout: Duration,
}

impl std::fmt::Debug for Forwarding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarding")
            .field("node", self.routing.tag())
            .finish_non_exhaustive()
    }
}

/// What one node asks another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Question {
    /// A request without a body; also a WebSocket, before it is accepted.
    Request(SessionRequest),
    /// A POST.
    Post(SessionRequest, PostBody),
    /// The body of a POST that was asked about before it was here, by that one's number.
    Body(u64, Result<ByteString, BodyError>),
    /// The node that a poll of this session came to goes: the client is to come with another one.
    Release(ByteString),
    /// Whether it is there.
    Here,
}

/// The body of a forwarded POST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PostBody {
    /// Of a type that no client of this revision sends.
    OfOtherType,
    /// It was read, or could not be.
    Read(Result<ByteString, BodyError>),
    /// It follows as [`Question::Body`] with this number.
    Follows(u64),
}

/// What the other node says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The answer for the client.
    Answer(Answer),
    /// The WebSocket may be accepted.
    Accept,
    /// The WebSocket is one too many: the session has one, or is being upgraded.
    Surplus,
    /// The body has arrived, the poll is released; or: yes, it is there.
    Noted,
}

/// Where a session is, as its sid says.
enum Place {
    Here,
    At(NodeTag),
    Nowhere,
}

/// Where the session of a WebSocket is.
pub(crate) enum UpgradePlace {
    /// On this node.
    Here(Arc<Session>),
    /// On another one, and its sid.
    At(NodeTag, ByteString),
    /// On another one, which has a WebSocket for it: this one is to be accepted and closed.
    Surplus,
}

impl Forwarding {
    /// Requests for the sessions of `engine`, and those of other nodes that `routing` reaches.
    #[must_use]
    pub fn new(engine: Arc<Engine>, routing: Arc<dyn Routing>, quota: Arc<dyn RequestQuota>) -> Self {
        let config = engine.config();
        let answer_timeout = config.ping_interval + config.ping_timeout + MARGIN;
        Self {
            own: OwnSessions::new(engine, quota),
            routing,
            bodies: Bodies::default(),
            stale: StaleSids::default(),
            polls: TaskTracker::new(),
            leaving: CancellationToken::new(),
            answer_timeout,
        }
    }

    /// A polling request without a body. Dropped, it ends as a request does whose client goes.
    pub(crate) async fn poll(&self, request: SessionRequest) -> Answer {
        match self.place(&request.sid) {
            Place::Here => self.own.poll(&request).await,
            Place::At(node) => self.polls.track_future(self.forward_poll(&node, request)).await,
            Place::Nowhere => Refusal::SessionUnknown.into(),
        }
    }

    /// A POST, with its body as it will be read; without one it is of a type that no client of this revision sends.
    pub(crate) async fn post(
        &self,
        request: SessionRequest,
        body: Option<impl Future<Output = Result<ByteString, BodyError>>>,
    ) -> Answer {
        match self.place(&request.sid) {
            Place::Here => self.own.post(&request, body).await,
            Place::At(node) => self.forward_post(&node, request, body).await,
            Place::Nowhere => Refusal::SessionUnknown.into(),
        }
    }

    /// A WebSocket with a sid, before it is accepted: where its session is.
    pub(crate) async fn upgrade(&self, request: SessionRequest) -> Result<UpgradePlace, Refusal> {
        match self.place(&request.sid) {
            Place::Here => self.own.admit(&request).map(UpgradePlace::Here),
            Place::At(node) => {
                let sid = request.sid.clone();
                match self.question(&node, &sid, &Question::Request(request)).await? {
                    Reply::Accept => Ok(UpgradePlace::At(node, sid)),
                    Reply::Surplus => Ok(UpgradePlace::Surplus),
                    Reply::Answer(Answer::Refused(refusal)) => Err(refusal),
                    Reply::Answer(_) | Reply::Noted => Err(Refusal::BadRequest),
                }
            }
            Place::Nowhere => Err(Refusal::SessionUnknown),
        }
    }

    /// Lets the clients go whose sessions are on other nodes: their polls are answered, so that the next ones go elsewhere
    /// and the sessions live on. To be called before this node leaves the others.
    pub async fn let_go(&self) {
        self.leaving.cancel();
        self.polls.close();
        if tokio::time::timeout(LET_GO_TIMEOUT, self.polls.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                polls = self.polls.len(),
                "not every poll of another node's session was released"
            );
        }
    }

    /// Answers another node. Dropped where that one no longer waits.
    pub async fn answer(&self, from: NodeTag, question: Bytes) -> Bytes {
        let Some(question) = message::read_question(&from, &question) else {
            return Bytes::new();
        };
        let reply = match question {
            Question::Request(request) if request.wanted == Wanted::Upgrade => self.answer_upgrade(&request),
            Question::Request(request) => Reply::Answer(self.own.poll(&request).await),
            Question::Post(request, body) => Reply::Answer(self.answer_post(from, &request, body).await),
            Question::Body(number, body) => {
                self.bodies.arrived(from, number, body).await;
                Reply::Noted
            }
            Question::Release(sid) => {
                self.own.release_poll(&sid);
                Reply::Noted
            }
            Question::Here => Reply::Noted,
        };
        message::encode(&reply)
    }

    fn answer_upgrade(&self, request: &SessionRequest) -> Reply {
        match self.own.admit(request) {
            Ok(session) if session.takes_upgrade() => Reply::Accept,
            Ok(_taken) => Reply::Surplus,
            Err(refusal) => Reply::Answer(refusal.into()),
        }
    }

    async fn answer_post(&self, from: NodeTag, request: &SessionRequest, body: PostBody) -> Answer {
        match body {
            PostBody::OfOtherType => self.own.post(request, None::<Ready<_>>).await,
            PostBody::Read(read) => self.own.post(request, Some(ready(read))).await,
            PostBody::Follows(number) => {
                let body = self.bodies.expect(from, number);
                self.own.post(request, Some(body)).await
            }
        }
    }

    async fn forward_poll(&self, node: &NodeTag, request: SessionRequest) -> Answer {
        let sid = request.sid.clone();
        let question = Question::Request(request);
        let mut answer = pin!(self.ask(node, &sid, &question));
        tokio::select! {
            answer = &mut answer => return answer,
            () = self.leaving.cancelled() => {}
        }
        let release = Question::Release(sid.clone());
        tokio::join!(answer, self.question(node, &sid, &release)).0
    }

    async fn forward_post(
        &self,
        node: &NodeTag,
        request: SessionRequest,
        body: Option<impl Future<Output = Result<ByteString, BodyError>>>,
    ) -> Answer {
        let sid = request.sid.clone();
        let Some(body) = body else {
            return self
                .ask(node, &sid, &Question::Post(request, PostBody::OfOtherType))
                .await;
        };
        let mut body = pin!(body);
        if let Ok(read) = tokio::time::timeout(EARLY_BODY, &mut body).await {
            return self
                .ask(node, &sid, &Question::Post(request, PostBody::Read(read)))
                .await;
        }
        // From now on the owner knows that there is a POST: a second one meanwhile is one too many, on any node.
        let number = rand::random();
        let opened = Question::Post(request, PostBody::Follows(number));
        let mut answer = pin!(self.ask(node, &sid, &opened));
        let read = tokio::select! {
            early = &mut answer => return early,
            read = &mut body => read,
        };
        let follows = Question::Body(number, read);
        tokio::select! {
            answer = &mut answer => answer,
            _noted = self.question(node, &sid, &follows) => answer.await,
        }
    }

    fn place(&self, sid: &str) -> Place {
        // Also one that has moved here: its sid names the node that it came from.
        if self.own.has(sid) {
            return Place::Here;
        }
        match self.routing.node_of(sid) {
            Some(node) if node == *self.routing.tag() => Place::Here,
            Some(node) if self.routing.is_alive(&node) && !self.stale.has(sid) => Place::At(node),
            Some(_) | None => Place::Nowhere,
        }
    }

    async fn ask(&self, node: &NodeTag, sid: &ByteString, question: &Question) -> Answer {
        match self.question(node, sid, question).await {
            Ok(Reply::Answer(answer)) => answer,
            Ok(Reply::Accept | Reply::Surplus | Reply::Noted) => Refusal::BadRequest.into(),
            Err(refusal) => refusal.into(),
        }
    }

    async fn question(
        &self,
        node: &NodeTag,
        sid: &ByteString,
        question: &Question,
    ) -> Result<Reply, Refusal> {
        let reply = tokio::select! {
            reply = self.send(node, question, self.answer_timeout) => reply,
            unheard = self.unheard(node) => Err(unheard),
        };
        let reply = reply.map_err(|error| {
            tracing::debug!(%node, %error, "a session's node did not answer");
            match error {
                // With it the session is gone: the client comes back with a new one.
                RouteError::Gone => Refusal::SessionUnknown,
                RouteError::Timeout | RouteError::Unreachable => Refusal::OutOfReach,
            }
        })?;
        let reply = rmp_serde::from_slice(&reply).map_err(|_| Refusal::OutOfReach)?;
        if reply == Reply::Answer(Answer::Refused(Refusal::SessionUnknown)) {
            self.stale.add(sid.clone());
        }
        Ok(reply)
    }

    async fn send(
        &self,
        node: &NodeTag,
        question: &Question,
        timeout: Duration,
    ) -> Result<Bytes, RouteError> {
        let body = message::seal(Subject::Forward, &message::encode(question));
        self.routing.request(node, body, timeout).await
    }

    /// Resolves where a node that owes an answer turns out not to be there.
    async fn unheard(&self, node: &NodeTag) -> RouteError {
        tokio::time::sleep(UNHEARD_AFTER).await;
        match self.send(node, &Question::Here, HERE_TIMEOUT).await {
            Ok(_here) => std::future::pending().await,
            Err(error) => error,
        }
    }
}

#[cfg(test)]
mod tests;
