//! From node to node: sealed frames on a channel for each node.

mod frame;
mod requests;
mod seen;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use bytestring::ByteString;
use rand::distr::{Alphanumeric, SampleString};

use super::{
    RedisBackplane,
    seal::{FrameKey, sender_of},
};
use crate::{Measure, NodeTag, Result, RouteError, Routing, Unavailable};

pub(super) use frame::Frame;
pub(super) use requests::Routes;

/// Largest body of a request or an answer, in bytes.
pub const MAX_BODY_BYTES: usize = 4 << 20;

/// As long as Node servers expect a socket id to be.
const SOCKET_ID_LENGTH: usize = 20;

#[async_trait]
impl Routing for RedisBackplane {
    fn tag(&self) -> &NodeTag {
        &self.tag
    }

    fn new_sid(&self) -> ByteString {
        let ring = self.keyring.ring();
        let sealed = ring
            .seals()
            .next()
            .and_then(|seals| seals.seal_sid(&self.tag, rand::random()).ok());
        // Sealing 8 bytes under a good key does not fail. Were it to, the session would be one that only its own node knows.
        sealed.unwrap_or_else(|| random_text(2 * SOCKET_ID_LENGTH))
    }

    fn new_socket_id(&self) -> ByteString {
        format!("{}{}", self.tag, random_text(SOCKET_ID_LENGTH - self.tag.len())).into()
    }

    fn node_of(&self, sid: &str) -> Option<NodeTag> {
        self.keyring.ring().node_of(sid)
    }

    fn is_alive(&self, node: &str) -> bool {
        self.tag == node || self.members.is_alive(node)
    }

    async fn request(
        &self,
        node: &NodeTag,
        body: Bytes,
        timeout: Duration,
    ) -> std::result::Result<Bytes, RouteError> {
        if !self.is_alive(node) {
            return Err(RouteError::Gone);
        }
        if !self.is_up() || body.len() > MAX_BODY_BYTES {
            return Err(RouteError::Unreachable);
        }
        let asked = self.routes.ask(node).ok_or(RouteError::Unreachable)?;
        let request = Frame::Request { id: asked.id(), body };
        if !self.send_frame(node, &request) {
            return Err(RouteError::Unreachable);
        }
        let cancel = CancelOnDrop {
            backplane: self,
            node,
            id: asked.id(),
            is_over: false,
        };
        let answer = tokio::time::timeout(timeout, asked.answer()).await;
        if let Ok(answer) = answer {
            cancel.defuse();
            return answer;
        }
        Err(RouteError::Timeout)
    }

    fn has_fences(&self) -> bool {
        !self.is_cluster()
    }

    async fn fence(&self, node: &NodeTag, id: &str) -> Result<()> {
        self.reachable()?;
        self.require_order()?;
        let frame = Frame::Fence {
            id: Bytes::copy_from_slice(id.as_bytes()),
        };
        let mut call = super::scripts::call(&self.scripts.fence, &[self.names.log()]);
        call.arg(self.codec.publishing());
        for to in [&self.tag, node] {
            let channel = self.names.node_channel(to);
            let sealed = self
                .seal(&channel, &frame)
                .ok_or_else(|| Unavailable::new("a fence cannot be sealed"))?;
            call.arg(channel).arg(&*sealed);
        }
        self.call(&self.own_channel, &self.scripts.fence, call)
            .await
            .map(|_| ())
    }
}

/// Tells the other node that nobody waits any more.
struct CancelOnDrop<'a> {
    backplane: &'a RedisBackplane,
    node: &'a NodeTag,
    id: u64,
    is_over: bool,
}

impl CancelOnDrop<'_> {
    fn defuse(mut self) {
        self.is_over = true;
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.backplane
                .send_frame(self.node, &Frame::Cancel { id: self.id });
        }
    }
}

fn random_text(length: usize) -> ByteString {
    Alphanumeric.sample_string(&mut rand::rng(), length).into()
}

impl RedisBackplane {
    /// Sends `frame` on its way. Answers whether it will be sent.
    pub(super) fn send_frame(&self, node: &NodeTag, frame: &Frame) -> bool {
        self.post_frame(&self.names.node_channel(node), frame)
    }

    /// Tells all nodes, this one included, that nodes came or went.
    pub(super) fn announce_membership(&self) -> bool {
        self.post_frame(&self.membership_channel, &Frame::Membership)
    }

    pub(super) fn post_frame(&self, channel: &str, frame: &Frame) -> bool {
        let sealed = self.seal(channel, frame);
        sealed.is_some_and(|sealed| self.post(channel, &sealed))
    }

    pub(super) fn seal(&self, channel: &str, frame: &Frame) -> Option<Bytes> {
        let ring = self.keyring.ring();
        let key = self.routes.key(&ring, &self.tag)?;
        let count = self.routes.next_nonce();
        key.seal(&self.tag, channel, count, &frame.encode()).ok()
    }

    /// Who has sealed a frame for `channel`, under which count, and what it says.
    fn open(&self, channel: &str, sealed: &[u8]) -> Option<(NodeTag, u64, Frame)> {
        let from = sender_of(sealed)?;
        let ring = self.keyring.ring();
        let key: Arc<FrameKey> = self.routes.key(&ring, &from)?;
        let (count, frame) = key.open(channel, sealed)?;
        Some((from, count, Frame::decode(frame)?))
    }

    /// Whether `channel` is for frames, not for Socket.IO's messages.
    pub(super) fn is_own_channel(&self, channel: &str) -> bool {
        // Cheap for all the others.
        channel.starts_with('{')
            && (channel == self.own_channel
                || channel == self.membership_channel
                || self.probes.is_channel(channel))
    }

    /// Takes a frame. Before `is_open` only a probe counts.
    pub(super) fn take_frame(&self, channel: &str, sealed: &[u8], is_open: bool) {
        let Some((from, count, frame)) = self.open(channel, sealed) else {
            return self.count_malformed("a frame that no node of this cluster has sealed for this channel");
        };
        if !self.routes.seen.is_new(&from, channel, count) {
            return self.count_malformed("a frame that has come before");
        }
        match frame {
            Frame::Probe(count) if from == self.tag => {
                if let Some(round_trip) = self.probes.heard(channel, count) {
                    self.measured(Measure::Probe(round_trip));
                }
            }
            Frame::Membership => self.members.nudge(),
            _ if !is_open => (),
            Frame::Mark(number) if from == self.tag => self.marks.passed(number),
            Frame::Probe(_) | Frame::Mark(_) => (),
            Frame::Request { id, body } => self.take_work(from, id, body),
            Frame::Response { id, body } => self.routes.answered(&from, id, Ok(body)),
            Frame::Refused { id } => self.routes.answered(&from, id, Err(RouteError::Unreachable)),
            Frame::Cancel { id } => self.routes.stop_work(&from, id),
            Frame::Fence { id } => self.pass_fence(&id),
        }
    }

    fn pass_fence(&self, id: &[u8]) {
        match (self.node.get(), str::from_utf8(id)) {
            (Some(node), Ok(id)) => node.fence(id),
            _ => self.count_malformed("a fence without a name"),
        }
    }

    /// Works on what another node asks, as long as that node waits for it.
    fn take_work(&self, from: NodeTag, id: u64, body: Bytes) {
        let (Some(node), Some(tasks), Some(me)) = (self.node.get(), self.tasks.get(), self.me.upgrade())
        else {
            return;
        };
        let Some(stopped) = self.routes.start_work(&from, id) else {
            self.send_frame(&from, &Frame::Refused { id });
            return;
        };
        let node = Arc::clone(node);
        tasks.spawn(async move {
            let answer = tokio::select! {
                // Begun in any case, also where nobody waits any more: what is given up ends a session, what never began does not.
                biased;
                answer = node.request(from.clone(), body) => Some(answer),
                () = stopped.cancelled() => None,
            };
            me.routes.stop_work(&from, id);
            let Some(body) = answer else { return };
            let frame = if body.len() <= MAX_BODY_BYTES {
                Frame::Response { id, body }
            } else {
                Frame::Refused { id }
            };
            me.send_frame(&from, &frame);
        });
    }
}
