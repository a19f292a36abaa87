//! Wire formats and domain types of Carillon: no I/O, no async, no clock, no randomness.
//!
//! Two halves. The wire: [`engine`] (Engine.IO v4 packets and polling payloads), [`socket`] (Socket.IO v5
//! packets in the default and the msgpack parser) and [`adapter`] (what nodes tell each other), all over one
//! dynamic [`value::Value`]. The domain: ids, chats, messages, notifications, the events and errors that
//! clients see. Every other crate depends on this one; it depends on none of them.

pub mod adapter;
pub mod chat;
pub mod engine;
pub mod event;
pub mod id;
pub mod limits;
pub mod message;
pub mod notification;
pub mod presence;
pub mod problem;
pub mod socket;
pub mod text;
pub mod time;
pub mod value;
