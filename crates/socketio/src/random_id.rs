//! Ids that nobody can guess: session ids, socket ids, private ids.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytestring::ByteString;

/// 20 characters of `[A-Za-z0-9_-]` with 120 random bits.
#[must_use]
pub fn random_id() -> ByteString {
    let bytes: [u8; 15] = rand::random();
    URL_SAFE_NO_PAD.encode(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_twenty_url_safe_characters() {
        let id = random_id();
        assert_eq!(id.len(), 20);
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        );
        assert_ne!(id, random_id());
    }
}
