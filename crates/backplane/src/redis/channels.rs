//! The names of Carillon's own keys and channels in Redis.
//!
//! They share one hash tag, so that a Redis Cluster keeps them together and scripts may use several of them. The channels
//! of Socket.IO's adapter are not among them: see [`carillon_protocol::adapter::channel::Channels`].

use carillon_protocol::{adapter::channel::DEFAULT_PREFIX, id::Room};

/// Names under one prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    /// The names of the cluster whose Socket.IO channels start with `key`.
    pub(super) fn new(key: &str) -> Self {
        let prefix = if key == DEFAULT_PREFIX {
            "{carillon}".to_owned()
        } else {
            format!("{{carillon:{key}}}")
        };
        Self { prefix }
    }

    /// HASH: the log's `epoch`, the `run` of the server it was made on, `n`, the number of the newest entry, and `data`: what
    /// tells all that Redis holds now from what it held before it lost anything.
    pub(super) fn log(&self) -> String {
        self.named("log")
    }

    /// STREAM: kept broadcasts to everybody.
    pub(super) fn stream_of_all(&self) -> String {
        self.named("stream")
    }

    /// STREAM: kept broadcasts to a room.
    pub(super) fn stream_of(&self, room: &Room) -> String {
        self.below("stream", room.as_str())
    }

    /// STRING: the `seq` up to which a chat's messages were published.
    pub(super) fn order_of(&self, chat: &str) -> String {
        self.below("order", chat)
    }

    /// ZSET: nodes by the end of their leases, in milliseconds of Redis' clock; below 0 of a node that has left: the end of
    /// what its users are granted.
    pub(super) fn nodes(&self) -> String {
        self.named("nodes")
    }

    /// HASH: who is online, and since when at the latest, in milliseconds since 1970.
    pub(super) fn online(&self) -> String {
        self.named("online")
    }

    /// HASH: users who came (`+`) or went (`-`) without that having been announced, each with the node that is to do it.
    pub(super) fn unannounced(&self) -> String {
        self.named("unannounced")
    }

    /// What [`Names::users_of`] starts with.
    pub(super) fn users(&self) -> String {
        self.below("users", "")
    }

    /// SET: the users with connections on a node.
    pub(super) fn users_of(&self, node: &str) -> String {
        self.below("users", node)
    }

    /// STRING: what recovers a session.
    pub(super) fn session(&self, pid: &str) -> String {
        self.below("session", pid)
    }

    /// STRING: the cluster's secret, where the settings have none.
    pub(super) fn secret(&self) -> String {
        self.named("secret")
    }

    /// Channel: sealed frames for one node.
    pub(super) fn node_channel(&self, node: &str) -> String {
        self.below("node", node)
    }

    /// Channel: nodes came or went.
    pub(super) fn membership_channel(&self) -> String {
        self.named("nodes")
    }

    fn named(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    fn below(&self, name: &str, member: &str) -> String {
        format!("{}:{name}:{member}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_with_keys_of_their_own_share_nothing() {
        assert_eq!(Names::new("socket.io").nodes(), "{carillon}:nodes");
        assert_eq!(Names::new("mine").users_of("n"), "{carillon:mine}:users:n");
    }
}
