//! A JSON Web Key Set as it is written (RFC 7517) and the keys in it that verify: RSA for RS256, P-256 for ES256,
//! Ed25519 for `EdDSA`. All others are passed over, symmetric keys among them, as section 5 of the RFC has it.

use std::fmt::Display;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value as Json;

use crate::auth::keys::{MIN_RSA_BYTES, PublicKey};

/// Most keys in a set: a token without `kid` is tried with all of its algorithm.
const MAX_KEYS: usize = 64;
/// Modulus of the longest RSA key that the cryptography takes (8192 bits).
const MAX_RSA_BYTES: usize = 1_024;
/// Length of a coordinate of P-256 and of a public key of Ed25519.
const CURVE_BYTES: usize = 32;

/// The keys of a set.
#[derive(Debug, Default)]
pub(in crate::auth) struct KeySet {
    keys: Vec<(Option<String>, PublicKey)>,
    /// The other keys: `kid`, or else the place in the list, and what is wrong.
    passed_over: Vec<(String, &'static str)>,
}

/// What a set has under a `kid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) enum Named {
    /// No key.
    Nothing,
    /// A key for the algorithm asked for.
    Key,
    /// Keys for other algorithms only.
    OtherAlgorithm,
}

impl KeySet {
    /// Reads `{"keys": […]}`. The error never quotes the text, which may hold secrets.
    ///
    /// # Errors
    /// What is wrong with the set, in words for the operator. A bad key is no reason: it is passed over.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let set: Json = serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let members = set
            .get("keys")
            .and_then(Json::as_array)
            .ok_or("it has no list `keys`")?;
        if members.len() > MAX_KEYS {
            return Err(format!("it has more than {MAX_KEYS} keys"));
        }
        let (mut keys, mut passed_over) = (Vec::new(), Vec::new());
        for (place, member) in members.iter().enumerate() {
            let kid = member.get("kid").and_then(Json::as_str).map(str::to_owned);
            match public_key(member) {
                Ok(key) => keys.push((kid, key)),
                Err(reason) => passed_over.push((kid.unwrap_or_else(|| format!("keys[{place}]")), reason)),
            }
        }
        Ok(Self { keys, passed_over })
    }

    /// What there is for a token that names `kid`.
    pub(in crate::auth) fn named(&self, kid: &str, algorithm: Algorithm) -> Named {
        let mut named = Named::Nothing;
        for (its_kid, key) in &self.keys {
            if its_kid.as_deref() != Some(kid) {
                continue;
            }
            if key.algorithm == algorithm {
                return Named::Key;
            }
            named = Named::OtherAlgorithm;
        }
        named
    }

    /// The algorithm's keys that may have signed a token: those with its `kid` and those without any, or all where
    /// the token names none.
    pub(in crate::auth) fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &DecodingKey> {
        let may_be = move |its_kid: Option<&str>| kid.is_none() || its_kid.is_none() || its_kid == kid;
        self.keys
            .iter()
            .filter(move |(its_kid, key)| key.algorithm == algorithm && may_be(its_kid.as_deref()))
            .map(|(_, key)| &key.key)
    }

    /// How many keys can be used, and how many are passed over.
    pub(super) const fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.passed_over.len())
    }

    /// Tells the log what was read from `source`.
    pub(super) fn report(&self, source: &impl Display) {
        for (kid, reason) in &self.passed_over {
            tracing::debug!(%source, kid, reason, "a key of the key set is passed over");
        }
        let (keys, passed_over) = self.counts();
        if keys == 0 {
            tracing::warn!(%source, passed_over, "the key set has no key that could be used");
        } else {
            tracing::info!(%source, keys, passed_over, "key set read");
        }
    }
}

/// The key of a member of the set, or why it is passed over. `null` is as good as absent.
fn public_key(jwk: &Json) -> Result<PublicKey, &'static str> {
    let member = |name: &str| jwk.get(name).filter(|value| !value.is_null());
    let text = |name: &str| member(name).and_then(Json::as_str);
    let bytes = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());

    if member("use").is_some_and(|usage| usage != "sig") {
        return Err("its use is not sig");
    }
    if member("key_ops").is_some_and(|operations| !has(operations, "verify")) {
        return Err("verify is none of its key_ops");
    }
    if member("kid").is_some_and(|kid| !kid.is_string()) {
        return Err("its kid is no text");
    }
    let (name, algorithm, key) = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => ("RS256", Algorithm::RS256, rsa(bytes("n"), bytes("e"))),
        (Some("EC"), Some("P-256")) => ("ES256", Algorithm::ES256, p256(bytes("x"), bytes("y"))),
        (Some("OKP"), Some("Ed25519")) => ("EdDSA", Algorithm::EdDSA, ed25519(bytes("x"))),
        (Some("oct"), _) => return Err("it is symmetric"),
        _ => return Err("it is none of RSA, P-256 and Ed25519"),
    };
    if member("alg").is_some_and(|alg| alg != name) {
        return Err("its alg is none of RS256, ES256 and EdDSA, or not that of its type");
    }
    let key = key.ok_or("its numbers are missing, malformed, too short or too long")?;
    Ok(PublicKey { algorithm, key })
}

fn has(list: &Json, text: &str) -> bool {
    list.as_array()
        .is_some_and(|texts| texts.iter().any(|it| it == text))
}

fn rsa(modulus: Option<Vec<u8>>, exponent: Option<Vec<u8>>) -> Option<DecodingKey> {
    let (modulus, exponent) = (significant(modulus?), significant(exponent?));
    let is_usable = (MIN_RSA_BYTES..=MAX_RSA_BYTES).contains(&modulus.len()) && !exponent.is_empty();
    is_usable.then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

/// A number without the zeros before it, with which some write it.
fn significant(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.split_off(zeros)
}

fn p256(x: Option<Vec<u8>>, y: Option<Vec<u8>>) -> Option<DecodingKey> {
    let (x, y) = (x?, y?);
    let is_point = x.len() == CURVE_BYTES && y.len() == CURVE_BYTES;
    // SEC 1, 2.3.3: a point that is not compressed begins with 4.
    is_point.then(|| DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()))
}

fn ed25519(x: Option<Vec<u8>>) -> Option<DecodingKey> {
    x.filter(|x| x.len() == CURVE_BYTES)
        .map(|x| DecodingKey::from_ed_der(&x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    const GOOD: &str = include_str!("../fixtures/test-only-jwks.json");
    const OTHER: &str = include_str!("../fixtures/test-only-jwks-other.json");

    fn member(text: &str, kid: &str) -> Json {
        let set: Json = serde_json::from_str(text).unwrap();
        let mut members = set["keys"].as_array().unwrap().iter();
        members.find(|member| member["kid"] == kid).unwrap().clone()
    }

    fn parse(members: &[Json]) -> KeySet {
        KeySet::parse(json!({ "keys": members }).to_string().as_bytes()).unwrap()
    }

    fn algorithms(set: &KeySet) -> Vec<Algorithm> {
        set.keys.iter().map(|(_, key)| key.algorithm).collect()
    }

    #[test]
    fn rsa_p256_and_ed25519_keys_are_used_each_for_one_algorithm() {
        let set = KeySet::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(
            algorithms(&set),
            [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
        );
        assert!(set.passed_over.is_empty());
    }

    #[rstest]
    #[case::short_rsa(member(OTHER, "short"))]
    #[case::p384(member(OTHER, "p384"))]
    #[case::secp256k1(member(OTHER, "secp256k1"))]
    #[case::x25519(json!({"kty": "OKP", "crv": "X25519", "x": "sFeh87DQsU0l5rY_8atu2h2p1w-163f1-tearVZhoV8"}))]
    #[case::symmetric(json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}))]
    #[case::new_type(json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}))]
    #[case::no_type(json!({"kid": "a"}))]
    #[case::no_numbers(json!({"kty": "RSA"}))]
    #[case::no_exponent(json!({"kty": "RSA", "n": member(GOOD, "rsa")["n"], "e": ""}))]
    #[case::no_base64(json!({"kty": "OKP", "crv": "Ed25519", "x": "####"}))]
    #[case::half_a_point(json!({"kty": "EC", "crv": "P-256", "x": member(GOOD, "p256")["x"]}))]
    #[case::short_point(json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}))]
    #[case::no_object(json!("key"))]
    #[case::nothing(Json::Null)]
    fn other_keys_are_passed_over_and_the_rest_is_used(#[case] other: Json) {
        let set = parse(&[other, member(GOOD, "ed25519")]);
        assert_eq!(algorithms(&set), [Algorithm::EdDSA]);
        assert_eq!(set.passed_over.len(), 1);
    }

    #[rstest]
    #[case("use", json!("enc"), false)]
    #[case("use", json!(1), false)]
    #[case("use", json!("sig"), true)]
    #[case("use", Json::Null, true)]
    #[case("key_ops", json!(["encrypt"]), false)]
    #[case("key_ops", json!("verify"), false)]
    #[case("key_ops", json!(["sign", "verify"]), true)]
    #[case("alg", json!("PS256"), false)]
    #[case("alg", json!("RS512"), false)]
    #[case("alg", json!("ES256"), false)]
    #[case("alg", json!("HS256"), false)]
    #[case("alg", json!("RS256"), true)]
    #[case("kid", json!(1), false)]
    fn a_key_is_used_only_for_what_it_is_for(#[case] name: &str, #[case] value: Json, #[case] is_used: bool) {
        let mut key = member(GOOD, "rsa");
        key[name] = value;
        assert_eq!(!parse(&[key]).keys.is_empty(), is_used);
    }

    #[test]
    fn zeros_before_a_modulus_make_it_no_longer() {
        let padded = |kid| {
            let mut key = member(if kid == "rsa" { GOOD } else { OTHER }, kid);
            let modulus = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
            key["n"] = URL_SAFE_NO_PAD.encode([vec![0; 200], modulus].concat()).into();
            key
        };
        assert_eq!(
            algorithms(&parse(&[padded("rsa"), padded("short")])),
            [Algorithm::RS256]
        );
    }

    #[rstest]
    #[case("", "no JSON")]
    #[case("{\"keys\": [", "no JSON")]
    #[case("-----BEGIN PUBLIC KEY-----", "no JSON")]
    #[case("[]", "no list `keys`")]
    #[case("{\"kty\": \"oct\", \"k\": \"hunter2\"}", "no list `keys`")]
    #[case("{\"keys\": \"hunter2\"}", "no list `keys`")]
    fn what_is_no_set_is_refused_without_being_quoted(#[case] text: &str, #[case] reason: &str) {
        let error = KeySet::parse(text.as_bytes()).unwrap_err();
        assert!(error.contains(reason) && !error.contains("hunter"), "{error}");
    }

    #[test]
    fn a_set_over_64_keys_is_refused() {
        let set = |count| json!({ "keys": vec![member(GOOD, "ed25519"); count] }).to_string();
        assert!(KeySet::parse(set(64).as_bytes()).is_ok());
        assert!(KeySet::parse(set(65).as_bytes()).unwrap_err().contains("64 keys"));
    }

    #[test]
    fn a_kid_may_stand_for_keys_of_several_algorithms() {
        let named = |kid: &str, as_kid: &str| {
            let mut key = member(GOOD, kid);
            key["kid"] = as_kid.into();
            key
        };
        let set = parse(&[named("p256", "k"), named("ed25519", "k"), named("rsa", "r")]);

        assert_eq!(set.named("k", Algorithm::ES256), Named::Key);
        assert_eq!(set.named("k", Algorithm::EdDSA), Named::Key);
        assert_eq!(set.named("k", Algorithm::RS256), Named::OtherAlgorithm);
        assert_eq!(set.named("K", Algorithm::ES256), Named::Nothing);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*", field in "(kty|crv|use|alg|kid|n|x)", value in ".{0,8}") {
            let _ = KeySet::parse(text.as_bytes());
            let mut key = member(GOOD, "p256");
            key[field.as_str()] = value.into();
            let _ = parse(&[key]);
        }
    }
}
