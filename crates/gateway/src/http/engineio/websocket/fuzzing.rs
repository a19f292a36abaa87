//! What a client sends over a WebSocket, as any bytes.

use actix_http::ws::Codec;
use actix_ws::Message;
use bytes::BytesMut;
use carillon_socketio::Incoming;
use tokio_util::codec::Encoder as _;

use super::messages::{Messages, Read};

const MAX_PAYLOAD: usize = 300;
/// The longest header of a frame that a client sends, in bytes.
const MAX_HEADER: usize = 14;

/// Reads the bytes after the first in pieces of as many bytes as the first one says, and at once. What a client says does not
/// depend on how the network cuts it.
///
/// # Panics
/// Where it does, where what was read is read as something else once it is written, and where too much is held or given.
pub fn fuzz_websocket(data: &[u8]) {
    let Some((size, sent)) = data.split_first() else {
        return;
    };
    let read = read(sent, sent.len());
    assert_eq!(read, self::read(sent, usize::from(*size)));
    let written = write(&read);
    assert_eq!(read, self::read(&written, usize::from(*size)));
}

/// All that comes of `sent`, to the first message that is none.
fn read(sent: &[u8], size: usize) -> Vec<Read> {
    let mut messages = Messages::new(MAX_PAYLOAD);
    let mut buffer = BytesMut::new();
    let mut all = Vec::new();
    for piece in sent.chunks(size.max(1)) {
        buffer.extend_from_slice(piece);
        while let Some(read) = messages.next(&mut buffer) {
            let length = match &read {
                Read::Message(Incoming::Text(text)) => text.len(),
                Read::Message(Incoming::Binary(bytes)) | Read::Ping(bytes) => bytes.len(),
                // A frame that is wrong in two ways may be found so by either.
                Read::Message(Incoming::TooBig | Incoming::Invalid) => {
                    all.push(Read::Message(Incoming::Invalid));
                    return all;
                }
                Read::Close(_) => {
                    all.push(read);
                    return all;
                }
            };
            assert!(length <= MAX_PAYLOAD, "{length} bytes are taken");
            all.push(read);
        }
        assert!(
            buffer.len() < MAX_PAYLOAD + MAX_HEADER,
            "{} bytes are held",
            buffer.len()
        );
    }
    all
}

/// As a client would have sent it, without fragments.
fn write(all: &[Read]) -> BytesMut {
    let mut codec = Codec::new().client_mode();
    let mut written = BytesMut::new();
    for read in all {
        let message = match read {
            Read::Message(Incoming::Text(text)) => Message::Text(text.clone()),
            Read::Message(Incoming::Binary(bytes)) => Message::Binary(bytes.clone()),
            Read::Ping(bytes) => Message::Ping(bytes.clone()),
            Read::Close(reason) => Message::Close(reason.clone()),
            Read::Message(Incoming::TooBig | Incoming::Invalid) => {
                // Not masked, which no frame of a client is.
                written.extend_from_slice(&[0x82, 0]);
                continue;
            }
        };
        assert!(
            codec.encode(message, &mut written).is_ok(),
            "{read:?} is not written"
        );
    }
    written
}
