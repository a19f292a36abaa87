//! The reference of all settings, written from their table: `docs/configuration.md` and a `carillon.toml` with every default.

use super::table::{GROUPS, Setting};

/// What stands before the tables.
const INTRODUCTION: &str = include_str!("reference/introduction.md");
/// What stands before the settings in the file.
const FILE_HEAD: &str = include_str!("reference/head.toml");

/// What the placeholders of the help stand for.
const PLACEHOLDERS: &[(&str, &str)] = &[
    ("ADAPTER", "`classic` or `sharded`"),
    ("ADDRESS", "an IP address"),
    ("CLAIM", "the name of a claim"),
    ("COUNT", "a whole number"),
    ("DAYS", "a whole number of days"),
    (
        "FILE\\|URL",
        "a path, or an address that begins with `https://` or `http://`",
    ),
    (
        "FILTER",
        "log levels, also by module: `info,carillon_gateway=debug`",
    ),
    ("FOLDER", "a path"),
    ("FORMAT", "`text` or `json`"),
    ("MS", "a whole number of milliseconds"),
    ("NAME", "a word"),
    (
        "NETWORKS",
        "addresses and networks such as `192.0.2.7`, `10.0.0.0/8` or `fd00::/8`, separated by commas; in the file also a list",
    ),
    ("ON\\|OFF", "`on` or `off`; in the file also `true` or `false`"),
    (
        "ORIGINS",
        "origins such as `https://app.example`, separated by commas; in the file also a list",
    ),
    (
        "PEM",
        "paths of PEM files, separated by commas, or PEM text (line ends may be written `\\n`)",
    ),
    ("PER-SECOND", "a whole number per second"),
    ("PORT", "a port, 0 to 65535"),
    ("ROLE", "the name of a role"),
    ("SCOPE", "`all` or `contacts`"),
    ("SECRET", "a text that is never shown"),
    ("SHARE", "a number from 0 to 1"),
    ("TEXT", "a text"),
    (
        "TIME",
        "a whole number with its unit: `500ms`, `120s`, `15m`, `12h`, `30d`",
    ),
    ("URI", "a server's address; what lets one in is never shown"),
    ("URL", "a server's address; what lets one in is never shown"),
];

/// `docs/configuration.md`.
#[must_use]
pub fn markdown() -> String {
    let mut document = INTRODUCTION.trim_end().to_owned();
    document.push_str("\n\n## Values\n\n| in the tables | means |\n|---|---|\n");
    for (placeholder, meaning) in PLACEHOLDERS {
        document.push_str(&format!("| {placeholder} | {meaning} |\n"));
    }
    for group in GROUPS {
        document.push_str(&format!("\n## {}\n\n", group.heading));
        document.push_str("| key in the file | variable | flag | takes | default | what it does |\n|---|---|---|---|---|---|\n");
        for setting in group.settings {
            document.push_str(&row(setting));
        }
    }
    document
}

fn row(setting: &Setting) -> String {
    let Setting {
        env,
        flag,
        placeholder,
        help,
        ..
    } = setting;
    let default = match setting.default_in_words() {
        words if words.is_empty() => String::from("none"),
        words if setting.has_fixed_default() => format!("`{words}`"),
        words => words,
    };
    format!(
        "| `{}` | `{env}` | `--{flag}` | {} | {default} | {} |\n",
        setting.key(),
        in_cell(placeholder),
        in_cell(help)
    )
}

/// A bar would end the cell.
fn in_cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A `carillon.toml` in which every setting is a remark; without its `#` each line sets the default.
#[must_use]
pub fn toml() -> String {
    let mut document = FILE_HEAD.trim_end().to_owned();
    for group in GROUPS {
        document.push_str(&format!("\n\n## {}\n", group.heading));
        for setting in group.settings {
            document.push_str(&format!("\n# {}\n", setting.help));
            document.push_str(&match setting.default_in_words() {
                default if setting.has_fixed_default() => {
                    format!("#{} = {}\n", setting.key(), toml_value(&default))
                }
                default if default.is_empty() => {
                    format!("# {}: no default\n#{} =\n", setting.placeholder, setting.key())
                }
                default => format!("# {}: {default}\n#{} =\n", setting.placeholder, setting.key()),
            });
        }
    }
    document
}

/// Numbers and switches as such, all else as text. No default needs an escape but those that are made here.
fn toml_value(text: &str) -> String {
    match text {
        "on" => String::from("true"),
        "off" => String::from("false"),
        number if number.parse::<u64>().is_ok() => number.to_owned(),
        text => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;
    use crate::settings::{Flags, Loaded, Settings, Source, table};

    /// A file of the repository, from its root.
    fn repository(path: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
    }

    #[test]
    fn the_documents_are_those_of_the_table() {
        for (path, written) in [
            ("docs/configuration.md", markdown()),
            ("deploy/carillon.toml", toml()),
        ] {
            let kept = fs::read_to_string(repository(path)).unwrap_or_default();
            assert!(
                kept == written,
                "{path} is not what the table says: run `make reference`"
            );
        }
    }

    #[test]
    fn every_placeholder_is_explained_once() {
        for setting in table::all() {
            let explained = PLACEHOLDERS
                .iter()
                .filter(|(name, _)| *name == in_cell(setting.placeholder));
            assert_eq!(
                explained.count(),
                1,
                "{} in PLACEHOLDERS of reference.rs",
                setting.placeholder
            );
        }
        assert!(PLACEHOLDERS.is_sorted(), "in the order of the alphabet");
    }

    #[test]
    fn the_file_sets_every_default_once_its_remarks_are_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("carillon.toml");
        let uncommented: String = toml()
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .filter(|line| line.contains(" = ") && !line.starts_with([' ', '#']))
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(&path, &uncommented).unwrap();
        let flags = Flags {
            dev: true,
            config: Some(path),
            values: [("bind", String::from("127.0.0.1"))].into(),
        };

        let loaded = Loaded::read(&flags, &crate::settings::Environment::default()).unwrap();

        for setting in table::all().filter(|setting| setting.has_fixed_default()) {
            assert_ne!(loaded.source(setting), Source::Default, "{}", setting.env);
        }
        let mut defaults = Settings {
            dev: true,
            ..Settings::default()
        };
        defaults.bind = loaded.settings.bind;
        assert_eq!(format!("{:?}", loaded.settings), format!("{defaults:?}"));
    }
}
