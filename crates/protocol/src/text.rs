//! Text as JavaScript clients count and trim it: lengths in UTF-16 code units, white space as ECMAScript has it.

use std::borrow::Cow;

/// Length in UTF-16 code units, as `String.prototype.length` counts.
#[must_use]
pub fn utf16_len(text: &str) -> usize {
    // Every char has one unit, those outside the Basic Multilingual Plane (four bytes) one more.
    text.chars().count() + text.bytes().filter(|byte| *byte >= 0xF0).count()
}

/// Trims as `String.prototype.trim` does (ECMAScript `WhiteSpace` and `LineTerminator`): U+FEFF goes too, U+0085 stays.
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_js_space)
}

const fn is_js_space(c: char) -> bool {
    matches!(
        c,
        '\u{9}'..='\u{D}' | ' ' | '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{2028}' | '\u{2029}' | '\u{202F}'
            | '\u{205F}' | '\u{3000}' | '\u{FEFF}'
    )
}

/// The longest start of `text` with at most `units` UTF-16 code units, never half a surrogate pair.
#[must_use]
pub fn prefix(text: &str, units: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.len_utf16();
        if used > units {
            return text.split_at(at).0;
        }
    }
    text
}

/// Compares by UTF-16 code units, as `Array.prototype.sort` does: U+FF5E stands after U+1F600.
#[must_use]
pub fn cmp_utf16(left: &str, right: &str) -> std::cmp::Ordering {
    left.encode_utf16().cmp(right.encode_utf16())
}

/// Replaces each escape of half a surrogate pair (`\ud83d` alone) by `\ufffd`, so that a JSON parser takes the text.
///
/// JavaScript reads and writes such escapes; `serde_json` refuses them. Text without one is returned as it is.
///
/// ```
/// use carillon_protocol::text::replace_lone_surrogates;
///
/// assert_eq!(replace_lone_surrogates(r#""\ud83d!""#), r#""\ufffd!""#);
/// assert_eq!(replace_lone_surrogates(r#""\ud83d\ude00""#), r#""\ud83d\ude00""#);
/// assert_eq!(replace_lone_surrogates(r#""\\ud83d""#), r#""\\ud83d""#);
/// ```
#[must_use]
pub fn replace_lone_surrogates(json: &str) -> Cow<'_, str> {
    if !json.contains(r"\ud") && !json.contains(r"\uD") {
        return Cow::Borrowed(json);
    }
    let mut replaced = String::with_capacity(json.len());
    let mut found = false;
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        replaced.push_str(plain);
        let (kept, length) = match escaped_unit(escape) {
            Some(0xD800..=0xDBFF) if is_low_surrogate(escape.get(6..)) => (escape.get(..12), 12),
            Some(0xD800..=0xDFFF) => (None, 6),
            // The character after the backslash, so that `\\` is not taken for the start of an escape.
            _ => {
                let length = 1 + escape.chars().nth(1).map_or(0, char::len_utf8);
                (escape.get(..length), length)
            }
        };
        found |= kept.is_none();
        replaced.push_str(kept.unwrap_or(r"\ufffd"));
        rest = escape.split_at(length).1;
    }
    replaced.push_str(rest);
    if found {
        Cow::Owned(replaced)
    } else {
        Cow::Borrowed(json)
    }
}

/// The code unit that `text` starts with, where that is `\u` and four hex digits.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(r"\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_low_surrogate(text: Option<&str>) -> bool {
    matches!(text.and_then(escaped_unit), Some(0xDC00..=0xDFFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_utf16_units() {
        assert_eq!(utf16_len("aé€"), 3);
        assert_eq!(utf16_len(&"😀".repeat(500)), 1000);
    }

    #[test]
    fn trims_what_javascript_trims() {
        assert_eq!(trim("\u{FEFF}\u{A0}\u{2003}\u{2028} a b \n"), "a b");
        assert_eq!(trim("\u{85}a\u{200B}"), "\u{85}a\u{200B}");
    }

    #[test]
    fn never_cuts_a_pair() {
        assert_eq!(prefix("a😀b", 2), "a");
        assert_eq!(prefix("a😀b", 3), "a😀");
        assert_eq!(prefix("ab", 5), "ab");
    }

    #[test]
    fn sorts_by_code_units() {
        assert!(cmp_utf16("10", "9").is_lt());
        assert!(cmp_utf16("Z", "a").is_lt());
        assert!(cmp_utf16("\u{1F600}", "\u{FF5E}").is_lt());
    }

    #[test]
    fn replaces_half_surrogate_pairs_only() {
        let vectors = [
            (r#""\\ud83d \\\ud83d""#, r#""\\ud83d \\\ufffd""#),
            (r#""\uD83D\uDE00\ude00""#, r#""\uD83D\uDE00\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83dx\n\ude00""#, r#""\ufffdx\n\ufffd""#),
            (r"\ud83d", r"\ufffd"),
            (r"\ud83d\u00", r"\ufffd\u00"),
            (r"\ud83", r"\ud83"),
            (r"\ud83d\", r"\ufffd\"),
            (r"\ud83\😀\ud83é", r"\ud83\😀\ud83é"),
        ];
        for (json, replaced) in vectors {
            assert_eq!(replace_lone_surrogates(json), replaced, "{json}");
        }
    }

    #[test]
    fn returns_text_without_half_pairs_as_it_is() {
        for json in ["{}", r#""\u00e9\n""#, r#""\ud83d\ude00""#, r#""\\ud83d""#] {
            assert!(
                matches!(replace_lone_surrogates(json), Cow::Borrowed(_)),
                "{json}"
            );
        }
    }
}
