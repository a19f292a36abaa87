//! What makes sids, uids and frames unforgeable: keys derived from the cluster's secret.
//!
//! Frames have a key per sender, whose nonces are counted and so never repeat. Sids have random nonces under one key.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use crate::NodeTag;

/// Length of a node's tag, in bytes; all of them are ASCII letters and digits.
pub(super) const TAG_LENGTH: usize = 8;

/// Length of the authentication tag of AES-GCM, in bytes.
const MAC_LENGTH: usize = 16;

/// How much of a message authentication code goes into a uid: 72 bits.
const UID_MAC_LENGTH: usize = 9;

/// Length of [`UID_MAC_LENGTH`] bytes in base64.
const UID_MAC_TEXT: usize = 12;

/// Longest frame without its body, in bytes.
pub(super) const FRAME_OVERHEAD: usize = TAG_LENGTH + NONCE_LEN + MAC_LENGTH;

/// Something cannot be sealed or opened. Why is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsealed;

/// The keys of one secret.
pub(super) struct Seals {
    secret: Prk,
    sids: LessSafeKey,
    uids: hmac::Key,
}

impl Seals {
    /// The keys that all nodes with the same `secret` have.
    pub(super) fn new(secret: &[u8]) -> Result<Self, Unsealed> {
        let secret = Salt::new(HKDF_SHA256, b"carillon").extract(secret);
        let mut uid_key = [0; 32];
        secret
            .expand(&[b"uid"], HKDF_SHA256)
            .and_then(|key| key.fill(&mut uid_key))
            .map_err(|_| Unsealed)?;
        Ok(Self {
            sids: derive(&secret, &[b"sid"])?,
            uids: hmac::Key::new(hmac::HMAC_SHA256, &uid_key),
            secret,
        })
    }

    /// A new session id that names `node`. `nonce` is random.
    pub(super) fn seal_sid(&self, node: &NodeTag, nonce: [u8; NONCE_LEN]) -> Result<ByteString, Unsealed> {
        let mut sealed = node.as_bytes().to_vec();
        self.sids
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(|_| Unsealed)?;
        let mut sid = nonce.to_vec();
        sid.append(&mut sealed);
        Ok(URL_SAFE_NO_PAD.encode(sid).into())
    }

    /// The node that `sid` names, if this secret sealed it.
    pub(super) fn open_sid(&self, sid: &str) -> Option<NodeTag> {
        let mut sid = URL_SAFE_NO_PAD.decode(sid).ok()?;
        if sid.len() != NONCE_LEN + TAG_LENGTH + MAC_LENGTH {
            return None;
        }
        let (nonce, sealed) = sid.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let tag = self.sids.open_in_place(nonce, Aad::empty(), sealed).ok()?;
        read_tag(tag)
    }

    /// The uid of `node` among Socket.IO's servers: its tag, and a proof that it is Carillon's.
    pub(super) fn uid(&self, node: &NodeTag) -> ByteString {
        format!("{node}{}", self.uid_proof(node.as_bytes())).into()
    }

    /// Whether `uid` is a node's of this cluster.
    pub(super) fn is_uid(&self, uid: &str) -> bool {
        let parts = uid.split_at_checked(TAG_LENGTH);
        parts.is_some_and(|(tag, proof)| {
            proof.len() == UID_MAC_TEXT && self.uid_proof(tag.as_bytes()) == proof
        })
    }

    fn uid_proof(&self, tag: &[u8]) -> String {
        let code = hmac::sign(&self.uids, tag);
        let start = code.as_ref().get(..UID_MAC_LENGTH).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(start)
    }

    /// The key under which `sender` seals its frames.
    pub(super) fn frames_of(&self, sender: &NodeTag) -> Result<FrameKey, Unsealed> {
        derive(&self.secret, &[b"frame", sender.as_bytes()]).map(FrameKey)
    }
}

fn derive(secret: &Prk, info: &[&[u8]]) -> Result<LessSafeKey, Unsealed> {
    let key = secret.expand(info, &AES_256_GCM).map_err(|_| Unsealed)?;
    Ok(LessSafeKey::new(UnboundKey::from(key)))
}

fn read_tag(tag: &[u8]) -> Option<NodeTag> {
    let is_tag = tag.len() == TAG_LENGTH && tag.iter().all(u8::is_ascii_alphanumeric);
    let text = str::from_utf8(tag).ok().filter(|_| is_tag)?;
    Some(ByteString::from(text))
}

/// Who a sealed frame says it is from: not yet believed.
pub(super) fn sender_of(frame: &[u8]) -> Option<NodeTag> {
    read_tag(frame.get(..TAG_LENGTH)?)
}

/// Seals and opens the frames of one sender.
pub(super) struct FrameKey(LessSafeKey);

impl FrameKey {
    /// Seals `body` for whoever listens on `channel`. No two frames of a sender have the same `count`.
    pub(super) fn seal(
        &self,
        sender: &NodeTag,
        channel: &str,
        count: u64,
        body: &[u8],
    ) -> Result<Bytes, Unsealed> {
        let mut nonce = [0; NONCE_LEN];
        for (place, byte) in nonce.iter_mut().zip(count.to_be_bytes()) {
            *place = byte;
        }
        let mut frame = BytesMut::with_capacity(FRAME_OVERHEAD + body.len());
        frame.extend_from_slice(sender.as_bytes());
        frame.extend_from_slice(&nonce);
        let mut sealed = frame.split_off(TAG_LENGTH + NONCE_LEN);
        sealed.extend_from_slice(body);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let mac = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(channel.as_bytes()), &mut sealed)
            .map_err(|_| Unsealed)?;
        sealed.extend_from_slice(mac.as_ref());
        frame.unsplit(sealed);
        Ok(frame.freeze())
    }

    /// The count and the body of a frame that was sealed for `channel`.
    pub(super) fn open(&self, channel: &str, frame: &[u8]) -> Option<(u64, Bytes)> {
        let (nonce, sealed) = frame.get(TAG_LENGTH..)?.split_at_checked(NONCE_LEN)?;
        let count = u64::from_be_bytes(*nonce.first_chunk()?);
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = sealed.to_vec();
        let length = self
            .0
            .open_in_place(nonce, Aad::from(channel.as_bytes()), &mut body)
            .ok()?
            .len();
        body.truncate(length);
        Some((count, Bytes::from(body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seals() -> Seals {
        Seals::new(b"secret").unwrap()
    }

    fn tag() -> NodeTag {
        ByteString::from_static("aZ09aZ09")
    }

    #[test]
    fn a_sid_names_its_node_to_those_who_know_the_secret() {
        let sid = seals().seal_sid(&tag(), [7; 12]).unwrap();

        assert!(
            sid.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        );
        assert_eq!(seals().open_sid(&sid), Some(tag()));
        assert_eq!(Seals::new(b"other").unwrap().open_sid(&sid), None);
    }

    #[test]
    fn a_uid_is_believed_only_with_its_proof() {
        let uid = seals().uid(&tag());
        assert!(seals().is_uid(&uid));
        assert!(!Seals::new(b"other").unwrap().is_uid(&uid));
        for other in [
            "",
            "emitter",
            "lKQJvu",
            "aZ09aZ09",
            "aZ09aZ09AAAAAAAAAAAA",
            "éééé",
        ] {
            assert!(!seals().is_uid(other), "{other}");
        }
    }

    #[test]
    fn a_frame_is_for_one_channel_from_one_sender() {
        let key = seals().frames_of(&tag()).unwrap();
        let frame = key.seal(&tag(), "here", 1, b"body").unwrap();

        assert_eq!(sender_of(&frame), Some(tag()));
        assert_eq!(key.open("here", &frame), Some((1, Bytes::from_static(b"body"))));
        assert_eq!(key.open("there", &frame), None);
        let other = seals().frames_of(&ByteString::from_static("bbbbbbbb")).unwrap();
        assert_eq!(other.open("here", &frame), None);
    }

    proptest! {
        #[test]
        fn what_was_changed_anywhere_does_not_open(at in 0_usize..64, bit in 0_u8..8, body in any::<Vec<u8>>()) {
            let key = seals().frames_of(&tag()).unwrap();
            let mut frame = key.seal(&tag(), "c", 1, &body).unwrap().to_vec();
            let at = TAG_LENGTH + at % (frame.len() - TAG_LENGTH);
            frame[at] ^= 1 << bit;
            prop_assert_eq!(key.open("c", &frame), None);

            let sid = seals().seal_sid(&tag(), [3; 12]).unwrap();
            let mut sid = URL_SAFE_NO_PAD.decode(sid.as_bytes()).unwrap();
            let at = at % sid.len();
            sid[at] ^= 1 << bit;
            prop_assert_eq!(seals().open_sid(&URL_SAFE_NO_PAD.encode(sid)), None);
        }

        #[test]
        fn nothing_made_up_opens(bytes in any::<Vec<u8>>(), text in ".*") {
            let key = seals().frames_of(&tag()).unwrap();
            prop_assert_eq!(key.open("c", &bytes), None);
            let _ = sender_of(&bytes);
            prop_assert_eq!(seals().open_sid(&text), None);
            prop_assert_eq!(seals().open_sid(&URL_SAFE_NO_PAD.encode(&bytes)), None);
            prop_assert!(!seals().is_uid(&text));
        }
    }
}
