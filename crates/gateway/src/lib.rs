//! The Carillon node: HTTP and WebSocket edges, chat and notifications, limits, telemetry.
//!
//! [`node`] is the composition root. Data flows one way: [`http`] and [`sockets`] (the edges) → [`events`] and
//! [`http::rest`] (one handler per operation) → [`services`] (use cases, no HTTP and no sockets) → store and backplane.
//! What comes back from the backplane goes through [`cluster`] to the sockets.

pub mod auth;
pub mod capacity;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod events;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod gaps;
pub mod http;
pub mod limits;
pub mod node;
pub mod services;
pub mod settings;
pub mod sockets;
pub mod telemetry;
