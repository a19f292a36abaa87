//! The settings file.

use std::path::Path;

use config::{FileFormat, Format as _, Value, ValueKind};

use super::{Given, Source};
use crate::settings::{
    SettingsError,
    names::nearest,
    table::{self, Setting},
};

/// Adds what the file at `path` sets to `given`, and what is wrong with it to `errors`.
pub(super) fn read(path: &Path, given: &mut Vec<Given>, errors: &mut Vec<SettingsError>) {
    let keys = std::fs::read_to_string(path)
        .map_err(|error| SettingsError::file(path, &error))
        .and_then(|text| match FileFormat::Toml.parse(None, &text) {
            Ok(keys) => Ok((text, keys)),
            Err(error) => Err(SettingsError::file(path, &without_excerpt(&error.to_string()))),
        });
    let (text, keys) = match keys {
        Ok(keys) => keys,
        Err(error) => return errors.push(error),
    };
    let mut found: Vec<_> = keys
        .into_iter()
        .map(|(key, value)| (line_of(&text, &key), key, value))
        .collect();
    found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    for (line, key, value) in found {
        let source = Source::File {
            path: path.to_path_buf(),
            line,
        };
        match find(&source, &key, value) {
            Ok((setting, text)) => given.push(Given {
                setting,
                source,
                text,
            }),
            Err(error) => errors.push(error),
        }
    }
}

fn find(source: &Source, key: &str, value: Value) -> Result<(&'static Setting, String), SettingsError> {
    let name = || format!("`{key}` in {source}");
    let Some(setting) = table::all().find(|setting| setting.key() == key) else {
        let hint = nearest(key, table::all().map(Setting::key));
        return Err(SettingsError::Unknown { name: name(), hint });
    };
    let text = as_text(value).ok_or_else(|| SettingsError::Value {
        name: name(),
        value: String::from("a table"),
        allowed: String::from("text, a number, true, false or a list"),
    })?;
    Ok((setting, text))
}

/// A value of the file as a variable would give it: lists are joined by commas.
fn as_text(value: Value) -> Option<String> {
    match value.kind {
        ValueKind::Array(items) => {
            let items: Option<Vec<String>> = items.into_iter().map(as_text).collect();
            Some(items?.join(","))
        }
        ValueKind::Table(_) | ValueKind::Nil => None,
        _ => value.into_string().ok(),
    }
}

/// What TOML says of a fault without the line that it shows, which may hold a secret.
fn without_excerpt(fault: &str) -> String {
    let is_excerpt = |line: &&str| {
        let line = line.trim_start();
        line.trim_start_matches(|letter: char| letter.is_ascii_digit())
            .trim_start()
            .starts_with('|')
    };
    let lines: Vec<&str> = fault.lines().filter(|line| !is_excerpt(line)).collect();
    lines.join(": ")
}

/// The line, from 1, on which a key of the file's top level, or the table of that name, is set. The file is known to be TOML.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut is_in_text = false;
    for (number, line) in (1..).zip(text.lines()) {
        let was_in_text = is_in_text;
        let quotes = line.matches("\"\"\"").count() + line.matches("'''").count();
        is_in_text ^= !quotes.is_multiple_of(2);
        if !was_in_text && first_key(line) == Some(key) {
            return Some(number);
        }
    }
    None
}

/// The first part of the key, or of the table's name, that a line begins with.
fn first_key(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches('[').trim_start();
    let quote = line.chars().next().filter(|first| matches!(first, '"' | '\''));
    match quote {
        Some(quote) => line.get(1..)?.split(quote).next(),
        None => line
            .split(|letter: char| letter.is_whitespace() || matches!(letter, '=' | '.' | ']' | '#'))
            .next()
            .filter(|key| !key.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_where_it_is_set() {
        let text = "# port = 1\n\n  port=2\n\"bind\" = 'x'\n[limits]\nport = 3\npem = \"\"\"\nlog = 1\n\"\"\"\nlog = 2\n a.b = 1";
        for (key, line) in [
            ("port", Some(3)),
            ("bind", Some(4)),
            ("limits", Some(5)),
            ("log", Some(10)),
            ("a", Some(11)),
            ("nothing", None),
        ] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
    }
}
