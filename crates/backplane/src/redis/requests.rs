//! What other servers ask, Node servers among them: done or answered by this node's own sockets.

use bytestring::ByteString;
use carillon_protocol::{
    adapter::{
        Broadcast,
        cluster::{
            Answer, ClusterRequest, ClusterResponse, HandshakeSummary, Operation, RemoteSocket, Target,
        },
    },
    id::Room,
    time::Timestamp,
    value::{Object, Value},
};
use std::{sync::Arc, time::Duration};

use super::{RedisBackplane, codec::Identity};
use crate::{Asked, Inbound, Place, Selection, SocketSummary};

/// How long sockets may take to acknowledge where the asking server does not say.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time that an asking server is believed to wait.
const MAX_ACK_TIMEOUT: Duration = Duration::from_secs(60);

/// Most broadcasts of other servers whose acks are waited for.
pub(super) const MAX_ASKED: usize = 1_024;

/// Who wants an answer.
#[derive(Debug, Clone)]
struct Requester {
    uid: Option<ByteString>,
    id: ByteString,
}

impl RedisBackplane {
    /// Does what `request` wants and answers it, once. This node's own requests come back, too: it has done them.
    pub(super) fn take_request(&self, identity: &Identity, request: ClusterRequest) {
        let Some(node) = self.node.get() else { return };
        let ClusterRequest { uid, id, operation } = request;
        if uid.as_ref() == Some(&identity.uid) {
            return;
        }
        let asker = id.map(|id| Requester { uid, id });
        let Some(asker) = asker else {
            return self.obey(node, operation);
        };
        let answer = match operation {
            Operation::Sockets { rooms } => {
                let target = Target {
                    rooms,
                    except: Vec::new(),
                };
                let sockets = node.sockets(&self.selection(target));
                Answer::SocketIds(sockets.into_iter().map(|socket| socket.id).collect())
            }
            Operation::AllRooms => Answer::Rooms(node.rooms(&self.options.nsp)),
            Operation::Fetch(target) => {
                let sockets = node.sockets(&self.selection(target));
                Answer::Sockets(sockets.into_iter().map(remote_socket).collect())
            }
            Operation::ServerSideEmit(event) => {
                Answer::ServerSideEmit(node.server_event(&self.options.nsp, &event))
            }
            Operation::Broadcast {
                broadcast,
                timeout_ms,
            } => return self.ask_sockets(node, asker, &broadcast, timeout_ms),
            Operation::Join { ref target, .. }
            | Operation::Leave { ref target, .. }
            | Operation::Disconnect { ref target, .. } => {
                // An old server means one socket, and hears from the node that has it.
                let is_here = !node.sockets(&self.selection(target.clone())).is_empty();
                self.obey(node, operation);
                if !is_here {
                    return;
                }
                Answer::Done
            }
        };
        self.answer(&asker, answer);
    }

    /// Does what nobody wants an answer to.
    fn obey(&self, node: &Arc<dyn Inbound>, operation: Operation) {
        match operation {
            Operation::Join { target, rooms } => node.join(&self.selection(target), &rooms),
            Operation::Leave { target, rooms } => node.leave(&self.selection(target), &rooms),
            Operation::Disconnect { target, close } => node.disconnect(&self.selection(target), close),
            Operation::ServerSideEmit(event) => {
                node.server_event(&self.options.nsp, &event);
            }
            // Questions, whose answers nobody would get: they are not let through without an id.
            Operation::Sockets { .. }
            | Operation::AllRooms
            | Operation::Fetch(_)
            | Operation::Broadcast { .. } => (),
        }
    }

    /// Says at once how many sockets there are, even if none, and then what they answer.
    fn ask_sockets(
        &self,
        node: &Arc<dyn Inbound>,
        asker: Requester,
        broadcast: &Broadcast,
        timeout_ms: Option<u64>,
    ) {
        let (Some(tasks), Some(me)) = (self.tasks.get(), self.me.upgrade()) else {
            return;
        };
        let Ok(permit) = Arc::clone(&self.acks).try_acquire_owned() else {
            // More cannot be waited for: the sockets get the event, and nobody asks them.
            node.deliver(broadcast, Place::Unkept);
            return self.answer(&asker, Answer::ClientCount(0));
        };
        let timeout = timeout_ms
            .map_or(ACK_TIMEOUT, Duration::from_millis)
            .min(MAX_ACK_TIMEOUT);
        let Asked { sockets, mut answers } = node.ask(broadcast, timeout);
        self.answer(
            &asker,
            Answer::ClientCount(u64::try_from(sockets).unwrap_or(u64::MAX)),
        );
        if sockets == 0 {
            return;
        }
        tasks.spawn(async move {
            let answered = async {
                while let Some(value) = answers.recv().await {
                    me.answer(&asker, Answer::Ack(value));
                }
            };
            // The end of the answers comes with the timeout; this is for the case that it does not.
            let _ = tokio::time::timeout(MAX_ACK_TIMEOUT * 2, answered).await;
            drop(permit);
        });
    }

    fn answer(&self, asker: &Requester, answer: Answer) {
        let response = ClusterResponse {
            request_id: asker.id.clone(),
            answer,
        };
        let ring = self.keyring.ring();
        if let Some(outgoing) = self
            .codec
            .response(&ring.identity, asker.uid.as_deref(), &response)
        {
            self.post(&outgoing.channel, &outgoing.payload);
        }
    }

    fn selection(&self, target: Target) -> Selection {
        Selection {
            nsp: self.options.nsp.clone(),
            rooms: target.rooms,
            except: target.except,
        }
    }
}

fn remote_socket(socket: SocketSummary) -> RemoteSocket {
    // Node lists a socket's own id among its rooms.
    let own = std::iter::once(Room::new(socket.id.clone()));
    let rooms = own.chain(socket.rooms).collect();
    RemoteSocket {
        id: socket.id,
        handshake: HandshakeSummary {
            issued: Timestamp::from_millis(socket.issued),
            address: socket.address,
            path: ByteString::from_static("/socket.io/"),
            is_secure: false,
            is_cross_domain: false,
        },
        rooms,
        data: match socket.data {
            Value::Object(data) => data,
            _ => Object::new(),
        },
    }
}
