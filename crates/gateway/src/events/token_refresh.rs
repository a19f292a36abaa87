//! `refreshToken {token}`: renews the token of the live connection. Only the ack answers: `{expiresAt}`.

use carillon_protocol::{
    problem::{Code, Problem},
    value::{Object, Value},
};

use super::{
    Answer, Caller, Effect, Events, Outcome,
    fields::{self, invalid},
};
use crate::auth::{Identity, TokenError};

const FAILED: &str = "Failed to refresh token";

impl Events {
    pub(super) fn refresh_token(&self, caller: &Caller<'_>, payload: &Value) -> Answer {
        let identity = self
            .own_identity(caller, payload)
            .map_err(|problem| problem.under(FAILED))?;
        let ack = Object::with_capacity(1).with("expiresAt", identity.expires_at);
        Ok(Outcome::acknowledged(ack).with_effect(Effect::Renew(identity.expires_at)))
    }

    fn own_identity(&self, caller: &Caller<'_>, payload: &Value) -> Result<Identity, Problem> {
        let token = fields::present(payload, "token").and_then(Value::as_text);
        let token = token.ok_or_else(|| invalid("token is no text"))?;
        let identity = self.verifier.verify(token).map_err(|error| match error {
            TokenError::Expired => Problem::new(Code::TokenExpired, error.to_string()),
            TokenError::Invalid => invalid(error.to_string()),
        })?;
        match &identity.user {
            Some(user) if user == caller.user => Ok(identity),
            Some(_) => Err(Problem::new(Code::Forbidden, "the token is another user's")),
            None => Err(invalid("the token names nobody")),
        }
    }
}
