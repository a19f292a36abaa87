//! The HTTP edge: every route of a node, and what all of them share.

pub mod body;
pub mod client;
mod connection;
pub mod console;
pub mod cors;
pub mod dev;
pub mod engineio;
pub mod error;
pub mod health;
pub mod measure;
pub mod openapi;
pub mod origin;
pub mod rest;
pub mod server;
