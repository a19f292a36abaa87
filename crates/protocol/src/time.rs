//! Points in time as clients see them: ISO 8601 with milliseconds and `Z`.

use std::fmt;

use bytestring::ByteString;
use jiff::{SignedDuration, civil::DateTime};
use serde::{Serialize, Serializer};

use crate::value::Value;

/// Milliseconds since 1970-01-01T00:00:00Z, always within what ISO 8601 can write (years 0 to 9999).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// 0000-01-01T00:00:00.000Z.
const MIN_MILLIS: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z.
const MAX_MILLIS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// From milliseconds since the epoch; outside the years 0 to 9999 the nearest end counts.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(if millis < MIN_MILLIS {
            MIN_MILLIS
        } else if millis > MAX_MILLIS {
            MAX_MILLIS
        } else {
            millis
        })
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Reads a date as clients write it: RFC 3339 with an offset or `Z` (`2026-01-02T03:04:05.678Z`). Without an offset,
    /// and as a date alone, it counts as UTC.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Self::from_millis(at.as_millisecond()));
        }
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        let at = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some(Self::from_millis(at.as_millisecond()))
    }

    /// This time moved by `millis`.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not jiff::Timestamp: it ends a day before the year 9999 does.
        let at = EPOCH.saturating_add(SignedDuration::from_millis(self.0));
        write!(f, "{at:.3}Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::String(ByteString::from(at.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_with_milliseconds_and_z() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            Timestamp::from_millis(1_790_000_000_120).to_string(),
            "2026-09-21T14:13:20.120Z"
        );
        assert_eq!(
            Timestamp::from_millis(i64::MAX).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
        assert_eq!(
            Timestamp::from_millis(i64::MIN).to_string(),
            "0000-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn reads_what_clients_write() {
        let at = Timestamp::parse("2026-01-02T03:04:05.678+02:00").unwrap();
        assert_eq!(at.to_string(), "2026-01-02T01:04:05.678Z");
        assert_eq!(
            Timestamp::parse("2026-01-02").unwrap().to_string(),
            "2026-01-02T00:00:00.000Z"
        );
        assert_eq!(
            Timestamp::parse("2026-01-02T03:04:05").unwrap().to_string(),
            "2026-01-02T03:04:05.000Z"
        );
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
}
