//! What lies in Redis and comes over it in Carillon's own forms, as any bytes.

use bytes::Bytes;

use super::{
    recovery::record,
    routing::Frame,
    seal::{Seals, sender_of},
};

const CHANNEL: &str = "socket.io#carillon#node#aZ09aZ09#";

/// Takes any bytes for a sealed frame, for a session id, for what a frame holds and for a session's record.
///
/// # Panics
/// Where one opens that was not sealed, one that was sealed does not, or what was read is written as something else.
pub fn fuzz_node_frame(data: &[u8]) {
    let Ok(seals) = Seals::new(b"a secret that no input is sealed with") else {
        return;
    };
    forged(&seals, data);
    sealed(&seals, data);
    if let Some(record) = record::decode("pid", data) {
        let written = record::encode(&record, 7);
        assert_eq!(record::decode("pid", &written), Some(record));
    }
}

/// Nobody sealed it.
fn forged(seals: &Seals, data: &[u8]) {
    if let Some(sender) = sender_of(data) {
        let opened = seals
            .frames_of(&sender)
            .map(|key| key.open(CHANNEL, data).is_some());
        assert_eq!(opened, Ok(false), "a frame of {sender} was made up");
    }
    if let Ok(text) = str::from_utf8(data) {
        assert_eq!(seals.open_sid(text), None, "a sid was made up");
        assert!(!seals.is_uid(text), "a uid was made up");
    }
}

/// A node sealed it: it comes as it was, on its channel alone, and is read as what it was written from.
fn sealed(seals: &Seals, data: &[u8]) {
    let sender = "aZ09aZ09".into();
    let sealed = seals.frames_of(&sender).and_then(|key| {
        let sealed = key.seal(&sender, CHANNEL, 42, data)?;
        assert_eq!(key.open("another channel", &sealed), None);
        Ok(key.open(CHANNEL, &sealed))
    });
    let data = Bytes::copy_from_slice(data);
    assert_eq!(sealed, Ok(Some((42, data.clone()))));
    if let Some(frame) = Frame::decode(data) {
        assert_eq!(Frame::decode(frame.encode()), Some(frame));
    }
}
