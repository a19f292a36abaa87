//! What one node says to another over [`carillon_backplane::Routing::request`]: a byte for the subject, then what
//! the subject writes for itself.

use bytes::Bytes;
use carillon_backplane::NodeTag;
use serde::{Serialize, de::DeserializeOwned};

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Subject {
    /// A client has come back on another node: its old connection ends.
    Supersede = 1,
    /// A request of a client for a session of that node.
    Forward = 2,
    /// A session goes to another node.
    HandOver = 3,
}

impl Subject {
    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Supersede),
            2 => Some(Self::Forward),
            3 => Some(Self::HandOver),
            _ => None,
        }
    }
}

/// A message as it is sent.
pub(crate) fn seal(subject: Subject, payload: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(1 + payload.len());
    message.push(subject as u8);
    message.extend_from_slice(payload);
    message.into()
}

/// The subject and its part of a message; `None` where it is none of this version's.
pub(crate) fn open(message: &Bytes) -> Option<(Subject, Bytes)> {
    let subject = Subject::of(*message.first()?)?;
    Some((subject, message.slice(1..)))
}

/// A subject's part of a message, or of its answer.
pub(crate) fn encode(value: &impl Serialize) -> Bytes {
    // Plain data can be encoded; where it could not, the other side would not understand, and give up.
    rmp_serde::to_vec(value).unwrap_or_default().into()
}

/// Reads what the node `from` asks. Where that cannot be read the answer is an empty one.
pub(crate) fn read_question<T: DeserializeOwned>(from: &NodeTag, question: &[u8]) -> Option<T> {
    let read = rmp_serde::from_slice(question);
    if read.is_err() {
        tracing::warn!(%from, "a node asked what cannot be read");
    }
    read.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened() {
        for subject in [Subject::Supersede, Subject::Forward, Subject::HandOver] {
            let message = seal(subject, b"payload");
            assert_eq!(open(&message), Some((subject, Bytes::from_static(b"payload"))));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for message in [&b""[..], &[0], &[4, 1], &[255]] {
            assert_eq!(open(&Bytes::from_static(message)), None);
        }
    }
}
