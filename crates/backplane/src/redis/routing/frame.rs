//! What nodes tell each other on Carillon's own channels, before it is sealed: a kind, a number, a body.

use bytes::{BufMut as _, Bytes, BytesMut};

/// A message from node to node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::redis) enum Frame {
    /// A node to itself: does what it publishes come back?
    Probe(u64),
    /// Work for the other node.
    Request { id: u64, body: Bytes },
    /// Its answer.
    Response { id: u64, body: Bytes },
    /// The other node takes no more work now.
    Refused { id: u64 },
    /// Nobody waits for the answer any more.
    Cancel { id: u64 },
    /// A place in the order of all events.
    Fence { id: Bytes },
    /// Nodes came or went.
    Membership,
    /// A node to itself: all that was published before has come back.
    Mark(u64),
}

impl Frame {
    pub(in crate::redis) fn encode(&self) -> Bytes {
        let nothing = Bytes::new();
        let (kind, id, body) = match self {
            Self::Probe(id) => (0, *id, &nothing),
            Self::Request { id, body } => (1, *id, body),
            Self::Response { id, body } => (2, *id, body),
            Self::Refused { id } => (3, *id, &nothing),
            Self::Cancel { id } => (4, *id, &nothing),
            Self::Fence { id } => (5, 0, id),
            Self::Membership => (6, 0, &nothing),
            Self::Mark(id) => (7, *id, &nothing),
        };
        let mut bytes = BytesMut::with_capacity(9 + body.len());
        bytes.put_u8(kind);
        bytes.put_u64(id);
        bytes.put_slice(body);
        bytes.freeze()
    }

    /// `None` for anything that [`Frame::encode`] does not write.
    pub(in crate::redis) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.len() < 9 {
            return None;
        }
        let body = bytes.split_off(9);
        let (kind, id) = bytes.split_first()?;
        let id = u64::from_be_bytes(id.try_into().ok()?);
        Some(match (kind, body.is_empty()) {
            (0, true) => Self::Probe(id),
            (1, _) => Self::Request { id, body },
            (2, _) => Self::Response { id, body },
            (3, true) => Self::Refused { id },
            (4, true) => Self::Cancel { id },
            (5, _) => Self::Fence { id: body },
            (6, true) => Self::Membership,
            (7, true) => Self::Mark(id),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_read_as_it_was_written(id in any::<u64>(), body in any::<Vec<u8>>()) {
            let body = Bytes::from(body);
            for frame in [
                Frame::Probe(id),
                Frame::Request { id, body: body.clone() },
                Frame::Response { id, body: body.clone() },
                Frame::Refused { id },
                Frame::Cancel { id },
                Frame::Fence { id: body },
                Frame::Membership,
                Frame::Mark(id),
            ] {
                prop_assert_eq!(Frame::decode(frame.encode()), Some(frame));
            }
        }

        #[test]
        fn nothing_else_is_a_frame(bytes in any::<Vec<u8>>()) {
            if let Some(frame) = Frame::decode(Bytes::from(bytes)) {
                prop_assert_eq!(Frame::decode(frame.encode()), Some(frame));
            }
        }
    }
}
