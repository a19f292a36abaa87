//! How a setting's text is read. An error says what would be taken, to stand after "it takes".

use std::{fmt::Display, str::FromStr, time::Duration};

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// A whole number from `least` to `most`.
///
/// # Errors
/// For anything else.
pub fn number<T: FromStr + PartialOrd + Display + Copy>(text: &str, least: T, most: T) -> Result<T, String> {
    match text.parse() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(format!("a whole number from {least} to {most}")),
    }
}

/// A length of time with its unit: `500ms`, `120s`, `15m`, `12h`, `30d`.
///
/// # Errors
/// For anything else, also a number without a unit and what is too long to count in milliseconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits).unwrap_or_default();
    let factor = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor);
    let count = if digits.starts_with('+') {
        None
    } else {
        digits.parse::<u64>().ok()
    };
    factor
        .zip(count)
        .and_then(|(factor, count)| count.checked_mul(factor))
        .map(Duration::from_millis)
        .ok_or_else(|| String::from("a time with its unit, such as 500ms, 120s, 15m, 12h or 30d"))
}

/// A length of time of at most `most`.
///
/// # Errors
/// As [`duration`], and for a longer one.
pub fn duration_up_to(text: &str, most: Duration) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration > most {
        return Err(format!("a time up to {}", show_duration(most)));
    }
    Ok(duration)
}

/// A length of time from `least` to `most`.
///
/// # Errors
/// As [`duration`], and for a shorter or longer one.
pub fn duration_between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration < least || duration > most {
        return Err(format!(
            "a time from {} to {}",
            show_duration(least),
            show_duration(most)
        ));
    }
    Ok(duration)
}

/// A length of time as [`duration`] reads it, in seconds where it is whole ones.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1_000) {
        format!("{}s", millis / 1_000)
    } else {
        format!("{millis}ms")
    }
}

/// `on` or `off`; a file's `true` and `false` count as well.
///
/// # Errors
/// For anything else.
pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(String::from("on or off")),
    }
}

/// A switch as [`switch`] reads it.
#[must_use]
pub const fn show_switch(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// One of a few words.
///
/// # Errors
/// For any other word.
pub fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        words.join(" or ")
    })
}

/// Any text but an empty one.
///
/// # Errors
/// For an empty text.
pub fn text(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err(String::from("a text that is not empty"))
    } else {
        Ok(text.to_owned())
    }
}

/// The parts between commas, without the blanks around them; empty parts are passed over.
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_needs_its_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("12h"), Ok(Duration::from_secs(43_200)));
        for bad in [
            "",
            "12",
            "h",
            "1.5h",
            "-1s",
            "+1s",
            "1 s",
            "1w",
            "1S",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_is_held_to_its_range() {
        assert_eq!(number("0", 0, u16::MAX), Ok(0));
        assert_eq!(
            number("65536", 0, u16::MAX),
            Err(String::from("a whole number from 0 to 65535"))
        );
        for bad in ["", "4e3", "0x10", "-1", "4000 ", "४"] {
            assert!(number(bad, 0, u16::MAX).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_choice_names_its_words() {
        assert_eq!(choice("b", &[("a", 1), ("b", 2)]), Ok(2));
        assert_eq!(choice("c", &[("a", 1), ("b", 2)]), Err(String::from("a or b")));
    }

    proptest! {
        #[test]
        fn a_time_survives_being_shown(millis in 0..u64::MAX) {
            let time = Duration::from_millis(millis);
            prop_assert_eq!(duration(&show_duration(time)), Ok(time));
        }

        #[test]
        fn no_text_panics(any in ".*") {
            let _ = duration(&any);
            let _ = switch(&any);
            let _ = list(&any).count();
        }

        #[test]
        fn a_list_gives_its_parts(parts in proptest::collection::vec("[a-z0-9:/.]{1,8}", 0..6), blanks in " {0,2}") {
            let joined = parts.join(&format!("{blanks},{blanks}"));
            prop_assert_eq!(list(&joined).collect::<Vec<_>>(), parts);
        }
    }
}
