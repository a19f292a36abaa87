//! Which dialect of the Node adapters is spoken, on which channels.

use bytes::Bytes;
use bytestring::ByteString;
use carillon_protocol::{
    adapter::{
        Broadcast, DecodeError, KeptTemplate,
        channel::{self, Channels},
        classic,
        cluster::{Answer, ClusterRequest, ClusterResponse},
        sharded::{self, Message},
    },
    id::Room,
};
use redis::Cmd;

use super::seal::Seals;
use crate::NodeTag;

/// Which of Socket.IO's Redis adapters is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wire {
    /// `createAdapter`: PUBLISH.
    #[default]
    Classic,
    /// `createShardedAdapter`: SPUBLISH, Redis 7.
    Sharded,
}

/// Who this node is among Socket.IO's servers.
#[derive(Debug)]
pub(super) struct Identity {
    /// Of all that has to be read when it comes back, or is not delivered here but by Redis.
    pub(super) uid: ByteString,
    /// Of volatile broadcasts that its own sockets have already: their echo is not even read.
    quiet_uid: ByteString,
    quiet_echo: sharded::Echo,
}

impl Identity {
    pub(super) fn new(seals: &Seals, tag: &NodeTag, nsp: &str) -> Self {
        let uid = seals.uid(tag);
        let quiet_uid = ByteString::from(format!("{uid}-v"));
        Self {
            quiet_echo: sharded::Echo::new(&quiet_uid, nsp),
            uid,
            quiet_uid,
        }
    }
}

/// The wire of one namespace.
#[derive(Debug)]
pub(super) struct Codec {
    wire: Wire,
    nsp: ByteString,
    channels: Channels,
}

/// Something to publish.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) channel: ByteString,
    pub(super) payload: Bytes,
}

impl Codec {
    pub(super) fn new(wire: Wire, key: &str, nsp: ByteString) -> Self {
        Self {
            wire,
            channels: Channels::new(key, &nsp),
            nsp,
        }
    }

    /// The command that publishes.
    pub(super) const fn publishing(&self) -> &'static str {
        match self.wire {
            Wire::Classic => "PUBLISH",
            Wire::Sharded => "SPUBLISH",
        }
    }

    pub(super) fn publish(&self, channel: &str, payload: &[u8]) -> Cmd {
        let mut command = redis::cmd(self.publishing());
        command.arg(channel).arg(payload);
        command
    }

    /// A command that subscribes to `channels`. Redis confirms each by itself.
    pub(super) const fn subscribing(&self) -> &'static str {
        match self.wire {
            Wire::Classic => "SUBSCRIBE",
            Wire::Sharded => "SSUBSCRIBE",
        }
    }

    pub(super) const fn unsubscribing(&self) -> &'static str {
        match self.wire {
            Wire::Classic => "UNSUBSCRIBE",
            Wire::Sharded => "SUNSUBSCRIBE",
        }
    }

    /// The channels that a node listens on whatever rooms it has.
    pub(super) fn fixed_channels(&self, identity: &Identity) -> Vec<ByteString> {
        let uid = &identity.uid;
        match self.wire {
            Wire::Classic => vec![
                self.channels.base().clone(),
                self.channels.request().clone(),
                self.channels.response().clone(),
                self.channels.response_to(uid),
            ],
            Wire::Sharded => vec![self.channels.base().clone(), self.channels.node(uid)],
        }
    }

    /// A pattern for the rooms of the sockets that `tag` has named. Sharded channels have no patterns and need none: there
    /// a room named like a socket has no channel.
    pub(super) fn private_rooms(&self, tag: &NodeTag) -> Option<ByteString> {
        (self.wire == Wire::Classic).then(|| self.channels.rooms_starting_with(tag))
    }

    /// Whether `room` has a channel of its own.
    pub(super) fn has_channel(&self, room: &Room) -> bool {
        self.wire == Wire::Classic || channel::has_sharded_channel(room)
    }

    /// The channel of `room`, if it has one.
    pub(super) fn channel_of(&self, room: &Room) -> Option<ByteString> {
        self.has_channel(room).then(|| self.channels.room(room))
    }

    /// The room whose channel this is; `None` for a channel that a node listens on in any case.
    pub(super) fn room_of(&self, channel: &str) -> Option<Room> {
        let room = self.channels.room_in(channel).filter(|room| !room.is_empty())?;
        Some(Room::new(room.to_owned()))
    }

    /// Where broadcasts to `rooms` go.
    pub(super) fn channel_of_rooms(&self, rooms: &[Room]) -> ByteString {
        match self.wire {
            Wire::Classic => self.channels.of_rooms(rooms),
            Wire::Sharded => self.channels.of_rooms_sharded(rooms),
        }
    }

    /// The command that counts the servers of the namespace, and the channel that all of them listen on.
    pub(super) fn count_servers(&self) -> (&str, Cmd) {
        let (counting, channel) = match self.wire {
            Wire::Classic => ("NUMSUB", self.channels.request()),
            Wire::Sharded => ("SHARDNUMSUB", self.channels.base()),
        };
        let mut command = redis::cmd("PUBSUB");
        command.arg(counting).arg(&**channel);
        (channel, command)
    }

    /// A broadcast that nobody keeps; with `comes_back` this node's own sockets are to get its echo.
    pub(super) fn volatile(&self, identity: &Identity, broadcast: &Broadcast, comes_back: bool) -> Outgoing {
        let uid = if comes_back {
            &identity.uid
        } else {
            &identity.quiet_uid
        };
        let payload = match self.wire {
            Wire::Classic => classic::encode(uid, broadcast),
            Wire::Sharded => sharded::encode(uid, broadcast),
        };
        Outgoing {
            channel: self.channel_of_rooms(&broadcast.rooms),
            payload,
        }
    }

    /// A broadcast that is kept under `id`.
    pub(super) fn kept(&self, identity: &Identity, broadcast: &Broadcast, id: &str) -> KeptTemplate {
        match self.wire {
            Wire::Classic => classic::encode_kept(&identity.uid, broadcast, id),
            Wire::Sharded => sharded::encode_kept(&identity.uid, broadcast, id),
        }
    }

    /// A request to all servers. `None` where the dialect has none like it.
    pub(super) fn request(&self, request: &ClusterRequest) -> Option<Outgoing> {
        Some(match self.wire {
            Wire::Classic => Outgoing {
                channel: self.channels.request().clone(),
                payload: classic::encode_request(request),
            },
            Wire::Sharded => Outgoing {
                channel: self.channels.base().clone(),
                payload: sharded::encode_request(&self.nsp, request)?,
            },
        })
    }

    /// An answer to the server `requester`. `None` where the dialect has none like it, or nobody to get it.
    pub(super) fn response(
        &self,
        identity: &Identity,
        requester: Option<&str>,
        response: &ClusterResponse,
    ) -> Option<Outgoing> {
        Some(match self.wire {
            Wire::Classic => {
                // Where Node listens: it answers a serverSideEmit on the shared channel whatever its settings.
                let is_shared = matches!(response.answer, Answer::ServerSideEmit(_));
                let channel = match requester {
                    Some(uid) if !is_shared => self.channels.response_to(uid),
                    _ => self.channels.response().clone(),
                };
                Outgoing {
                    channel,
                    payload: classic::encode_response(response),
                }
            }
            Wire::Sharded => Outgoing {
                channel: self.channels.node(requester?),
                payload: sharded::encode_response(&identity.uid, &self.nsp, response)?,
            },
        })
    }

    /// Whether `payload` is a volatile broadcast of this node, which its own sockets have.
    pub(super) fn is_quiet_echo(&self, identity: &Identity, payload: &[u8]) -> bool {
        match self.wire {
            Wire::Classic => classic::peek_uid(payload) == Some(&*identity.quiet_uid),
            Wire::Sharded => identity.quiet_echo.is(payload),
        }
    }

    /// Reads what came on `channel`.
    pub(super) fn decode(&self, channel: &str, payload: &Bytes) -> Result<Message, DecodeError> {
        if self.wire == Wire::Sharded {
            return sharded::decode(payload, &self.nsp);
        }
        if self.channels.room_in(channel).is_some() {
            return classic::decode(payload, &self.nsp).map(Message::Broadcast);
        }
        if self.channels.request() == channel {
            return classic::decode_request(payload, &self.nsp).map(Message::Request);
        }
        classic::decode_response(payload).map(|response| Message::Response {
            uid: ByteString::new(),
            response,
        })
    }

    /// Reads a broadcast as it is kept in the log.
    pub(super) fn decode_kept(&self, payload: &Bytes) -> Option<Broadcast> {
        let received = match self.wire {
            Wire::Classic => classic::decode(payload, &self.nsp).ok()?,
            Wire::Sharded => match sharded::decode(payload, &self.nsp).ok()? {
                Message::Broadcast(received) => received,
                Message::Request(_) | Message::Response { .. } => return None,
            },
        };
        Some(received.broadcast)
    }
}
