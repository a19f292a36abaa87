//! What another node says of a session that moves, as any bytes.

use bytes::Bytes;
use carillon_protocol::value::Value;

use super::transfer::{ConnectionBrief, ConnectionExport};
use crate::session::{SessionBrief, SessionExport};

/// Takes any bytes for both halves of a session that moves, of the session and of the connection in it.
///
/// # Panics
/// Where what was read is written as something else.
pub fn fuzz_hand_over(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Some(brief) = SessionBrief::from_bytes(&bytes) {
        let written = brief.to_bytes();
        let again = SessionBrief::from_bytes(&written);
        assert_eq!(again.map(|again| again.to_bytes()), Some(written));
        settles(
            &brief.layer,
            ConnectionBrief::from_value,
            ConnectionBrief::into_value,
        );
    }
    if let Some(export) = SessionExport::from_bytes(&bytes) {
        let written = export.to_bytes();
        let again = SessionExport::from_bytes(&written);
        assert_eq!(again.map(|again| again.to_bytes()), Some(written));
        settles(
            &export.layer,
            ConnectionExport::from_value,
            ConnectionExport::into_value,
        );
    }
}

/// Asserts that what was read of `layer` is written and read as the same; compared as bytes, as a number that is none equals
/// nothing.
fn settles<T>(layer: &Value, read: impl Fn(&Value) -> Option<T>, write: impl Fn(T) -> Value) {
    let Some(written) = read(layer).map(&write) else {
        return;
    };
    let again = read(&written).map(write);
    assert_eq!(again.map(|again| again.to_msgpack()), Some(written.to_msgpack()));
}
