//! Public keys from PEM, each for exactly one algorithm: RSA for RS256, P-256 for ES256, Ed25519 for `EdDSA`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey};

const WANTED: &str =
    "public keys in PEM (`-----BEGIN PUBLIC KEY-----`) of RSA with 2048 bits or more, P-256 or Ed25519";
/// DER of the object identifier of P-256, 1.2.840.10045.3.1.7.
const P256_OID: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// The modulus alone of the shortest RSA key that is taken (2048 bits).
pub(super) const MIN_RSA_BYTES: usize = 256;

/// A public key and the algorithm whose signatures it verifies.
#[derive(Debug, Clone)]
pub struct PublicKey {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl PublicKey {
    /// The name of its algorithm: `RS256`, `ES256` or `EdDSA`.
    #[must_use]
    pub fn algorithm(&self) -> String {
        format!("{:?}", self.algorithm)
    }

    /// All keys of a PEM text, at least one.
    ///
    /// # Errors
    /// What would be taken instead, in words for the operator: also for private keys, certificates, short RSA
    /// keys and other curves.
    pub fn read_all(pem: &str) -> Result<Vec<Self>, String> {
        let blocks: Vec<String> = pem
            .split("-----BEGIN ")
            .skip(1)
            .map(|block| format!("-----BEGIN {block}"))
            .collect();
        if blocks.is_empty() {
            return Err(WANTED.to_owned());
        }
        blocks.iter().map(|block| Self::read(block)).collect()
    }

    fn read(block: &str) -> Result<Self, String> {
        let label = block.lines().next().unwrap_or_default();
        if label.contains("PRIVATE KEY") {
            return Err(format!(
                "{WANTED}; this is a private key, `openssl pkey -pubout` gives its public one"
            ));
        }
        if label.contains("CERTIFICATE") {
            return Err(format!(
                "{WANTED}; this is a certificate, `openssl x509 -pubkey -noout` gives its key"
            ));
        }
        let pem = block.as_bytes();
        let rsa = || {
            DecodingKey::from_rsa_pem(pem)
                .ok()
                .filter(is_long)
                .map(|key| (Algorithm::RS256, key))
        };
        let p256 = || {
            DecodingKey::from_ec_pem(pem)
                .ok()
                .filter(|_| is_p256(block))
                .map(|key| (Algorithm::ES256, key))
        };
        let ed25519 = || {
            DecodingKey::from_ed_pem(pem)
                .ok()
                .map(|key| (Algorithm::EdDSA, key))
        };
        let (algorithm, key) = rsa()
            .or_else(p256)
            .or_else(ed25519)
            .ok_or_else(|| WANTED.to_owned())?;
        Ok(Self { algorithm, key })
    }
}

fn is_long(rsa: &DecodingKey) -> bool {
    rsa.try_get_as_bytes().is_ok_and(|der| der.len() > MIN_RSA_BYTES)
}

fn is_p256(block: &str) -> bool {
    let base64: String = block
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with("-----"))
        .map(str::trim)
        .collect();
    STANDARD
        .decode(base64)
        .is_ok_and(|der| der.windows(P256_OID.len()).any(|window| window == P256_OID))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const RSA: &str = include_str!("fixtures/test-only-rsa-public.pem");
    const RSA_PKCS1: &str = include_str!("fixtures/test-only-rsa-public-pkcs1.pem");
    const P256: &str = include_str!("fixtures/test-only-p256-public.pem");
    const ED25519: &str = include_str!("fixtures/test-only-ed25519-public.pem");

    #[rstest]
    #[case(RSA, Algorithm::RS256)]
    #[case(RSA_PKCS1, Algorithm::RS256)]
    #[case(P256, Algorithm::ES256)]
    #[case(ED25519, Algorithm::EdDSA)]
    fn a_key_has_one_algorithm(#[case] pem: &str, #[case] algorithm: Algorithm) {
        let keys = PublicKey::read_all(pem).unwrap();
        assert_eq!(
            keys.iter().map(|key| key.algorithm).collect::<Vec<_>>(),
            [algorithm]
        );
    }

    #[test]
    fn one_text_holds_several_keys_and_remarks() {
        let keys = PublicKey::read_all(&format!("the old one\n{RSA}\nthe new one\n{ED25519}{P256}")).unwrap();
        let algorithms: Vec<_> = keys.iter().map(|key| key.algorithm).collect();
        assert_eq!(algorithms, [Algorithm::RS256, Algorithm::EdDSA, Algorithm::ES256]);
    }

    #[rstest]
    #[case::private(include_str!("fixtures/test-only-p256-private.pem"), "private key")]
    #[case::short_rsa(include_str!("fixtures/test-only-rsa1024-public.pem"), "2048 bits")]
    #[case::p384(include_str!("fixtures/test-only-p384-public.pem"), "P-256")]
    #[case::secp256k1(include_str!("fixtures/test-only-secp256k1-public.pem"), "P-256")]
    #[case::certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "certificate")]
    #[case::no_pem("ssh-ed25519 AAAA", "PEM")]
    #[case::empty("", "PEM")]
    #[case::broken("-----BEGIN PUBLIC KEY-----\n####\n-----END PUBLIC KEY-----", "PEM")]
    #[case::unfinished("-----BEGIN PUBLIC KEY-----", "PEM")]
    fn other_keys_are_refused(#[case] pem: &str, #[case] word: &str) {
        assert!(PublicKey::read_all(pem).unwrap_err().contains(word));
        assert!(PublicKey::read_all(&format!("{RSA}{pem}")).is_err() || !pem.contains("-----BEGIN "));
    }
}
