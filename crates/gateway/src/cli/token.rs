//! `carillon token`: signs a token, so that a node can be tried without an application that signs in its users.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use carillon_protocol::id::UserId;
use clap::{Args, ValueEnum};

use super::Failure;
use crate::{
    auth,
    clock::{Clock as _, SystemClock},
    settings::{Environment, Flags, Settings, read},
};

/// Sign a token and print it
///
/// The secret is that of `carillon serve` with the same settings: --secret, JWT_SECRET, the
/// settings file, or with --dev the one in the data folder.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example: TOKEN=$(carillon token --dev --user alice)"
)]
pub struct Token {
    /// Whom the token names
    #[arg(long, value_name = "ID", value_parser = user)]
    user: UserId,
    /// What it allows over REST beside one's own
    #[arg(long, value_enum, default_value_t = Role::User)]
    role: Role,
    /// How long it is good: a time such as 90s, 15m, 12h or 30d, or `never` for one that does not expire
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = ttl)]
    ttl: Ttl,
    /// The secret to sign with; rather JWT_SECRET, as other users of the machine see flags
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
    /// Sign with the secret of the development node
    #[arg(long)]
    dev: bool,
    /// Folder of the development secret [env: CARILLON_DATA_DIR] [default: ./data]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Settings file [env: CARILLON_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// One's own only
    User,
    /// Everybody's
    Admin,
    /// Creating notifications in any name, and cleanup
    Service,
}

/// How long a token is good; nothing is forever.
#[derive(Debug, Clone, Copy)]
struct Ttl(Option<Duration>);

impl Token {
    pub(super) fn sign(&self, environment: &Environment) -> Result<String, Failure> {
        let settings = Settings::load(&self.flags(), environment)?;
        let role = match self.role {
            Role::User => auth::Role::User,
            Role::Admin => auth::Role::Admin,
            Role::Service => auth::Role::Service,
        };
        let now = SystemClock::new().now();
        auth::mint(&settings.auth, &self.user, role, self.ttl.0, now)
            .map_err(|error| Failure::Usage(error.into()))
    }

    fn flags(&self) -> Flags {
        let given = [("jwt-secret", &self.secret), ("data-dir", &self.data_dir)];
        let values: BTreeMap<_, _> = given
            .into_iter()
            .filter_map(|(flag, text)| Some((flag, text.clone()?)))
            .collect();
        Flags {
            dev: self.dev,
            config: self.config.clone(),
            values,
        }
    }
}

fn user(text: &str) -> Result<UserId, String> {
    UserId::parse(text.to_owned()).map_err(|error| error.to_string())
}

fn ttl(text: &str) -> Result<Ttl, String> {
    if text == "never" {
        return Ok(Ttl(None));
    }
    read::duration(text)
        .map(|time| Ttl(Some(time)))
        .map_err(|wanted| format!("it takes {wanted}, or never"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::Parser as _;

    use super::*;
    use crate::auth::{Identity, Verifier};

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        token: Token,
    }

    fn sign(line: &str, variables: &[(&str, &str)]) -> Result<String, Failure> {
        let line = Line::try_parse_from(format!("token {line}").split(' ')).unwrap();
        line.token.sign(&variables.iter().copied().collect())
    }

    fn identity(token: &str, variables: &[(&str, &str)], dev: bool) -> Identity {
        let flags = Flags {
            dev,
            ..Flags::default()
        };
        let settings = Settings::load(&flags, &variables.iter().copied().collect()).unwrap();
        Verifier::new(&settings.auth, Arc::new(SystemClock::new()))
            .unwrap()
            .verify(token)
            .unwrap()
    }

    #[test]
    fn the_node_of_the_same_environment_takes_the_token() {
        let variables = [("JWT_SECRET", "a secret"), ("CARILLON_REQUIRE_EXP", "on")];
        let identity = identity(
            &sign("--user alice --role admin", &variables).unwrap(),
            &variables,
            false,
        );
        let left = identity.expires_at.unwrap().as_millis() - SystemClock::new().now().as_millis();

        assert_eq!(
            (identity.user.unwrap().as_str(), identity.role),
            ("alice", auth::Role::Admin)
        );
        assert!((43_190_000..=43_200_000).contains(&left), "{left}");
    }

    #[test]
    fn the_flag_wins_over_the_environment() {
        let token = sign(
            "--user alice --secret other --ttl never",
            &[("JWT_SECRET", "a secret")],
        )
        .unwrap();
        let identity = identity(&token, &[("JWT_SECRET", "other")], false);
        assert_eq!((identity.role, identity.expires_at), (auth::Role::User, None));
    }

    #[test]
    fn the_development_node_takes_the_token_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let token = sign(&format!("--user alice --dev --data-dir {path}"), &[]).unwrap();
        assert!(
            identity(&token, &[("CARILLON_DATA_DIR", path)], true)
                .user
                .is_some()
        );
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        let key = include_str!("../auth/fixtures/test-only-ed25519-public.pem");
        assert!(matches!(sign("--user alice", &[]), Err(Failure::Usage(_))));
        assert!(matches!(
            sign("--user alice", &[("CARILLON_JWT_PUBLIC_KEY", key)]),
            Err(Failure::Usage(_))
        ));
    }

    #[test]
    fn what_is_no_user_role_or_time_is_refused() {
        for line in [
            "--user a --role boss",
            "--user a --ttl 12",
            "--user a --ttl -1h",
            "--role admin",
            "--user a\u{7}",
        ] {
            assert!(
                Line::try_parse_from(format!("token {line}").split(' ')).is_err(),
                "{line}"
            );
        }
    }
}
