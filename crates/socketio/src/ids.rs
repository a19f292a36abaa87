//! Where the ids come from that clients are given.

use bytestring::ByteString;

use crate::random_id::random_id;

/// Makes ids. Nobody may be able to guess one, and none may come twice. Characters: `[A-Za-z0-9_-]`.
pub trait Ids: Send + Sync {
    /// The id of a new session, a secret.
    fn new_sid(&self) -> ByteString;

    /// The id of a new socket, which is public, and the name of its own room.
    fn new_socket_id(&self) -> ByteString;
}

/// Ids that tell nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn new_sid(&self) -> ByteString {
        random_id()
    }

    fn new_socket_id(&self) -> ByteString {
        random_id()
    }
}
