//! Who connects: the table "Handshake" of the client contract.

use carillon_protocol::{id::UserId, time::Timestamp, value::Value};

use super::{TokenError, Verifier};

/// Who a connection belongs to. On sockets everyone is an ordinary user, so there is no role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user that the token names.
    pub user: UserId,
    /// When the token expires; `None` without `exp`.
    pub expires_at: Option<Timestamp>,
}

/// Why a handshake is refused; its text is the `message` of the `connect_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token at all.
    #[error("Authentication token required")]
    TokenRequired,
    /// A good token that names nobody, and no `auth.userId`.
    #[error("User ID required")]
    UserIdRequired,
    /// Anything else; why is for the log.
    #[error("Authentication failed")]
    Failed(#[source] Failure),
}

/// Why authentication failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The token is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// `auth.token` is neither text nor nothing.
    #[error("the token is no text")]
    TokenType,
    /// `auth.userId` is no id.
    #[error("auth.userId is no user id")]
    UserId,
    /// The token names another user than `auth.userId`, or nobody.
    #[error("the token does not name auth.userId")]
    OtherUser,
}

/// Decides about a handshake by its `auth` payload and its `Authorization` header, of which `auth.token` wins.
/// `null` and `''` count as absent, and a bad token is refused before anybody asks who it names.
///
/// # Errors
/// [`Refusal`], in the order of its variants.
pub fn authenticate(
    verifier: &Verifier,
    auth: Option<&Value>,
    authorization: Option<&str>,
) -> Result<Caller, Refusal> {
    let field = |name| {
        auth.and_then(|auth| auth.get(name))
            .filter(|value| is_given(value))
    };
    let token = match field("token") {
        Some(Value::String(token)) => token,
        Some(_) => return Err(Refusal::Failed(Failure::TokenType)),
        None => authorization.and_then(bearer).ok_or(Refusal::TokenRequired)?,
    };
    let identity = verifier
        .verify(token)
        .map_err(|error| Refusal::Failed(error.into()))?;
    let user = match (identity.user, field("userId")) {
        (None, None) => return Err(Refusal::UserIdRequired),
        (Some(user), None) => user,
        (named, Some(claimed)) => {
            let claimed = UserId::from_value(claimed).map_err(|_| Refusal::Failed(Failure::UserId))?;
            named
                .filter(|user| *user == claimed)
                .ok_or(Refusal::Failed(Failure::OtherUser))?
        }
    };
    Ok(Caller {
        user,
        expires_at: identity.expires_at,
    })
}

/// The token of an `Authorization` header: `Bearer <token>`, the scheme in any case.
#[must_use]
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}
