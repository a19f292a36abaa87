//! A place in the log of kept broadcasts, as text of one width: `<epoch>.<number>`, `k3Zp09aQ.0000000000000042`.

use std::fmt;

use bytestring::ByteString;

/// Length of an offset's text, in bytes: eight of the epoch, a dot, sixteen digits.
pub const OFFSET_WIDTH: usize = 25;

/// The largest number: a double, which is what Redis scripts count in, is exact up to here (2^53, sixteen digits).
const MAX_NUMBER: u64 = 1 << 53;

/// Which run of the log a number belongs to: eight letters and digits. Numbers of different epochs do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch([u8; 8]);

impl Epoch {
    /// Reads eight ASCII letters and digits; nothing else is an epoch.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let epoch: [u8; 8] = text.as_bytes().try_into().ok()?;
        epoch.iter().all(u8::is_ascii_alphanumeric).then_some(Self(epoch))
    }

    /// The epoch that random bits make: of 62^8 each with nearly the same probability.
    #[must_use]
    pub fn of_bits(bits: u64) -> Self {
        const SIGNS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut rest = bits;
        Self(std::array::from_fn(|_| {
            let sign = usize::try_from(rest % 62).ok().and_then(|at| SIGNS.get(at));
            rest /= 62;
            sign.copied().unwrap_or(b'0')
        }))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

/// A place in the log of kept broadcasts.
///
/// A Redis script makes the same text of a number with `epoch .. '.' .. string.format('%016.0f', n)`.
///
/// ```
/// use carillon_protocol::adapter::{Epoch, OFFSET_WIDTH, Offset};
///
/// let offset = Offset::new(Epoch::parse("k3Zp09aQ").unwrap(), 42).unwrap();
/// assert_eq!(offset.to_string(), "k3Zp09aQ.0000000000000042");
/// assert_eq!(offset.to_string().len(), OFFSET_WIDTH);
/// assert_eq!(Offset::parse("k3Zp09aQ.0000000000000042"), Some(offset));
/// assert_eq!(Offset::parse("k3Zp09aQ.42"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Offset {
    epoch: Epoch,
    number: u64,
}

impl Offset {
    /// A place in no log: whoever comes back with it is not recovered. For sockets that were given something that the log
    /// cannot be read on from.
    pub const NOWHERE: Self = Self {
        epoch: Epoch(*b"nowhere0"),
        number: 0,
    };

    /// The place `number` of `epoch`; `None` beyond 2^53.
    #[must_use]
    pub fn new(epoch: Epoch, number: u64) -> Option<Self> {
        (number <= MAX_NUMBER).then_some(Self { epoch, number })
    }

    /// Reads exactly what [`Offset`]'s `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, digits) = text.split_once('.')?;
        if digits.len() != 16 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Self::new(Epoch::parse(epoch)?, digits.parse().ok()?)
    }

    /// Which run of the log it belongs to.
    #[must_use]
    pub const fn epoch(self) -> Epoch {
        self.epoch
    }

    /// Its number within the epoch.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }

    /// Whether it is `end`, or before it in the same log. Nothing is before, or at, [`Offset::NOWHERE`].
    #[must_use]
    pub fn is_up_to(self, end: Self) -> bool {
        self.epoch == end.epoch && self.number <= end.number && end != Self::NOWHERE
    }

    /// Its text.
    #[must_use]
    pub fn to_bytes(self) -> [u8; OFFSET_WIDTH] {
        let mut text = [b'0'; OFFSET_WIDTH];
        let mut rest = self.number;
        let (epoch, digits) = text.split_at_mut(self.epoch.0.len());
        epoch.copy_from_slice(&self.epoch.0);
        for (at, place) in digits.iter_mut().enumerate().rev() {
            // A remainder of ten fits a byte; the dot stands before the digits.
            let digit = u8::try_from(rest % 10).unwrap_or_default();
            *place = if at == 0 { b'.' } else { b'0' + digit };
            rest /= 10;
        }
        text
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:016}", self.epoch, self.number)
    }
}

impl From<Offset> for ByteString {
    fn from(offset: Offset) -> Self {
        offset.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_the_same_width() {
        let epoch = Epoch::parse("aZ09aZ09").unwrap();
        for number in [0, 1, 9, 10, 42, u64::from(u32::MAX), MAX_NUMBER - 1, MAX_NUMBER] {
            let offset = Offset::new(epoch, number).unwrap();
            assert_eq!(offset.to_string().as_bytes(), offset.to_bytes());
            assert_eq!(Offset::parse(&offset.to_string()), Some(offset));
        }
        assert_eq!(Offset::new(epoch, MAX_NUMBER + 1), None);
    }

    #[test]
    fn places_compare_within_their_epoch() {
        let place = |epoch: &str, number| Offset::new(Epoch::parse(epoch).unwrap(), number).unwrap();
        let end = place("k3Zp09aQ", 10);
        for (number, up_to) in [(9, true), (10, true), (11, false), (100, false), (9_000, false)] {
            assert_eq!(place("k3Zp09aQ", number).is_up_to(end), up_to);
            assert!(!place("a3Zp09aQ", number).is_up_to(end));
        }
        for place in [end, Offset::NOWHERE] {
            assert!(!place.is_up_to(Offset::NOWHERE));
            assert!(!Offset::NOWHERE.is_up_to(place));
        }
    }

    #[test]
    fn any_bits_make_an_epoch() {
        for bits in [0, 1, 61, 62, u64::MAX - 1, u64::MAX] {
            let epoch = Epoch::of_bits(bits);
            assert_eq!(Epoch::parse(&epoch.to_string()), Some(epoch));
        }
        assert_ne!(Epoch::of_bits(61), Epoch::of_bits(62));
    }

    #[test]
    fn nowhere_is_a_place_like_any_other_in_text() {
        let text = Offset::NOWHERE.to_string();
        assert_eq!(text, "nowhere0.0000000000000000");
        assert_eq!(Offset::parse(&text), Some(Offset::NOWHERE));
    }

    #[test]
    fn refuses_any_other_text() {
        for text in [
            "",
            ".",
            "aZ09aZ09",
            "aZ09aZ09.",
            "aZ09aZ09.42",
            "aZ09aZ09.00000000000000042",
            "aZ09aZ09.+000000000000042",
            "aZ09aZ09.-000000000000042",
            "aZ09aZ09.000000000000004x",
            "aZ09aZ09.9999999999999999",
            "aZ09aZ09.9007199254740993",
            "aZ09aZ0.00000000000000042",
            "aZ09aZ0-.0000000000000042",
            "aZ09aZé.0000000000000042",
            "aZ09aZ09 0000000000000042",
            " aZ09aZ09.000000000000042",
            "aZ09aZ09.0000000000000042\n",
        ] {
            assert_eq!(Offset::parse(text), None, "{text}");
        }
    }
}
