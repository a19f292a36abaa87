//! Why settings are refused, in words for the operator.

use std::{
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Why settings are refused. Secrets are never part of a message.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value that its setting does not take.
    #[error("{name} is {value}, but it takes {allowed}")]
    Value {
        /// Flag, variable or the file's key, as the operator wrote it.
        name: String,
        /// The value, quoted; `(hidden)` for secrets.
        value: String,
        /// What would be taken.
        allowed: String,
    },
    /// A name that nothing can be set by.
    #[error("{name} is no setting of Carillon{}", hint.as_ref().map_or_else(String::new, |hint| format!(", did you mean {hint}?")))]
    Unknown {
        /// The variable, or the file's key and path.
        name: String,
        /// The nearest known name, where one is near.
        hint: Option<String>,
    },
    /// More than one fault, in the order in which they were met; none of them is of this kind.
    #[error("{} settings are wrong:{}", .0.len(), .0.iter().map(|error| format!("\n  {error}")).collect::<String>())]
    Several(Vec<Self>),
    /// The settings file cannot be read.
    #[error("the settings file {} cannot be read: {reason}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A public address with `--dev`.
    #[error(
        "CARILLON_BIND is {bind}, but --dev serves this machine alone: take a loopback address such as 127.0.0.1, \
         or leave --dev out"
    )]
    DevBind {
        /// The address.
        bind: IpAddr,
    },
    /// One port for two listeners.
    #[error("PORT and CARILLON_INTERNAL_PORT are both {port}, but each needs a port of its own")]
    SamePort {
        /// The port.
        port: u16,
    },
    /// Nodes that would share events, each with a history of its own.
    #[error(
        "REDIS_URL is set and MONGODB_URI is not, but nodes that share events must share their history: set MONGODB_URI \
         to the database of all nodes, or leave REDIS_URL unset for a node that is alone"
    )]
    RedisAlone,
    /// A secret that nobody shares.
    #[error(
        "CARILLON_CLUSTER_SECRET is set and REDIS_URL is not, but a node that is alone shares no secret: set REDIS_URL to \
         the Redis that joins the nodes, or leave CARILLON_CLUSTER_SECRET unset"
    )]
    SecretAlone,
    /// Nothing that tokens could be verified by.
    #[error(
        "no token can be verified: set JWT_SECRET to the secret that your application signs tokens with, or \
         CARILLON_JWT_PUBLIC_KEY to the public key (PEM), or CARILLON_JWKS to a file or URL with a JSON Web Key Set; to try \
         Carillon on this machine, add --dev"
    )]
    NoKey,
    /// The development secret can be neither read nor made.
    #[error("the development secret {} cannot be kept: {source}", path.display())]
    DevSecret {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SettingsError {
    /// All of `errors` as one, if there is any.
    pub(super) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 | 1 => errors.pop().map_or(Ok(()), Err),
            _ => Err(Self::Several(errors)),
        }
    }

    pub(super) fn file(path: &Path, reason: &dyn fmt::Display) -> Self {
        Self::File {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        }
    }
}
