use super::*;

fn alice() -> UserId {
    UserId::parse("alice").unwrap()
}

#[test]
fn a_minted_token_is_taken_by_the_same_settings() {
    let settings = AuthSettings {
        audience: Some(String::from("carillon")),
        issuer: Some(String::from("login")),
        user_claim: String::from("uid"),
        role_claim: String::from("scope"),
        require_exp: true,
        ..secret_settings()
    };
    let token = mint(
        &settings,
        &alice(),
        Role::Admin,
        Some(Duration::from_secs(60)),
        Stopped.now(),
    )
    .unwrap();
    let identity = verifier(&settings).verify(&token).unwrap();

    let expires_at = Some(Timestamp::from_millis((NOW + 60) * 1_000));
    assert_eq!(
        identity,
        Identity {
            user: Some(alice()),
            role: Role::Admin,
            expires_at
        }
    );
}

#[test]
fn a_token_may_last_forever_or_hold_no_role() {
    let token = mint(&secret_settings(), &alice(), Role::User, None, Stopped.now()).unwrap();
    let identity = verifier(&secret_settings()).verify(&token).unwrap();
    assert_eq!(
        identity,
        Identity {
            user: Some(alice()),
            role: Role::User,
            expires_at: None
        }
    );

    let token = mint(
        &secret_settings(),
        &alice(),
        Role::User,
        Some(Duration::MAX),
        Stopped.now(),
    )
    .unwrap();
    assert!(verifier(&secret_settings()).verify(&token).is_ok());
}

#[test]
fn without_secret_or_role_nothing_is_minted() {
    let no_secret = mint(
        &AuthSettings::default(),
        &alice(),
        Role::User,
        None,
        Stopped.now(),
    );
    assert!(matches!(no_secret, Err(MintError::NoSecret)));

    let settings = AuthSettings {
        service_role: None,
        ..secret_settings()
    };
    let no_role = mint(&settings, &alice(), Role::Service, None, Stopped.now());
    assert!(matches!(no_role, Err(MintError::RoleOff)));
}

#[test]
fn a_short_secret_is_warned_about_without_being_told() {
    let settings = AuthSettings {
        previous_secret: Some(SecretString::from("hunter2")),
        ..secret_settings()
    };
    let warnings = warnings(&settings);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("CARILLON_JWT_SECRET_PREVIOUS has 7 bytes")
            && !warnings[0].contains("hunter2")
    );
}
