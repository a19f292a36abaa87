use tokio_util::task::TaskTracker;

use super::{signatures::private, *};

const SET: &str = include_str!("../fixtures/test-only-jwks.json");
const OTHER_SET: &str = include_str!("../fixtures/test-only-jwks-other.json");

/// A key of the fixtures by its `kid`, with members changed; `null` takes one away.
fn jwk(kid: &str, changes: &Json) -> Json {
    let keys = [SET, OTHER_SET].map(|set| serde_json::from_str::<Json>(set).unwrap()["keys"].clone());
    let mut keys = keys.iter().flat_map(|keys| keys.as_array().unwrap());
    let mut key = keys.find(|key| key["kid"] == kid).unwrap().clone();
    for (name, value) in changes.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

/// Settings with a key set and nothing else.
fn set_of(keys: &[Json]) -> AuthSettings {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({ "keys": keys }).to_string()).unwrap();
    AuthSettings {
        jwks: Some(JwksSource::File(JwksFile::open(file.path()).unwrap())),
        ..AuthSettings::default()
    }
}

/// Who the token of `alice` names, signed by the fixtures' key of the algorithm.
fn outcome(settings: &AuthSettings, algorithm: Algorithm, kid: Option<&str>) -> Result<(), TokenError> {
    let mut header = json!({"alg": format!("{algorithm:?}")});
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    let key = match algorithm {
        Algorithm::HS256 => EncodingKey::from_secret(SECRET.as_bytes()),
        _ => private(algorithm),
    };
    let token = sign_with(&header, br#"{"sub":"alice"}"#, &key, algorithm);
    verifier(settings).verify(&token).map(|identity| {
        assert_eq!(identity.user.unwrap().as_str(), "alice");
    })
}

const REFUSED: Result<(), TokenError> = Err(TokenError::Invalid);

#[rstest]
#[case(Algorithm::RS256, "rsa")]
#[case(Algorithm::ES256, "p256")]
#[case(Algorithm::EdDSA, "ed25519")]
fn keys_of_a_set_verify_tokens_with_their_kid_and_without(#[case] algorithm: Algorithm, #[case] kid: &str) {
    let settings = set_of(&["rsa", "p256", "ed25519"].map(|kid| jwk(kid, &json!({}))));
    assert_eq!(outcome(&settings, algorithm, Some(kid)), Ok(()));
    assert_eq!(outcome(&settings, algorithm, None), Ok(()));
    assert_eq!(outcome(&settings, algorithm, Some("another")), REFUSED);
}

#[test]
fn a_set_lives_beside_secrets_and_pem_keys() {
    let mixed = AuthSettings {
        public_keys: PublicKey::read_all(RSA_PUBLIC).unwrap(),
        secret: Some(SecretString::from(SECRET)),
        ..set_of(&[jwk("ed25519", &json!({}))])
    };
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::EdDSA] {
        assert_eq!(outcome(&mixed, algorithm, None), Ok(()), "{algorithm:?}");
    }
    assert_eq!(outcome(&mixed, Algorithm::ES256, None), REFUSED);
}

#[test]
fn a_kid_picks_its_key_among_those_of_the_set() {
    let settings = set_of(&[
        jwk("ed25519-other", &json!({"kid": "new"})),
        jwk("ed25519", &json!({"kid": "old"})),
    ]);
    assert_eq!(outcome(&settings, Algorithm::EdDSA, Some("old")), Ok(()));
    assert_eq!(outcome(&settings, Algorithm::EdDSA, Some("new")), REFUSED);
    assert_eq!(outcome(&settings, Algorithm::EdDSA, None), Ok(()));
}

#[rstest]
#[case(Some("unknown"))]
#[case(Some("p256"))]
#[case(None)]
fn keys_without_kid_and_pem_keys_are_tried_whatever_the_kid(#[case] kid: Option<&str>) {
    let in_set = set_of(&[
        jwk("p256", &json!({"kid": null})),
        jwk("p256", &json!({"x": jwk("p256", &json!({}))["y"]})),
    ]);
    let in_pem = AuthSettings {
        public_keys: PublicKey::read_all(P256_PUBLIC).unwrap(),
        ..set_of(&[jwk("p256", &json!({"x": jwk("p256", &json!({}))["y"]}))])
    };
    assert_eq!(outcome(&in_set, Algorithm::ES256, kid), Ok(()));
    assert_eq!(outcome(&in_pem, Algorithm::ES256, kid), Ok(()));
}

#[rstest]
#[case(Algorithm::HS256)]
#[case(Algorithm::RS256)]
#[case(Algorithm::EdDSA)]
fn a_kid_that_the_set_has_under_another_algorithm_is_refused(#[case] algorithm: Algorithm) {
    let settings = AuthSettings {
        public_keys: PublicKey::read_all(&[RSA_PUBLIC, ED25519_PUBLIC].concat()).unwrap(),
        secret: Some(SecretString::from(SECRET)),
        ..set_of(&[jwk("p256", &json!({}))])
    };
    assert_eq!(outcome(&settings, algorithm, Some("p256")), REFUSED);
    assert_eq!(outcome(&settings, algorithm, Some("unknown")), Ok(()));
    assert_eq!(outcome(&settings, algorithm, None), Ok(()));
}

#[rstest]
#[case(json!({"alg": "RS384"}))]
#[case(json!({"alg": "PS256"}))]
#[case(json!({"use": "enc"}))]
fn a_key_for_something_else_verifies_nothing(#[case] changes: Json) {
    let settings = set_of(&[jwk("rsa", &changes), jwk("ed25519", &json!({}))]);
    assert_eq!(outcome(&settings, Algorithm::RS256, Some("rsa")), REFUSED);
    assert_eq!(outcome(&settings, Algorithm::RS256, None), REFUSED);
    assert_eq!(outcome(&settings, Algorithm::EdDSA, None), Ok(()));
}

#[rstest]
#[case(Some("shared"))]
#[case(None)]
fn a_symmetric_key_of_a_set_is_never_taken(#[case] kid: Option<&str>) {
    let secret = URL_SAFE_NO_PAD.encode(SECRET);
    let settings = set_of(&[
        json!({"kty": "oct", "k": secret, "kid": "shared", "alg": "HS256", "use": "sig"}),
        json!({"kty": "oct", "k": secret}),
    ]);
    assert_eq!(outcome(&settings, Algorithm::HS256, kid), REFUSED);
}

#[test]
fn the_numbers_of_a_key_in_a_set_are_no_secret() {
    let settings = set_of(&["rsa", "p256", "ed25519"].map(|kid| jwk(kid, &json!({}))));
    for (kid, member) in [("rsa", "n"), ("p256", "x"), ("ed25519", "x")] {
        let number = URL_SAFE_NO_PAD
            .decode(jwk(kid, &json!({}))[member].as_str().unwrap())
            .unwrap();
        let token = sign_with(
            &json!({"alg": "HS256"}),
            br#"{"sub":"eve"}"#,
            &EncodingKey::from_secret(&number),
            Algorithm::HS256,
        );
        assert_eq!(verifier(&settings).verify(&token), Err(TokenError::Invalid));
    }
}

/// A verifier by a secret and a set that lacks the key called `new`, which its file has by now.
fn behind_its_file(folder: &tempfile::TempDir) -> Verifier {
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, json!({"keys": [jwk("p256", &json!({}))]}).to_string()).unwrap();
    let settings = AuthSettings {
        jwks: Some(JwksSource::File(JwksFile::open(&path).unwrap())),
        ..secret_settings()
    };
    let keys = [jwk("p256", &json!({})), jwk("ed25519", &json!({"kid": "new"}))];
    std::fs::write(&path, json!({ "keys": keys }).to_string()).unwrap();
    verifier(&settings)
}

fn signed_by_the_new_key() -> String {
    let header = json!({"alg": "EdDSA", "kid": "new"});
    let key = private(Algorithm::EdDSA);
    sign_with(&header, br#"{"sub":"alice"}"#, &key, Algorithm::EdDSA)
}

#[tokio::test(start_paused = true)]
async fn an_unknown_kid_has_the_file_looked_at_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let verifier = behind_its_file(&folder);
    TaskTracker::new().spawn(Arc::clone(verifier.jwks().unwrap()).keep_fresh());

    let token = signed_by_the_new_key();
    assert_eq!(verifier.verify(&token), Err(TokenError::Invalid));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(verifier.verify(&token).is_ok());
}

#[tokio::test(start_paused = true)]
async fn other_tokens_leave_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let verifier = behind_its_file(&folder);
    TaskTracker::new().spawn(Arc::clone(verifier.jwks().unwrap()).keep_fresh());

    let good = sign_header(&json!({"alg": "HS256", "kid": "ours"}), &json!({"sub": "alice"}));
    let known = sign_header(&json!({"alg": "HS256", "kid": "p256"}), &json!({"sub": "alice"}));
    assert!(verifier.verify(&good).is_ok());
    assert!(verifier.verify(&known).is_err());
    tokio::time::sleep(Duration::from_secs(50)).await;

    assert!(verifier.verify(&signed_by_the_new_key()).is_err());
}
