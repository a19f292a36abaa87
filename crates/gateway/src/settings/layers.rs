//! The layers that settings come from: a file, the environment, flags. All give texts by name; later ones win.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use config::{FileFormat, Format as _, Value, ValueKind};

use super::{
    SettingsError,
    table::{self, Setting},
};

/// Names the settings file.
const CONFIG_VARIABLE: &str = "CARILLON_CONFIG";
const PREFIX: &str = "CARILLON_";

/// What the command line sets.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--dev`.
    pub dev: bool,
    /// `--config`: the settings file.
    pub config: Option<PathBuf>,
    /// The flags with a value, by name without the dashes, as they were given.
    pub values: BTreeMap<&'static str, String>,
}

/// The environment's variables as the settings see them: those with a text in them.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// A text for a setting and where it was found.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) setting: &'static Setting,
    /// `PORT`, `--port` or `` `port` in carillon.toml``.
    name: String,
    pub(super) text: String,
}

impl Environment {
    /// The process environment.
    ///
    /// # Errors
    /// Where a variable that is read here holds no Unicode text.
    pub fn of_process() -> Result<Self, SettingsError> {
        Self::from_os(std::env::vars_os())
    }

    fn from_os(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, SettingsError> {
        let mut texts = Vec::new();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else {
                continue;
            };
            let Ok(value) = value.into_string() else {
                let (value, allowed) = (String::from("no Unicode text"), String::from("text in UTF-8"));
                return Err(SettingsError::Value {
                    name: name.to_owned(),
                    value,
                    allowed,
                });
            };
            texts.push((name.to_owned(), value));
        }
        Ok(texts.into_iter().collect())
    }

    /// The variable's text; an empty one is as good as none.
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
    }
}

impl<N: Into<String>, T: Into<String>> FromIterator<(N, T)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, T)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, text)| (name.into(), text.into()))
                .collect(),
        )
    }
}

impl Given {
    /// The refusal of this text.
    pub(super) fn refused(&self, allowed: String) -> SettingsError {
        let value = if self.setting.secret {
            String::from("(hidden)")
        } else {
            format!("`{}`", self.text)
        };
        SettingsError::Value {
            name: self.name.clone(),
            value,
            allowed,
        }
    }
}

/// All texts in the order in which they are applied.
pub(super) fn collect(flags: &Flags, environment: &Environment) -> Result<Vec<Given>, SettingsError> {
    let path = flags
        .config
        .clone()
        .or_else(|| environment.get(CONFIG_VARIABLE).map(PathBuf::from));
    let mut given = match path {
        Some(path) => from_file(&path)?,
        None => Vec::new(),
    };
    given.extend(from_environment(environment)?);
    given.extend(from_flags(flags)?);
    Ok(given)
}

fn from_file(path: &Path) -> Result<Vec<Given>, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|error| SettingsError::file(path, &error))?;
    let keys = FileFormat::Toml
        .parse(None, &text)
        .map_err(|error| SettingsError::file(path, &error))?;
    let mut given = Vec::new();
    for (key, value) in keys {
        let name = format!("`{key}` in {}", path.display());
        let Some(setting) = table::all().find(|setting| setting.key() == key) else {
            let hint = nearest(&key, table::all().map(Setting::key));
            return Err(SettingsError::Unknown { name, hint });
        };
        let Some(text) = as_text(value) else {
            let (value, allowed) = (
                String::from("a table"),
                String::from("text, a number, true, false or a list"),
            );
            return Err(SettingsError::Value { name, value, allowed });
        };
        given.push(Given { setting, name, text });
    }
    Ok(given)
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

fn from_environment(environment: &Environment) -> Result<Vec<Given>, SettingsError> {
    let mut given = Vec::new();
    for (name, value) in &environment.0 {
        if name == CONFIG_VARIABLE || is_service_link(name, value) {
            continue;
        }
        if let Some(setting) = table::all().find(|setting| setting.env == name) {
            let text = environment
                .get(name)
                .or_else(|| setting.empty_is_off.then_some(""));
            given.extend(text.map(|text| Given {
                setting,
                name: name.clone(),
                text: text.to_owned(),
            }));
        } else if name.starts_with(PREFIX) {
            return Err(SettingsError::Unknown {
                name: name.clone(),
                hint: nearest_variable(name),
            });
        }
    }
    Ok(given)
}

fn from_flags(flags: &Flags) -> Result<Vec<Given>, SettingsError> {
    let mut given = Vec::new();
    for (flag, text) in &flags.values {
        let name = format!("--{flag}");
        let Some(setting) = table::all().find(|setting| setting.flag == *flag) else {
            let hint = nearest(flag, table::all().map(|setting| setting.flag));
            return Err(SettingsError::Unknown {
                name,
                hint: hint.map(|hint| format!("--{hint}")),
            });
        };
        given.push(Given {
            setting,
            name,
            text: text.trim().to_owned(),
        });
    }
    Ok(given)
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) || table::all().any(|setting| setting.env == name)
}

/// Whether Kubernetes made the variable for a service that is called `carillon…`: `CARILLON_SERVICE_HOST`,
/// `CARILLON_PORT=tcp://10.0.0.1:4000`, `CARILLON_PORT_4000_TCP_ADDR`. Nobody set these, so they are passed over.
fn is_service_link(name: &str, value: &str) -> bool {
    if !name.starts_with(PREFIX) {
        return false;
    }
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || ["tcp://", "udp://"]
            .iter()
            .any(|scheme| value.starts_with(scheme))
        || ["_TCP_", "_UDP_"]
            .iter()
            .any(|protocol| name.contains("_PORT_") && name.contains(protocol))
}

/// The variable nearest to an unknown one. The prefix, which is the same everywhere, does not count, and so
/// `CARILLON_JWT_SECRET` finds `JWT_SECRET`.
fn nearest_variable(name: &str) -> Option<String> {
    let stem = |name| str::strip_prefix(name, PREFIX).unwrap_or(name);
    let known = || table::all().map(|setting| setting.env).chain([CONFIG_VARIABLE]);
    let hint = nearest(stem(name), known().map(stem))?;
    known().find(|known| stem(known) == hint).map(str::to_owned)
}

/// The known name that takes the fewest edits to reach, if they are few.
fn nearest<N: AsRef<str> + Ord>(name: &str, known: impl Iterator<Item = N>) -> Option<N> {
    let (edits, nearest) = known.map(|other| (edits(name, other.as_ref()), other)).min()?;
    (edits <= 2 + name.len() / 10 && edits < name.len()).then_some(nearest)
}

/// Levenshtein's distance, in bytes.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, left) in from.bytes().enumerate() {
        let mut cell = done + 1;
        let mut next = vec![cell];
        for ((right, diagonal), above) in to.bytes().zip(&row).zip(row.iter().skip(1)) {
            cell = (cell + 1)
                .min(above + 1)
                .min(diagonal + usize::from(left != right));
            next.push(cell);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("same", "same"), 0);
    }

    #[test]
    fn kubernetes_service_links_are_passed_over() {
        for (name, value) in [
            ("CARILLON_SERVICE_HOST", "10.0.0.1"),
            ("CARILLON_SERVICE_PORT", "4000"),
            ("CARILLON_SERVICE_PORT_HTTP", "4000"),
            ("CARILLON_PORT", "tcp://10.0.0.1:4000"),
            ("CARILLON_PORT_4000_TCP", "tcp://10.0.0.1:4000"),
            ("CARILLON_PORT_4000_TCP_ADDR", "10.0.0.1"),
            ("CARILLON_INTERNAL_SERVICE_HOST", "10.0.0.1"),
            ("CARILLON_INTERNAL_PORT", "tcp://10.0.0.1:9000"),
        ] {
            let given = from_environment(&Environment::from_iter([(name, value)])).unwrap();
            assert!(given.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_variable_that_is_no_text_is_refused_and_others_are_not_looked_at() {
        use std::os::unix::ffi::OsStringExt as _;
        let no_text = || OsString::from_vec(vec![0xff]);

        let foreign = Environment::from_os([(OsString::from("LS_COLORS"), no_text())]).unwrap();
        let ours = Environment::from_os([(OsString::from("CARILLON_DATA_DIR"), no_text())]).unwrap_err();

        assert!(foreign.0.is_empty());
        assert_eq!(
            ours.to_string(),
            "CARILLON_DATA_DIR is no Unicode text, but it takes text in UTF-8"
        );
    }
}
