//! How secrets are shown: not at all, and addresses without what lets one in.

use secrecy::{ExposeSecret as _, SecretString};

/// What stands for what is not shown.
const MASK: &str = "***";
/// Parts of the names of an address's options that hold secrets.
const SECRET_OPTIONS: [&str; 5] = ["password", "secret", "token", "key", "properties"];

/// A secret; empty where there is none.
pub(super) fn secret(secret: Option<&SecretString>) -> String {
    secret.map_or_else(String::new, |_| String::from("(hidden)"))
}

/// An address without its passwords; empty where there is none.
pub(super) fn address(address: Option<&SecretString>) -> String {
    address.map_or_else(String::new, |address| without_passwords(address.expose_secret()))
}

/// Rather hides too much than too little: passwords may hold any character that should have been escaped.
fn without_passwords(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return MASK.to_owned();
    };
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (masked_login(login), rest),
        None => (String::new(), rest),
    };
    match rest.split_once('?') {
        Some((place, options)) => {
            let options: Vec<String> = options.split('&').map(option).collect();
            format!("{scheme}://{login}{place}?{}", options.join("&"))
        }
        None => format!("{scheme}://{login}{rest}"),
    }
}

/// The name stays where it surely is one.
fn masked_login(login: &str) -> String {
    match login.split_once(':') {
        Some((user, _)) if !user.is_empty() => format!("{user}:{MASK}@"),
        _ => format!("{MASK}@"),
    }
}

fn option(option: &str) -> String {
    let name = option.split('=').next().unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    if SECRET_OPTIONS.iter().any(|secret| lower.contains(secret)) {
        format!("{name}={MASK}")
    } else {
        option.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("redis://cache", "redis://cache")]
    #[case("rediss://cache.example:6380/1", "rediss://cache.example:6380/1")]
    #[case("redis://:hunter2@cache:6379/0", "redis://***@cache:6379/0")]
    #[case("redis://hunter2@cache", "redis://***@cache")]
    #[case("mongodb://me:hunter2@db/chat", "mongodb://me:***@db/chat")]
    #[case(
        "mongodb://me:hunter2@a:1,b:2/chat?tls=true",
        "mongodb://me:***@a:1,b:2/chat?tls=true"
    )]
    #[case("mongodb://me:hunter/2@db/chat", "mongodb://me:***@db/chat")]
    #[case("mongodb://me:hun@ter?2@db/chat", "mongodb://me:***@db/chat")]
    #[case(
        "mongodb://db/?tlsCertificateKeyFilePassword=hunter2&appName=x",
        "mongodb://db/?tlsCertificateKeyFilePassword=***&appName=x"
    )]
    #[case(
        "mongodb+srv://db/?authMechanismProperties=AWS_SESSION_TOKEN:hunter2",
        "mongodb+srv://db/?authMechanismProperties=***"
    )]
    #[case("hunter2", "***")]
    fn an_address_is_shown_without_what_lets_one_in(#[case] given: &str, #[case] shown: &str) {
        assert_eq!(address(Some(&SecretString::from(given))), shown);
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(secret(Some(&SecretString::from("hunter2"))), "(hidden)");
        assert_eq!((secret(None), address(None)), (String::new(), String::new()));
    }
}
