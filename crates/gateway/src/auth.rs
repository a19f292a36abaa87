//! Who a caller is: what a verified JWT says.
//!
//! [`Verifier`] decides about tokens, [`authenticate`] about Socket.IO handshakes, [`dev_request_allowed`] about
//! requests to a development node. Nothing here knows HTTP or sockets.

mod claims;
mod dev;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod handshake;
mod jwks;
mod keys;
mod mint;
mod verifier;

use carillon_protocol::{id::UserId, time::Timestamp};

pub use dev::{dev_request_allowed, is_forwarding_header};
#[cfg(feature = "fuzzing")]
pub use fuzzing::fuzz_token;
pub use handshake::{Caller, Refusal, authenticate, bearer};
pub use jwks::{Jwks, JwksFile, JwksSource, JwksUrl};
pub use keys::PublicKey;
pub use mint::{MintError, mint};
pub use verifier::{Attempt, BackendError, Verifier, warnings};

/// How far two clocks may be apart where `exp` and `nbf` are looked at, in milliseconds.
pub const LEEWAY_MS: i64 = 5_000;
/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1_024;

/// A verified caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user that the token names; `None` where it names nobody.
    pub user: Option<UserId>,
    /// What the token allows beside one's own.
    pub role: Role,
    /// When the token expires; `None` without `exp`. It is taken for [`LEEWAY_MS`] longer.
    pub expires_at: Option<Timestamp>,
}

/// What a token allows over REST. On sockets everyone is a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One's own only.
    User,
    /// Everybody's.
    Admin,
    /// Creating notifications in any name, and cleanup.
    Service,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Anything else.
    #[error("the token is not valid")]
    Invalid,
}

/// Tells who a token names. [`Verifier`] does; tests have their own.
pub trait VerifyToken: Send + Sync {
    /// Verifies a JWT.
    ///
    /// # Errors
    /// [`TokenError`] where it is not, or no longer, good.
    fn verify(&self, token: &str) -> Result<Identity, TokenError>;
}

impl VerifyToken for Verifier {
    fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        Self::verify(self, token)
    }
}

#[cfg(test)]
mod tests;
