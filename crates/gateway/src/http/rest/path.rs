//! Path parameters: decoded once, `+` stays a plus, and what cannot be an id is refused.

use std::borrow::Cow;

use bytestring::ByteString;
use carillon_protocol::{chat, id::UserId};
use percent_encoding::percent_decode_str;

use crate::http::error::ApiError;

/// The parameters of a route, as they stand in the request's path.
#[derive(Debug, Default)]
pub(super) struct Params<'r>(Vec<(&'static str, &'r str)>);

impl<'r> Params<'r> {
    /// Reads `path` by a `template` such as `/api/chat/user/{userId}/chats`; `None` where it is another path. Case does not
    /// count outside the parameters, and a parameter is not empty.
    pub(super) fn matching(template: &'static str, path: &'r str) -> Option<Self> {
        let mut params = Vec::new();
        let mut segments = path.split('/');
        for expected in template.split('/') {
            let segment = segments.next()?;
            match parameter(expected) {
                Some(name) if !segment.is_empty() => params.push((name, segment)),
                None if segment.eq_ignore_ascii_case(expected) => {}
                _ => return None,
            }
        }
        segments.next().is_none().then_some(Self(params))
    }

    /// A user's id.
    pub(super) fn user(&self, name: &str) -> Result<UserId, ApiError> {
        UserId::parse(self.text(name)?).map_err(|error| ApiError::invalid(format!("{name}: {error}")))
    }

    /// The name of a chat, whoever is in it.
    pub(super) fn chatbox_id(&self) -> Result<ByteString, ApiError> {
        let id = self.text("chatboxId")?;
        if chat::is_chatbox_id(&id) {
            return Ok(id);
        }
        Err(ApiError::invalid("chatboxId is too long"))
    }

    /// Text without control characters.
    pub(super) fn text(&self, name: &str) -> Result<ByteString, ApiError> {
        let raw = self
            .0
            .iter()
            .find(|(param, _)| *param == name)
            .map_or("", |(_, raw)| raw);
        let text =
            decode(raw).ok_or_else(|| ApiError::invalid(format!("{name} is not percent-encoded UTF-8")))?;
        if text.chars().any(char::is_control) {
            return Err(ApiError::invalid(format!("{name} has a control character")));
        }
        Ok(text.into())
    }
}

/// The names of a template's parameters, in order.
pub(super) fn parameters(template: &'static str) -> impl Iterator<Item = &'static str> {
    template.split('/').filter_map(parameter)
}

/// The name of the parameter that a template's segment stands for.
fn parameter(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// Decodes percent-encoded text once; `None` for a `%` without two hex digits after it, and for what is not UTF-8.
pub(super) fn decode(raw: &str) -> Option<String> {
    let is_escape = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !raw.split('%').skip(1).all(is_escape) {
        return None;
    }
    percent_decode_str(raw).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decodes_once() {
        for (raw, text) in [
            ("a%2Fb", "a/b"),
            ("100%25", "100%"),
            ("%252F", "%2F"),
            ("a+b", "a+b"),
            ("a%20b", "a b"),
            ("%C3%A9", "é"),
            ("é", "é"),
            ("..", ".."),
            ("%2e%2E", ".."),
        ] {
            assert_eq!(decode(raw).as_deref(), Some(text), "{raw}");
        }
        for raw in ["100%", "%2", "%zz", "%é0", "%ff", "%", "%+1"] {
            assert_eq!(decode(raw), None, "{raw}");
        }
    }

    #[test]
    fn matches_segment_by_segment() {
        let template = "/api/chat/user/{userId}/chats";
        let user = |path| {
            Some(
                Params::matching(template, path)?
                    .user("userId")
                    .unwrap()
                    .as_str()
                    .to_owned(),
            )
        };

        assert_eq!(user("/api/chat/user/u1/chats").as_deref(), Some("u1"));
        assert_eq!(user("/API/Chat/USER/U%2f1/Chats").as_deref(), Some("U/1"));
        for other in [
            "/api/chat/user//chats",
            "/api/chat/user/u1",
            "/api/chat/user/u1/chats/",
            "/api/chat/user/u1/chats/more",
            "//api/chat/user/u1/chats",
            "api/chat/user/u1/chats",
            "",
        ] {
            assert_eq!(user(other), None, "{other}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_an_id() {
        for raw in ["a%00", "a%0Ab", "%C2%80", "%ff", "100%"] {
            let path = format!("/{raw}");
            let params = Params::matching("/{userId}", &path).unwrap();
            assert_eq!(params.user("userId").unwrap_err().status(), 400, "{raw}");
        }
        let path = format!("/{}", "a".repeat(129));
        assert!(
            Params::matching("/{userId}", &path)
                .unwrap()
                .user("userId")
                .is_err()
        );
        let path = format!("/{}", "a".repeat(258));
        assert!(
            Params::matching("/{chatboxId}", &path)
                .unwrap()
                .chatbox_id()
                .is_err()
        );
    }
    proptest! {
        #[test]
        fn what_was_encoded_is_decoded_to_itself(text in any::<String>()) {
            let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(decode(&encoded), Some(text));
        }

        #[test]
        fn no_path_breaks_a_route(raw in "[a/%2eE.;\\\\]{0,12}|\\PC{0,8}", path in "(/[a-z%0-9]{0,4}){0,6}") {
            for path in [path, format!("/api/{raw}/x")] {
                let Some(params) = Params::matching("/api/{userId}/x", &path) else {
                    continue;
                };
                // What stands for one segment is one.
                prop_assert_eq!(path.split('/').count(), 4);
                if let Ok(user) = params.user("userId") {
                    prop_assert!(!user.as_str().is_empty() && !user.as_str().contains(char::is_control));
                    let encoded = utf8_percent_encode(user.as_str(), NON_ALPHANUMERIC).to_string();
                    prop_assert_eq!(decode(&encoded), Some(user.as_str().to_owned()));
                }
            }
        }
    }
}
