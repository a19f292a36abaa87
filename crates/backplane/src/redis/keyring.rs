//! The secrets in use: the present one, and those before it.
//!
//! Where the settings name no secret, the first node puts one into Redis. If Redis loses it and another node was
//! quicker to put its own there, this node takes that over, and still knows the sids that it sealed before.

use std::sync::Arc;

use parking_lot::RwLock;
use rand::distr::{Alphanumeric, SampleString};

use super::{channels::Names, codec::Identity, commands::Commands, seal::Seals};
use crate::{NodeTag, Result, Unavailable};

/// Most secrets that are known at a time.
const MAX_SECRETS: usize = 4;

/// Letters and digits of a secret that a node makes up: more than 256 bits.
const SECRET_LENGTH: usize = 44;

pub(super) fn random_secret() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), SECRET_LENGTH)
}

/// The secret in Redis, which is `own` if there was none.
pub(super) async fn shared_secret(commands: &Commands, names: &Names, own: &str) -> Result<String> {
    let mut asked = redis::pipe();
    asked.cmd("SET").arg(names.secret()).arg(own).arg("NX").ignore();
    asked.cmd("GET").arg(names.secret());
    let (secret,): (String,) = commands.pipeline(&asked).await?;
    Ok(secret)
}

/// The keys in use, and who this node is by them.
pub(super) struct Ring {
    pub(super) secret: String,
    pub(super) identity: Identity,
    /// The present ones first.
    seals: Vec<Arc<Seals>>,
}

impl Ring {
    /// The keys that all nodes share now.
    pub(super) fn seals(&self) -> impl Iterator<Item = &Seals> {
        self.seals.iter().map(|seals| &**seals)
    }

    /// The node that `sid` names.
    pub(super) fn node_of(&self, sid: &str) -> Option<NodeTag> {
        self.seals().find_map(|seals| seals.open_sid(sid))
    }

    /// Whether `uid` is a node's of this cluster.
    pub(super) fn is_uid(&self, uid: &str) -> bool {
        self.seals().any(|seals| seals.is_uid(uid))
    }
}

pub(super) struct Keyring(RwLock<Arc<Ring>>);

impl Keyring {
    pub(super) fn new(secret: &str, tag: &NodeTag, nsp: &str) -> Result<Self> {
        ring(secret, tag, nsp, &[]).map(|ring| Self(RwLock::new(Arc::new(ring))))
    }

    pub(super) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.0.read())
    }

    /// Takes over the secret that the cluster has now.
    pub(super) fn adopt(&self, secret: &str, tag: &NodeTag, nsp: &str) -> Result<()> {
        let before = self.ring();
        if before.secret != secret {
            *self.0.write() = Arc::new(ring(secret, tag, nsp, &before.seals)?);
        }
        Ok(())
    }
}

fn ring(secret: &str, tag: &NodeTag, nsp: &str, before: &[Arc<Seals>]) -> Result<Ring> {
    let seals = Seals::new(secret.as_bytes())
        .map_err(|_| Unavailable::new("no keys can be made of the cluster's secret"))?;
    Ok(Ring {
        secret: secret.to_owned(),
        identity: Identity::new(&seals, tag, nsp),
        seals: std::iter::once(Arc::new(seals))
            .chain(before.iter().take(MAX_SECRETS - 1).cloned())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_is_used_and_the_old_one_still_known() {
        let tag = NodeTag::from_static("aaaaaaaa");
        let keyring = Keyring::new("first", &tag, "/").unwrap();
        let before = keyring.ring();
        let sid = before.seals().next().unwrap().seal_sid(&tag, [1; 12]).unwrap();

        keyring.adopt("second", &tag, "/").unwrap();
        let now = keyring.ring();
        assert_eq!(now.node_of(&sid), Some(tag));
        assert!(now.is_uid(&before.identity.uid) && !before.is_uid(&now.identity.uid));
        assert_ne!(now.identity.uid, before.identity.uid);
    }

    #[test]
    fn secrets_are_forgotten_in_the_end() {
        let tag = NodeTag::from_static("aaaaaaaa");
        let keyring = Keyring::new("first", &tag, "/").unwrap();
        let sid = keyring
            .ring()
            .seals()
            .next()
            .unwrap()
            .seal_sid(&tag, [1; 12])
            .unwrap();
        for n in 0..MAX_SECRETS {
            keyring.adopt(&n.to_string(), &tag, "/").unwrap();
        }
        assert_eq!(keyring.ring().node_of(&sid), None);
    }
}
