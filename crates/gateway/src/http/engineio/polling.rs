//! Requests with a sid at the node that has the session: judged, then carried out. Whether a request came to this node
//! or was forwarded here makes no difference.

use std::sync::Arc;

use bytestring::ByteString;
use carillon_protocol::id::UserId;
use carillon_socketio::{Engine, Session, Transport};
use serde::{Deserialize, Serialize};

use super::{answer::Answer, refusal::Refusal};
use crate::{http::body::BodyError, limits::RequestQuota};

/// What a request wants of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// A GET: what waits for the client.
    Poll,
    /// A POST: it brings packets.
    Post,
    /// A WebSocket.
    Upgrade,
    /// A polling request of another method, which a session does not take.
    Other,
}

/// A request with a sid, as far as its session's node judges it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRequest {
    /// The session that it is for.
    pub sid: ByteString,
    /// What it wants.
    pub wanted: Wanted,
    /// Whether it is a WebSocket handshake just where its transport is WebSocket, and of the revision that is spoken.
    pub is_fitting: bool,
}

/// The sessions of this node, for requests.
pub(crate) struct OwnSessions {
    engine: Arc<Engine>,
    quota: Arc<dyn RequestQuota>,
}

impl OwnSessions {
    pub(crate) fn new(engine: Arc<Engine>, quota: Arc<dyn RequestQuota>) -> Self {
        Self { engine, quota }
    }

    pub(crate) fn has(&self, sid: &str) -> bool {
        self.engine.session(sid).is_some()
    }

    /// The session of a request that nothing speaks against. The order of the checks is that of engine.io 6.
    pub(crate) fn admit(&self, request: &SessionRequest) -> Result<Arc<Session>, Refusal> {
        let session = self.engine.session(&request.sid).ok_or(Refusal::SessionUnknown)?;
        if !request.is_fitting {
            return Err(Refusal::BadRequest);
        }
        match (request.wanted, session.transport()) {
            // Also one that is too many, which is accepted and closed.
            (Wanted::Upgrade, _) => Ok(session),
            (_, Transport::WebSocket) => Err(Refusal::BadRequest),
            (Wanted::Poll | Wanted::Post, Transport::Polling) => {
                self.count(&session)?;
                Ok(session)
            }
            (Wanted::Other, Transport::Polling) => Err(Refusal::SessionMethod),
        }
    }

    /// A poll or post counts for its session's user, once there is one.
    fn count(&self, session: &Session) -> Result<(), Refusal> {
        let user = session
            .owner()
            .and_then(|owner| UserId::parse(owner.clone()).ok());
        let counted = user.map_or(Ok(()), |user| self.quota.session_request(&user));
        counted.map_err(|retry_after_ms| Refusal::TooMany { retry_after_ms })
    }

    /// A GET: waits until there is something for the client. Where the client goes first, this is dropped, and with it the
    /// session ends.
    pub(crate) async fn poll(&self, request: &SessionRequest) -> Answer {
        let session = match self.admit(request) {
            Ok(session) => session,
            Err(refusal) => return refusal.into(),
        };
        let Some(poll) = session.poll() else {
            return refused(&session);
        };
        poll.payload()
            .await
            .map_or_else(|| refused(&session), Answer::Payload)
    }

    /// Has a held poll answered, so that the client comes with another one.
    pub(crate) fn release_poll(&self, sid: &str) {
        if let Some(session) = self.engine.session(sid) {
            session.release_poll();
        }
    }

    /// A POST: its packets are with the session when it is answered. Without a `body` it is of a type that no client of
    /// this revision sends.
    pub(crate) async fn post(
        &self,
        request: &SessionRequest,
        body: Option<impl Future<Output = Result<ByteString, BodyError>>>,
    ) -> Answer {
        let session = match self.admit(request) {
            Ok(session) => session,
            Err(refusal) => return refusal.into(),
        };
        let Some(post) = session.post() else {
            return refused(&session);
        };
        let Some(body) = body else { return Answer::Broken };
        let read = tokio::select! {
            read = body => read,
            // A second POST came meanwhile, or the client is gone on its other connection: nobody waits for the rest.
            () = post.session_ended() => Err(BodyError::Broken),
        };
        match read {
            Ok(body) => match post.receive(body).await {
                Ok(()) => Answer::Taken,
                Err(_malformed) => Answer::Broken,
            },
            Err(BodyError::TooLarge) => {
                post.reject();
                Answer::TooLarge
            }
            Err(BodyError::Broken) => Answer::Broken,
        }
    }
}

/// Two requests of one kind at once, or one after the upgrade.
fn refused(session: &Session) -> Answer {
    match session.transport() {
        Transport::Polling => Answer::Broken,
        Transport::WebSocket => Refusal::BadRequest.into(),
    }
}
