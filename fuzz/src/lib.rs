//! What libFuzzer drives, one function for each target. Each takes any bytes, and fails by panicking.
//!
//! They ask for more than that nothing panics: what was read is written, read again and found the same; where there is a second
//! way to an answer, both are compared. `targets/` holds the programs, `corpus/` the inputs they begin with, `tests/corpus.rs`
//! replays these.

#![expect(clippy::expect_used, clippy::panic, reason = "a target fails by panicking")]

mod adapter;
mod domain;
mod wire;

pub use adapter::{adapter_classic, adapter_sharded};
pub use domain::names;
pub use wire::{engine, socket_json, socket_msgpack, value_json, value_msgpack};

/// A session machine under any inputs at any times.
pub fn session(data: &[u8]) {
    carillon_socketio::fuzz_session_machine(data);
}

/// A target's name and function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, named as its program and its folder in the corpus.
pub const TARGETS: [Target; 9] = [
    ("adapter_classic", adapter_classic),
    ("adapter_sharded", adapter_sharded),
    ("engine", engine),
    ("names", names),
    ("session", session),
    ("socket_json", socket_json),
    ("socket_msgpack", socket_msgpack),
    ("value_json", value_json),
    ("value_msgpack", value_msgpack),
];
