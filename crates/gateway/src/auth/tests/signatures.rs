use super::*;

fn public_settings() -> AuthSettings {
    let pem = [RSA_PUBLIC, P256_PUBLIC, ED25519_PUBLIC].concat();
    AuthSettings {
        public_keys: PublicKey::read_all(&pem).unwrap(),
        ..AuthSettings::default()
    }
}

pub(super) fn private(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()),
        Algorithm::ES256 => EncodingKey::from_ec_pem(P256_PRIVATE.as_bytes()),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(ED25519_PRIVATE.as_bytes()),
        other => panic!("no key for {other:?}"),
    }
    .unwrap()
}

#[rstest]
#[case(Algorithm::RS256)]
#[case(Algorithm::ES256)]
#[case(Algorithm::EdDSA)]
fn public_keys_verify_tokens_and_live_beside_a_secret(#[case] algorithm: Algorithm) {
    let header = json!({"alg": format!("{algorithm:?}")});
    let token = sign_with(&header, br#"{"sub":"alice"}"#, &private(algorithm), algorithm);
    let both = AuthSettings {
        public_keys: public_settings().public_keys,
        ..secret_settings()
    };

    assert!(verifier(&public_settings()).verify(&token).is_ok());
    assert!(verifier(&both).verify(&token).is_ok());
    assert!(verifier(&both).verify(&sign(&json!({"sub": "bob"}))).is_ok());
    assert_eq!(
        verifier(&secret_settings()).verify(&token),
        Err(TokenError::Invalid)
    );
}

#[test]
fn two_secrets_live_at_once_and_a_third_does_not() {
    let settings = AuthSettings {
        secret: Some(SecretString::from("the new secret")),
        previous_secret: Some(SecretString::from(SECRET)),
        ..AuthSettings::default()
    };
    let verifier = verifier(&settings);
    let signed_by = |secret: &str| {
        let key = EncodingKey::from_secret(secret.as_bytes());
        sign_with(&json!({"alg": "HS256"}), b"{}", &key, Algorithm::HS256)
    };
    assert!(verifier.verify(&signed_by("the new secret")).is_ok());
    assert!(verifier.verify(&signed_by(SECRET)).is_ok());
    assert_eq!(
        verifier.verify(&signed_by("the old secret")),
        Err(TokenError::Invalid)
    );
}

#[rstest]
#[case("none")]
#[case("None")]
#[case("")]
#[case("hs256")]
#[case("HS384")]
#[case("RS256")]
fn the_header_must_name_the_algorithm_of_the_key(#[case] alg: &str) {
    let token = sign_header(&json!({"alg": alg}), &json!({"userId": "a"}));
    assert_eq!(
        verifier(&secret_settings()).verify(&token),
        Err(TokenError::Invalid)
    );
}

#[test]
fn hs384_and_hs512_are_refused_though_the_secret_is_right() {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = sign_with(&json!({"alg": format!("{algorithm:?}")}), b"{}", &key, algorithm);
        assert_eq!(
            verifier(&secret_settings()).verify(&token),
            Err(TokenError::Invalid)
        );
    }
}

#[test]
fn ps256_is_refused_though_the_key_is_right() {
    let token = sign_with(
        &json!({"alg": "PS256"}),
        b"{}",
        &private(Algorithm::RS256),
        Algorithm::PS256,
    );
    assert_eq!(
        verifier(&public_settings()).verify(&token),
        Err(TokenError::Invalid)
    );
}

#[test]
fn an_unsigned_token_is_refused() {
    let part = |json: Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let unsigned = format!(
        "{}.{}.",
        part(json!({"alg": "none"})),
        part(json!({"userId": "a"}))
    );
    assert_eq!(
        verifier(&secret_settings()).verify(&unsigned),
        Err(TokenError::Invalid)
    );
    assert_eq!(
        verifier(&public_settings()).verify(&unsigned),
        Err(TokenError::Invalid)
    );
}

#[test]
fn the_public_key_is_no_secret() {
    for public in [RSA_PUBLIC, P256_PUBLIC, ED25519_PUBLIC] {
        let key = EncodingKey::from_secret(public.as_bytes());
        let token = sign_with(
            &json!({"alg": "HS256"}),
            br#"{"userId":"eve"}"#,
            &key,
            Algorithm::HS256,
        );
        assert_eq!(
            verifier(&public_settings()).verify(&token),
            Err(TokenError::Invalid)
        );
    }
}

#[test]
fn keys_that_a_token_names_are_never_followed() {
    let own = json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "ZXZl"}, "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/x"});
    let evil = EncodingKey::from_secret(b"eve");

    let by_named_key = sign_with(&own, b"{}", &evil, Algorithm::HS256);
    let by_our_key = sign_header(&own, &json!({"userId": "a"}));

    assert_eq!(
        verifier(&secret_settings()).verify(&by_named_key),
        Err(TokenError::Invalid)
    );
    assert!(verifier(&secret_settings()).verify(&by_our_key).is_ok());
}

#[rstest]
#[case(json!({"alg": "HS256", "crit": ["b64"], "b64": false}))]
#[case(json!({"alg": "HS256", "crit": []}))]
#[case(json!({"alg": "HS256", "crit": null}))]
#[case(json!({"alg": ["HS256"]}))]
#[case(json!({"typ": "JWT"}))]
#[case(json!(["HS256"]))]
fn a_header_with_extensions_or_without_algorithm_is_refused(#[case] header: Json) {
    let token = sign_header(&header, &json!({"userId": "a"}));
    assert_eq!(
        verifier(&secret_settings()).verify(&token),
        Err(TokenError::Invalid)
    );
}

#[rstest]
#[case(b"")]
#[case(b"null")]
#[case(b"[]")]
#[case(b"\"alice\"")]
#[case(b"{\"userId\":\"\\ud83d\"}")]
#[case(b"{\"userId\":\"\xff\"}")]
#[case(b"{\"exp\":1e999}")]
#[case(b"{} {}")]
fn claims_that_are_no_object_are_refused(#[case] claims: &[u8]) {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = sign_with(&json!({"alg": "HS256"}), claims, &key, Algorithm::HS256);
    assert_eq!(
        verifier(&secret_settings()).verify(&token),
        Err(TokenError::Invalid)
    );
}

#[test]
fn a_token_over_8_kib_is_refused() {
    let token = |padding: usize| sign(&json!({"userId": "a", "padding": "x".repeat(padding)}));
    let short = token(6_000);
    let long = token(6_100);

    assert!(short.len() <= MAX_TOKEN_BYTES && verifier(&secret_settings()).verify(&short).is_ok());
    assert!(long.len() > MAX_TOKEN_BYTES);
    assert_eq!(
        verifier(&secret_settings()).verify(&long),
        Err(TokenError::Invalid)
    );
}

proptest! {
    #[test]
    fn no_text_passes_or_panics(token in "[A-Za-z0-9_.=-]{0,60}|.*") {
        prop_assert_eq!(verifier(&secret_settings()).verify(&token), Err(TokenError::Invalid));
    }

    #[test]
    fn no_changed_token_passes(at in 0..10_000_usize, letter in "[A-Za-z0-9_.-]") {
        let token = sign(&json!({"userId": "alice", "exp": NOW + 60}));
        let mut letters: Vec<char> = token.chars().collect();
        let at = at % letters.len();
        letters[at] = letter.chars().next().unwrap();
        let changed: String = letters.into_iter().collect();
        prop_assert_eq!(verifier(&secret_settings()).verify(&changed).is_ok(), changed == token);
    }
}
