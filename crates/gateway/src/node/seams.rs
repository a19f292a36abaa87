//! What the edges ask of the node's parts, each through a trait of its own, and who answers.

use std::{net::IpAddr, sync::Arc, time::Duration};

use carillon_protocol::{
    id::UserId,
    problem::{Code, Problem},
};

use crate::{
    auth::{self, Identity, Role, TokenError, Verifier},
    clock::Clock,
    events::{Quota, Verify},
    http::{
        dev::{MintToken, Minted},
        rest::{RequestQuota, VerifyToken},
    },
    limits::Limits,
    settings::AuthSettings,
};

impl Verify for Verifier {
    fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        Self::verify(self, token)
    }
}

impl VerifyToken for Verifier {
    fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        Self::verify(self, token)
    }
}

impl Quota for Limits {
    fn message(&self, user: &UserId) -> Result<(), u64> {
        Self::message(self, user).map_err(|refusal| refusal.millis)
    }
}

impl RequestQuota for Limits {
    fn request(&self, address: IpAddr) -> Result<(), u64> {
        Self::request(self, address).map_err(|refusal| refusal.millis)
    }
}

/// Signs with the development secret.
pub(super) struct DevMint {
    pub(super) settings: AuthSettings,
    pub(super) clock: Arc<dyn Clock>,
}

impl MintToken for DevMint {
    fn mint(&self, user: &UserId, role: Role, ttl: Duration) -> Result<Minted, Problem> {
        let now = self.clock.now();
        let token = auth::mint(&self.settings, user, role, Some(ttl), now)
            .map_err(|error| Problem::new(Code::Invalid, error.to_string()))?;
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let issued = now.as_millis() - now.as_millis().rem_euclid(1_000);
        let expires_at = carillon_protocol::time::Timestamp::from_millis(
            issued.saturating_add(seconds.saturating_mul(1_000)),
        );
        Ok(Minted { token, expires_at })
    }
}
