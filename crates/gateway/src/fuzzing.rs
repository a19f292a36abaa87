//! What the fuzz targets drive: each takes any bytes, and panics where a rule is broken.

pub use crate::{
    auth::fuzz_token,
    cluster::fuzz_node_question,
    http::{engineio::fuzz_websocket, rest::fuzz_rest},
};
