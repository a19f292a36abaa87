//! A client has come back on another node than the one that had its connection: that one ends whatever is left of it.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use carillon_backplane::{NodeTag, Routing};
use serde::{Deserialize, Serialize};

use super::message::{self, Subject};

/// How long the old node is waited for. One that does not answer has no say.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which session has come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Question {
    /// Its private id.
    pub(crate) pid: ByteString,
    /// Its socket.
    pub(crate) socket_id: ByteString,
}

/// What the old node had of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Old {
    /// Nothing.
    Unknown,
    /// A connection, which has ended.
    Ended,
    /// A connection that took the session over a moment ago, and keeps it.
    Rival,
}

impl Question {
    /// Reads what another node asks.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(payload).ok()
    }
}

impl Old {
    pub(super) const fn answer(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Unknown => b"u",
            Self::Ended => b"e",
            Self::Rival => b"r",
        })
    }

    fn of(answer: &[u8]) -> Self {
        match answer {
            b"e" => Self::Ended,
            b"r" => Self::Rival,
            _ => Self::Unknown,
        }
    }
}

/// Asks the node that had the session last, if it is another one and lives.
pub(crate) async fn ask(routing: &(impl Routing + ?Sized), node: &NodeTag, question: &Question) -> Old {
    if node == routing.tag() || !routing.is_alive(node) {
        return Old::Unknown;
    }
    let payload = match rmp_serde::to_vec(question) {
        Ok(payload) => payload,
        Err(error) => {
            tracing::error!(%error, "question not written");
            return Old::Unknown;
        }
    };
    match routing
        .request(node, message::seal(Subject::Supersede, &payload), PATIENCE)
        .await
    {
        Ok(answer) => Old::of(&answer),
        Err(error) => {
            tracing::debug!(%error, "the old connection's node has no say");
            Old::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_its_answers_survive_the_way() {
        let question = Question {
            pid: "p".into(),
            socket_id: "s".into(),
        };
        let bytes = rmp_serde::to_vec(&question).unwrap();
        assert_eq!(Question::read(&bytes), Some(question));
        for old in [Old::Unknown, Old::Ended, Old::Rival] {
            assert_eq!(Old::of(&old.answer()), old);
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_question_and_no_rival() {
        for bytes in [&b""[..], b"\x92\xa1p", b"\xff\xff", b"text"] {
            assert_eq!(Question::read(bytes), None);
            assert_eq!(Old::of(bytes), Old::Unknown);
        }
    }
}
