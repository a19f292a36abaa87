//! From node to node: whose a session is, requests to its owner, places in time that two nodes agree on.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use bytestring::ByteString;

use crate::Result;

/// Names a node for as long as its process lives.
pub type NodeTag = ByteString;

/// Why a node did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// It is dead, as far as is known, or died meanwhile.
    #[error("the node is gone")]
    Gone,
    /// Nothing came in time.
    #[error("the node does not answer")]
    Timeout,
    /// The nodes are out of each other's reach, or the request is too large.
    #[error("the node is out of reach")]
    Unreachable,
}

/// The ways between nodes. What goes there is sealed: neither readable nor forgeable without the cluster's secret.
#[async_trait]
pub trait Routing: Send + Sync {
    /// This node.
    fn tag(&self) -> &NodeTag;

    /// A new session id that names this node: `[A-Za-z0-9_-]`, at least 96 random bits, unforgeable.
    fn new_sid(&self) -> ByteString;

    /// A new public socket id, 20 characters of `[A-Za-z0-9]`, that begins with what names this node.
    fn new_socket_id(&self) -> ByteString;

    /// The node that `sid` names; `None` where no node of this cluster has made it. Asks nobody.
    fn node_of(&self, sid: &str) -> Option<NodeTag>;

    /// Whether a node lives, as far as is known here. Asks nobody.
    fn is_alive(&self, node: &str) -> bool;

    /// Asks `node` and waits for its answer. Whoever stops waiting stops the work there, too.
    async fn request(
        &self,
        node: &NodeTag,
        body: Bytes,
        timeout: Duration,
    ) -> std::result::Result<Bytes, RouteError>;

    /// Whether a session can be handed over between nodes: whether there are fences.
    fn has_fences(&self) -> bool;

    /// Sends a fence to `node` and to this node. It has one place among all events, which both see at that place
    /// ([`crate::Inbound::fence`]): what came before it, came before it on both.
    ///
    /// # Errors
    /// Where the nodes are out of each other's reach, or there are no fences.
    async fn fence(&self, node: &NodeTag, id: &str) -> Result<()>;
}
