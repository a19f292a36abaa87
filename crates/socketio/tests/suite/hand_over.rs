//! A session whose client polls on one node goes over to the node that its WebSocket came to.

mod failures;
mod live;
mod membership;
mod traffic;
mod wire;

use std::sync::Arc;

use carillon_socketio::Session;

use crate::transport::Client;
use wire::{Nodes, Wire};

/// Upgrades up to the `5`.
async fn upgrade(nodes: &Arc<Nodes>, session: &Session, wire: &Arc<Wire>) -> Client {
    let mut client = nodes.websocket(session, wire);
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    client.send("5").await;
    client
}
