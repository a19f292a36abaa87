//! What comes over the subscription. The connection's own task hands each message over, one after the other and in Redis'
//! order, and a node's sockets have it in their queues when that is done. A node that cannot keep up is thus seen by Redis.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use bytestring::ByteString;
use carillon_protocol::adapter::{DecodeError, Received, sharded::Message};
use redis::{
    PushInfo, PushKind, Value,
    aio::{AsyncPushSender, SendError},
};
use tokio_util::sync::CancellationToken;

use super::{RedisBackplane, echoes::Arrival, keyring::Ring};
use crate::Place;

/// Most uids whose trustworthiness is remembered.
const MAX_KNOWN_UIDS: usize = 1024;

/// Who may hand messages over. Its lock makes all that a node is told one sequence.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The connection that counts; what an older one still brings does not.
    pub(super) session: u64,
    /// Whether events are let through. Before that the connection is only tried out.
    pub(super) is_open: bool,
    /// Whether the node was told that it is cut off, and not yet that this is over.
    pub(super) is_interrupted: bool,
    /// Whether a uid is a Carillon node's, as far as was asked.
    known_uids: HashMap<ByteString, bool>,
}

impl Gate {
    /// A new connection counts from now on.
    pub(super) fn begin(&mut self) -> u64 {
        self.session += 1;
        self.is_open = false;
        self.known_uids.clear();
        self.session
    }

    fn believes(&mut self, ring: &Ring, uid: &ByteString) -> bool {
        if let Some(known) = self.known_uids.get(uid) {
            return *known;
        }
        if self.known_uids.len() >= MAX_KNOWN_UIDS {
            self.known_uids.clear();
        }
        let is_known = ring.is_uid(uid);
        self.known_uids.insert(uid.clone(), is_known);
        is_known
    }
}

/// The end of one subscription connection.
pub(super) struct Receiver {
    pub(super) backplane: Arc<RedisBackplane>,
    pub(super) session: u64,
    /// Cancelled when the connection ends.
    pub(super) lost: CancellationToken,
}

impl AsyncPushSender for Receiver {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        match info.kind {
            PushKind::Message | PushKind::SMessage => self.receive(info.data, 0),
            PushKind::PMessage => self.receive(info.data, 1),
            PushKind::Disconnection => self.lost.cancel(),
            // Where a slot moves to another server Redis ends subscriptions by itself.
            PushKind::SUnsubscribe if self.backplane.misses(info.data) => self.lost.cancel(),
            _ => (),
        }
        Ok(())
    }
}

impl Receiver {
    /// Takes a message whose channel and payload begin at `at`.
    fn receive(&self, data: Vec<Value>, at: usize) {
        let mut gate = self.backplane.gate.lock();
        if gate.session != self.session {
            return;
        }
        self.backplane.received.fetch_add(1, Ordering::Relaxed);
        let mut data = data.into_iter().skip(at).map(bytes_of);
        let (Some(Some(channel)), Some(Some(payload))) = (data.next(), data.next()) else {
            return self.backplane.count_malformed("a message without payload");
        };
        match str::from_utf8(&channel) {
            Ok(channel) => self.backplane.dispatch(&mut gate, channel, &payload),
            Err(_) => self.backplane.count_malformed("a channel that is no text"),
        }
    }
}

fn bytes_of(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(Bytes::from(bytes)),
        Value::SimpleString(text) => Some(Bytes::from(text)),
        _ => None,
    }
}

impl RedisBackplane {
    fn dispatch(&self, gate: &mut Gate, channel: &str, payload: &Bytes) {
        if self.is_own_channel(channel) {
            return self.take_frame(channel, payload, gate.is_open);
        }
        if !gate.is_open {
            return;
        }
        let ring = self.keyring.ring();
        if self.codec.is_quiet_echo(&ring.identity, payload) {
            return;
        }
        match self.codec.decode(channel, payload) {
            Ok(Message::Broadcast(received)) => self.take_broadcast(gate, &ring, &received),
            Ok(Message::Request(request)) => self.take_request(&ring.identity, request),
            Ok(Message::Response { response, .. }) => self.questions.take(response),
            Err(error) => self.refuse(error),
        }
    }

    fn take_broadcast(&self, gate: &mut Gate, ring: &Ring, received: &Received) {
        let Some(node) = self.node.get() else { return };
        let kept = received
            .kept
            .as_ref()
            .filter(|_| gate.believes(ring, &received.uid));
        let Some(kept) = kept else {
            return node.deliver(&received.broadcast, Place::Unkept);
        };
        let place = if self.is_cluster() {
            Place::Unlogged
        } else {
            Place::At(kept.offset)
        };
        if received.uid != ring.identity.uid {
            return node.deliver(&received.broadcast, place);
        }
        match self.echoes.arrived(&kept.id) {
            Arrival::Deliver(waiting) => {
                node.deliver(&received.broadcast, place);
                if let Some(waiting) = waiting {
                    // Who published it may have stopped waiting.
                    let _ = waiting.send(());
                }
            }
            // The log has it at a place where this node's sockets do not.
            Arrival::Late => self.mark_unlogged(),
        }
    }

    /// Whether a subscription that has ended is one that this node wants.
    fn misses(&self, data: Vec<Value>) -> bool {
        let channel = data.into_iter().next().and_then(bytes_of).unwrap_or_default();
        let room = str::from_utf8(&channel)
            .ok()
            .and_then(|channel| self.codec.room_of(channel));
        room.is_none_or(|room| self.subscriptions.is_confirmed(&room))
    }

    fn refuse(&self, error: DecodeError) {
        if error != DecodeError::OtherNamespace {
            self.count_malformed(&error.to_string());
        }
    }

    pub(super) fn count_malformed(&self, what: &str) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(what, "a message from Redis is not used");
    }
}
