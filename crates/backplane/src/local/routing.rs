//! There is no other node: every session is this one's.

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use bytestring::ByteString;
use rand::distr::{Alphanumeric, SampleString};

use super::LocalBackplane;
use crate::{NodeTag, Result, RouteError, Routing, Unavailable};

/// As long as Node servers expect a socket id to be.
const SOCKET_ID_LENGTH: usize = 20;

#[async_trait]
impl Routing for LocalBackplane {
    fn tag(&self) -> &NodeTag {
        &self.tag
    }

    fn new_sid(&self) -> ByteString {
        let bytes: [u8; 15] = rand::random();
        URL_SAFE_NO_PAD.encode(bytes).into()
    }

    fn new_socket_id(&self) -> ByteString {
        Alphanumeric
            .sample_string(&mut rand::rng(), SOCKET_ID_LENGTH)
            .into()
    }

    fn node_of(&self, _sid: &str) -> Option<NodeTag> {
        Some(self.tag.clone())
    }

    fn is_alive(&self, node: &str) -> bool {
        self.tag == node
    }

    async fn request(
        &self,
        _node: &NodeTag,
        _body: Bytes,
        _timeout: Duration,
    ) -> std::result::Result<Bytes, RouteError> {
        Err(RouteError::Gone)
    }

    fn has_fences(&self) -> bool {
        false
    }

    async fn fence(&self, _node: &NodeTag, _id: &str) -> Result<()> {
        Err(Unavailable {
            reason: "there is no other node".to_owned(),
        })
    }
}
