//! Whose tokens are believed.

use super::{
    Setting,
    values::{jwks, public_keys, put, role, secret},
};
use crate::{
    auth,
    settings::{
        masked,
        read::{show_switch, switch, text},
    },
};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "JWT_SECRET",
        "jwt-secret",
        "SECRET",
        "Secret of HS256 tokens, 32 bytes or more; rather a variable than a flag, which other users of the machine see",
        |settings, given| put(&mut settings.auth.secret, secret(given)),
        |settings| masked::secret(settings.auth.secret.as_ref()),
    )
    .secret(),
    Setting::new(
        "CARILLON_JWT_SECRET_PREVIOUS",
        "jwt-secret-previous",
        "SECRET",
        "A second secret whose tokens are still taken, for changing JWT_SECRET",
        |settings, given| put(&mut settings.auth.previous_secret, secret(given)),
        |settings| masked::secret(settings.auth.previous_secret.as_ref()),
    )
    .secret(),
    Setting::new(
        "CARILLON_JWT_PUBLIC_KEY",
        "jwt-public-key",
        "PEM",
        "Public keys of RS256 (RSA), ES256 (P-256) or EdDSA (Ed25519) tokens: PEM files, separated by commas, or PEM text",
        |settings, given| put(&mut settings.auth.public_keys, public_keys(given)),
        |settings| {
            let algorithms = settings.auth.public_keys.iter().map(auth::PublicKey::algorithm);
            algorithms.collect::<Vec<_>>().join(", ")
        },
    ),
    Setting::new(
        "CARILLON_JWKS",
        "jwks",
        "FILE|URL",
        "JSON Web Key Set with more such keys, followed as it changes: a file, or an https:// address, fetched as its Cache-Control says (5m to 24h, else 1h)",
        |settings, given| put(&mut settings.auth.jwks, jwks(given).map(Some)),
        |settings| {
            settings
                .auth
                .jwks
                .as_ref()
                .map_or_else(String::new, ToString::to_string)
        },
    ),
    Setting::new(
        "CARILLON_JWT_AUDIENCE",
        "jwt-audience",
        "TEXT",
        "Refuse tokens whose `aud` does not name this",
        |settings, given| put(&mut settings.auth.audience, text(given).map(Some)),
        |settings| settings.auth.audience.clone().unwrap_or_default(),
    ),
    Setting::new(
        "CARILLON_JWT_ISSUER",
        "jwt-issuer",
        "TEXT",
        "Refuse tokens whose `iss` is not this",
        |settings, given| put(&mut settings.auth.issuer, text(given).map(Some)),
        |settings| settings.auth.issuer.clone().unwrap_or_default(),
    ),
    Setting::new(
        "CARILLON_JWT_USER_CLAIM",
        "jwt-user-claim",
        "CLAIM",
        "Claim that holds the user's id; `sub` counts where it is absent",
        |settings, given| put(&mut settings.auth.user_claim, text(given)),
        |settings| settings.auth.user_claim.clone(),
    ),
    Setting::new(
        "CARILLON_JWT_ROLE_CLAIM",
        "jwt-role-claim",
        "CLAIM",
        "Claim that holds the role",
        |settings, given| put(&mut settings.auth.role_claim, text(given)),
        |settings| settings.auth.role_claim.clone(),
    ),
    Setting::new(
        "CARILLON_JWT_ADMIN_ROLE",
        "jwt-admin-role",
        "ROLE",
        "Role that may do everything over REST; `off` or nothing: no token may",
        |settings, given| put(&mut settings.auth.admin_role, Ok(role(given))),
        |settings| settings.auth.admin_role.clone().unwrap_or_default(),
    )
    .empty_is_off(),
    Setting::new(
        "CARILLON_JWT_SERVICE_ROLE",
        "jwt-service-role",
        "ROLE",
        "Role that may create notifications in any name and clean up; `off` or nothing: no token may",
        |settings, given| put(&mut settings.auth.service_role, Ok(role(given))),
        |settings| settings.auth.service_role.clone().unwrap_or_default(),
    )
    .empty_is_off(),
    Setting::new(
        "CARILLON_REQUIRE_EXP",
        "require-exp",
        "ON|OFF",
        "Whether a token without `exp` is refused",
        |settings, given| put(&mut settings.auth.require_exp, switch(given)),
        |settings| show_switch(settings.auth.require_exp).to_owned(),
    ),
];
