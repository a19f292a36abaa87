//! The query of a request: form-encoded, each key at most once.

use crate::http::error::ApiError;

use super::path::decode;

/// Keys and values in order; a value that cannot be decoded is `None`.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, Option<String>)>);

impl Query {
    /// Reads `a=1&b=2`. A key that cannot be decoded is kept as it stands.
    pub(super) fn parse(query: &str) -> Self {
        let decode = |text: &str| decode(&text.replace('+', " "));
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key).unwrap_or_else(|| key.to_owned()), decode(value))
        });
        Self(pairs.collect())
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &str) -> Result<Option<&str>, ApiError> {
        let mut values = self
            .0
            .iter()
            .filter(|(name, _)| name == key)
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(Some(value)), None) => Ok(Some(value)),
            (Some(None), None) => Err(ApiError::invalid(format!("{key} is not percent-encoded UTF-8"))),
            (Some(_), Some(_)) => Err(ApiError::invalid(format!("{key} is given twice"))),
        }
    }

    /// A whole number from 0 on; one beyond what fits counts as the largest that does.
    pub(super) fn natural(&self, key: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(key)? else {
            return Ok(None);
        };
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ApiError::invalid(format!("{key} must be a whole number")));
        }
        Ok(Some(text.parse().unwrap_or(u64::MAX)))
    }

    /// A whole number from 1 on.
    pub(super) fn positive(&self, key: &str) -> Result<Option<u64>, ApiError> {
        let positive = || ApiError::invalid(format!("{key} must be a positive integer"));
        match self.natural(key) {
            Ok(Some(0)) | Err(_) => Err(positive()),
            number => number,
        }
    }

    /// `limit`: how many entries are asked for, at most `most`.
    pub(super) fn limit(&self, default: u32, most: u32) -> Result<u32, ApiError> {
        let asked = self
            .positive("limit")?
            .map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
        Ok(asked.unwrap_or(default).min(most))
    }

    /// Refuses every key but `key`.
    pub(super) fn only(&self, key: &str) -> Result<(), ApiError> {
        match self.0.iter().find(|(name, _)| name != key) {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::invalid(format!("Unknown query parameter: {name}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_form_encoding() {
        let query = Query::parse("userId=a+b%2Bc&empty=&bare&x=%ff");
        assert_eq!(query.get("userId").unwrap(), Some("a b+c"));
        assert_eq!(query.get("empty").unwrap(), Some(""));
        assert_eq!(query.get("bare").unwrap(), Some(""));
        assert_eq!(query.get("none").unwrap(), None);
        assert!(query.get("x").is_err());
    }

    #[test]
    fn numbers_are_whole_and_given_once() {
        let page = |query: &str| Query::parse(query).positive("page").ok();
        assert_eq!(page(""), Some(None));
        assert_eq!(
            page("page=1000000000000000000"),
            Some(Some(1_000_000_000_000_000_000))
        );
        assert_eq!(page("page=99999999999999999999999"), Some(Some(u64::MAX)));
        for wrong in [
            "0", "-1", "1.5", "1e3", "abc", "", "+1", "%2B1", "0x1", "1&page=2", "١",
        ] {
            assert_eq!(page(&format!("page={wrong}")), None, "{wrong}");
        }
        assert_eq!(Query::parse("afterSeq=0").natural("afterSeq").unwrap(), Some(0));
    }

    #[test]
    fn a_limit_counts_up_to_the_most() {
        assert_eq!(Query::parse("limit=7").limit(50, 100).unwrap(), 7);
        assert_eq!(Query::parse("limit=99999999999").limit(50, 100).unwrap(), 100);
        assert_eq!(Query::parse("").limit(50, 100).unwrap(), 50);
        assert!(Query::parse("limit=0").limit(50, 100).is_err());
    }

    #[test]
    fn other_keys_can_be_refused() {
        assert!(Query::parse("daysOld=1&").only("daysOld").is_ok());
        assert!(Query::parse("daysold=1").only("daysOld").is_err());
    }
    proptest! {
        #[test]
        fn no_query_breaks_a_route(query in "((page|limit|x|%70age)?=?[0-9+%a-f&=\\[\\]$]{0,6}&?){0,4}|\\PC{0,20}") {
            let parsed = Query::parse(&query);
            let _ = parsed.only("page");
            match parsed.limit(50, 100) {
                Ok(limit) => prop_assert!((1..=100).contains(&limit)),
                // It is refused where it is given, and nowhere else.
                Err(_) => prop_assert!(!matches!(parsed.get("limit"), Ok(None))),
            }
            if let Ok(Some(page)) = parsed.positive("page") {
                let text = parsed.get("page").unwrap().unwrap();
                prop_assert_eq!(page, text.parse().unwrap_or(u64::MAX));
                prop_assert!(page > 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
            }
        }
    }
}
