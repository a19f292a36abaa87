//! What other nodes send, in both dialects of the Node adapter.

use bytes::Bytes;
use carillon_protocol::adapter::{
    DecodeError, Received, classic,
    sharded::{self, Echo, Message},
};

const NSP: &str = "/";

/// Writes a broadcast as it was read: with its offset where it had one.
macro_rules! write {
    ($dialect:ident, $received:expr) => {{
        let Received { uid, broadcast, kept } = $received;
        match kept {
            Some(kept) => $dialect::encode_kept(uid, broadcast, &kept.id).fill(kept.offset),
            None => $dialect::encode(uid, broadcast),
        }
    }};
}

/// Asserts that what was read from `written` is written as the same bytes again, once it was written by us.
fn assert_settles<T: std::fmt::Debug>(
    read: &T,
    write: impl Fn(&T) -> Option<Bytes>,
    decode: impl Fn(&Bytes) -> Result<T, DecodeError>,
) {
    let Some(written) = write(read) else {
        return;
    };
    match decode(&written) {
        Ok(again) => assert_eq!(write(&again).as_ref(), Some(&written), "{read:?}"),
        Err(error) => panic!("{read:?} as {written:?} is refused: {error}"),
    }
}

/// Broadcasts, requests and answers of the classic adapter.
pub fn adapter_classic(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    let uid = classic::peek_uid(&payload);
    if let Ok(received) = classic::decode(&payload, NSP) {
        // At the first look a sender that is no UTF-8 is nobody; then its name is mended.
        assert!(
            uid.is_none_or(|uid| received.uid == uid),
            "{uid:?} is another in {received:?}"
        );
        assert_settles(
            &received,
            |received| Some(write!(classic, received)),
            |payload| classic::decode(payload, NSP),
        );
    }
    if let Ok(request) = classic::decode_request(&payload, NSP) {
        let write = |request: &_| Some(classic::encode_request(request));
        assert_settles(&request, write, |payload| classic::decode_request(payload, NSP));
    }
    if let Ok(response) = classic::decode_response(&payload) {
        let write = |response: &_| Some(classic::encode_response(response));
        assert_settles(&response, write, classic::decode_response);
    }
}

/// Messages of the sharded adapter.
pub fn adapter_sharded(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    let _ = Echo::new("lKQJvu", NSP).is(&payload);
    let Ok(message) = sharded::decode(&payload, NSP) else {
        return;
    };
    let write = |message: &Message| match message {
        Message::Broadcast(received) => Some(write!(sharded, received)),
        Message::Request(request) => sharded::encode_request(NSP, request),
        Message::Response { uid, response } => sharded::encode_response(uid, NSP, response),
    };
    assert_settles(&message, write, |payload| sharded::decode(payload, NSP));
}
