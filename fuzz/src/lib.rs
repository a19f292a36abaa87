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

// These see more than a crate shows to others, and are written where they do.
pub use carillon_backplane::redis::fuzz_node_frame as node_frame;
pub use carillon_gateway::fuzzing::{
    fuzz_node_question as node_question, fuzz_rest as rest, fuzz_token as token, fuzz_websocket as websocket,
};
pub use carillon_socketio::{fuzz_hand_over as hand_over, fuzz_session_machine as session};

/// A target's name and function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, named as its program and its folder in the corpus.
pub const TARGETS: [Target; 15] = [
    ("adapter_classic", adapter_classic),
    ("adapter_sharded", adapter_sharded),
    ("engine", engine),
    ("hand_over", hand_over),
    ("names", names),
    ("node_frame", node_frame),
    ("node_question", node_question),
    ("rest", rest),
    ("session", session),
    ("socket_json", socket_json),
    ("socket_msgpack", socket_msgpack),
    ("token", token),
    ("value_json", value_json),
    ("value_msgpack", value_msgpack),
    ("websocket", websocket),
];
