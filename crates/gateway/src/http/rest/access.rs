//! Who calls, and what is theirs.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use carillon_protocol::{chat::Pair, id::UserId, problem::Code};

use super::query::Query;
use crate::{
    auth::{self, Identity, Role, VerifyToken},
    http::error::ApiError,
};

const NOT_IN_CHAT: &str = "userId is none of the two of this chatboxId";

/// A verified caller.
#[derive(Debug)]
pub(super) struct Caller {
    identity: Identity,
}

impl Caller {
    /// Verifies the `Authorization: Bearer` token. One that names nobody is good only for a role.
    ///
    /// # Errors
    /// 401 without a token or with a bad one.
    pub(super) fn authenticate(headers: &HeaderMap, verifier: &dyn VerifyToken) -> Result<Self, ApiError> {
        let invalid = || ApiError::new(Code::Unauthorized, "Invalid token");
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = authorization.and_then(auth::bearer) else {
            return Err(ApiError::new(
                Code::Unauthorized,
                "Access denied, no token provided",
            ));
        };
        let identity = verifier.verify(token).map_err(|_| invalid())?;
        if identity.user.is_none() && identity.role == Role::User {
            return Err(invalid());
        }
        Ok(Self { identity })
    }

    pub(super) fn is_admin(&self) -> bool {
        self.identity.role == Role::Admin
    }

    /// Whether the caller may create notifications in any name and clean up.
    pub(super) fn may_act_for_anyone(&self) -> bool {
        matches!(self.identity.role, Role::Admin | Role::Service)
    }

    pub(super) fn is(&self, user: &UserId) -> bool {
        self.identity.user.as_ref() == Some(user)
    }

    /// Lets through what is `user`'s own, and admins.
    ///
    /// # Errors
    /// 403 for anyone else.
    pub(super) fn must_be(&self, user: &UserId) -> Result<(), ApiError> {
        if self.is(user) || self.is_admin() {
            return Ok(());
        }
        Err(ApiError::forbidden())
    }

    /// The chat of this name in which the caller is.
    fn own_chat(&self, chatbox_id: &str) -> Option<Pair> {
        Pair::resolve(chatbox_id, self.identity.user.as_ref()?)
    }

    /// Whether `chatbox_id` names chats, but none of the caller's.
    pub(super) fn is_outside(&self, chatbox_id: &str) -> bool {
        !self.is_admin() && self.own_chat(chatbox_id).is_none() && !Pair::readings(chatbox_id).is_empty()
    }

    /// The refusal of a chat in which the named user is not: for that user 403, for an admin 400.
    pub(super) fn refuse_chat(&self) -> ApiError {
        if self.is_admin() {
            return ApiError::invalid(NOT_IN_CHAT);
        }
        ApiError::forbidden()
    }

    /// The chat that `chatbox_id` means for the caller: the caller's own, or for an admin any that has this name, the one
    /// of `?userId=` where several have. `None` for an admin where the text names no chat.
    ///
    /// # Errors
    /// 403 for anyone else's; 400 where an admin does not say which, or names one who is in none of them.
    pub(super) fn chat(&self, chatbox_id: &str, query: &Query) -> Result<Option<Pair>, ApiError> {
        let own = self.own_chat(chatbox_id);
        if !self.is_admin() {
            return own.map(Some).ok_or_else(ApiError::forbidden);
        }
        if let Some(user) = query.get("userId")? {
            let user = UserId::parse(user.to_owned()).ok();
            let named = user.and_then(|user| Pair::resolve(chatbox_id, &user));
            return named.map(Some).ok_or_else(|| ApiError::invalid(NOT_IN_CHAT));
        }
        if own.is_some() {
            return Ok(own);
        }
        let mut readings = Pair::readings(chatbox_id);
        if readings.len() > 1 {
            return Err(ApiError::invalid(
                "This chatboxId names several chats: say whose by ?userId=",
            ));
        }
        Ok(readings.pop())
    }
}
