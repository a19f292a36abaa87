//! Engine.IO v4 sessions and Socket.IO v5 namespaces, rooms and local delivery, for any HTTP server.
//!
//! Three layers, each over the one below:
//!
//! - [`Engine`] keeps sessions: heartbeat, long-polling, WebSocket, the upgrade from one to the other, bounded queues.
//!   An HTTP server gives it requests ([`Session::poll`], [`Session::post`]) and WebSockets ([`Engine::run`]).
//! - [`SocketIo`] reads packets on each session and keeps the namespaces that its client has joined.
//! - [`Handler`] is the application: it admits clients, answers events, and delivers through the [`Hub`].
//!
//! A session whose client polls on one node and opens its WebSocket on another goes over to that one
//! ([`Engine::run_arrival`], [`Session::probe_elsewhere`]); how the nodes reach each other is for an [`Owner`] to know.
//!
//! It knows nothing of any HTTP framework, of how nodes talk or of what the events mean.
//!
//! ```
//! use std::sync::Arc;
//! use carillon_protocol::{adapter::Offset, value::Value};
//! use carillon_socketio::{
//!     Admission, Config, ConnectRequest, Counters, DisconnectReason, Engine, Handler, Hub, MissedEvent, Refusal, Socket,
//!     SocketIo,
//! };
//!
//! /// Answers every event with its own arguments.
//! struct Echo;
//!
//! #[async_trait::async_trait]
//! impl Handler<()> for Echo {
//!     fn serves(&self, nsp: &str) -> bool {
//!         nsp == "/"
//!     }
//!     async fn connect(&self, _request: ConnectRequest<'_>) -> Result<Admission<()>, Refusal> {
//!         Ok(Admission { data: (), rooms: vec![], recovery: None })
//!     }
//!     async fn missed(&self, _socket: &Arc<Socket<()>>, _offset: Offset) -> Option<Vec<MissedEvent>> {
//!         None
//!     }
//!     async fn connected(&self, socket: &Arc<Socket<()>>) {
//!         socket.emit(&[Value::from("welcome")]);
//!     }
//!     async fn event(&self, _socket: &Arc<Socket<()>>, args: Vec<Value>) -> Vec<Value> {
//!         args
//!     }
//!     async fn disconnected(&self, _socket: &Arc<Socket<()>>, _reason: DisconnectReason) {}
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let counters = Arc::new(Counters::default());
//! let hub = Arc::new(Hub::new(Arc::clone(&counters)));
//! let socket_io = Arc::new(SocketIo::new(hub, Arc::new(Echo)));
//! let engine = Engine::new(Config::default(), socket_io, counters, tokio_util::task::TaskTracker::new());
//!
//! // GET /socket.io/?EIO=4&transport=polling
//! let open = engine.open_polling(carillon_socketio::Handshake::default());
//! let sid = open.split('"').nth(3).unwrap();
//! let session = engine.session(sid).unwrap();
//! // POST with a CONNECT packet and an event that wants an answer
//! session.post().unwrap().receive("40\u{1e}420[\"hello\"]".into()).await.unwrap();
//! // GET: the confirmation, what the handler sent, the answer
//! let payload = session.poll().unwrap().payload().await.unwrap();
//! assert!(payload.starts_with("40{\"sid\":\""));
//! # }
//! ```

mod config;
mod connection;
mod counters;
mod engine;
mod handler;
mod hub;
mod ids;
mod namespace;
mod observer;
mod random_id;
mod room_watch;
mod session;
mod socket;

pub use config::Config;
pub use connection::SocketIo;
pub use counters::{Counters, PacketType};
pub use engine::{Acceptor, ArrivingLayer, Engine, Owner};
pub use handler::{
    Admission, Arriving, ConnectRequest, DisconnectReason, Handler, RecoveryState, Refusal, ResumeRequest,
};
pub use hub::{Hub, Selection, Summary};
pub use ids::{Ids, RandomIds};
pub use observer::{Delivery, Observer, Path, Tracked};
pub use random_id::random_id;
pub use room_watch::RoomWatch;
pub use session::{
    Application, CloseReason, DepartingLayer, Departure, Handshake, Incoming, Leaving, Malformed, Place,
    Poll, Post, Sent, Session, SessionBrief, SessionExport, Transport, WebSocketLink, WebSocketSink,
};
pub use socket::{AckError, Answers, MissedEvent, Socket};
#[cfg(feature = "fuzzing")]
pub use {connection::fuzz_hand_over, session::fuzz_session_machine};
