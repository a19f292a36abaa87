//! The layers that settings come from: a file, the environment, flags. All give texts by name; later ones win.

mod file;

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf};

use super::{
    SettingsError,
    names::{lookalike, nearest, nearest_variable},
    table::{self, Setting},
};

/// Names the settings file.
pub(super) const CONFIG_VARIABLE: &str = "CARILLON_CONFIG";
pub(super) const PREFIX: &str = "CARILLON_";

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
pub struct Environment {
    texts: BTreeMap<String, String>,
    lookalikes: Vec<(String, &'static str)>,
}

/// Where a setting's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// `--dev` did.
    Development,
    /// The settings file.
    File {
        /// Its path.
        path: PathBuf,
        /// The line of its key, from 1, where that is known.
        line: Option<usize>,
    },
    /// Its variable.
    Environment,
    /// The other variable, that counts where its own is not set.
    OtherVariable(&'static str),
    /// Its flag.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Development => f.write_str("--dev"),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::OtherVariable(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// A text for a setting and where it was found.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) setting: &'static Setting,
    pub(super) source: Source,
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

    pub(super) fn from_os(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let mut environment = Self::default();
        let mut errors = Vec::new();
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            if !is_ours(name) {
                let slip = lookalike(name).filter(|_| !value.is_empty());
                let slip = slip.map(|meant| (name.to_owned(), meant));
                environment.lookalikes.extend(slip);
            } else if let Ok(value) = value.into_string() {
                environment.texts.insert(name.to_owned(), value);
            } else {
                errors.push(SettingsError::Value {
                    name: name.to_owned(),
                    value: String::from("no Unicode text"),
                    allowed: String::from("text in UTF-8"),
                });
            }
        }
        SettingsError::all(errors)?;
        Ok(environment)
    }

    /// What to say of variables that nothing reads and that are named nearly like one that is not set.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        let unset = |(_, meant): &&(String, &str)| self.get(meant).is_none();
        self.lookalikes.iter().filter(unset).map(|(name, meant)| {
            format!("the variable {name} is set, which nothing here reads; did you mean {meant}?")
        })
    }

    /// The variable's text; an empty one is as good as none.
    fn get(&self, name: &str) -> Option<&str> {
        self.texts
            .get(name)
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
    }
}

impl<N: Into<String>, T: Into<String>> FromIterator<(N, T)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, T)>>(variables: I) -> Self {
        let texts = variables
            .into_iter()
            .map(|(name, text)| (name.into(), text.into()));
        Self {
            texts: texts.collect(),
            lookalikes: Vec::new(),
        }
    }
}

impl Given {
    /// The refusal of this text.
    pub(super) fn refused(&self, allowed: String) -> SettingsError {
        let Self {
            setting,
            source,
            text,
        } = self;
        let name = match source {
            Source::Flag => format!("--{}", setting.flag),
            Source::File { .. } => format!("`{}` in {source}", setting.key()),
            Source::OtherVariable(name) => (*name).to_owned(),
            Source::Environment | Source::Default | Source::Development => setting.env.to_owned(),
        };
        let value = if setting.secret {
            String::from("(hidden)")
        } else {
            format!("`{text}`")
        };
        SettingsError::Value { name, value, allowed }
    }
}

/// All texts in the order in which they are applied, and all that is wrong with their names.
pub(super) fn collect(flags: &Flags, environment: &Environment) -> (Vec<Given>, Vec<SettingsError>) {
    let (mut given, mut errors) = (Vec::new(), Vec::new());
    let path = flags
        .config
        .clone()
        .or_else(|| environment.get(CONFIG_VARIABLE).map(PathBuf::from));
    if let Some(path) = path {
        file::read(&path, &mut given, &mut errors);
    }
    from_environment(environment, &mut given, &mut errors);
    from_flags(flags, &mut given, &mut errors);
    (given, errors)
}

fn from_environment(environment: &Environment, given: &mut Vec<Given>, errors: &mut Vec<SettingsError>) {
    for (name, value) in &environment.texts {
        if name == CONFIG_VARIABLE || is_service_link(name, value) {
            continue;
        }
        let named = |setting: &&Setting| setting.env == name || setting.other_env == Some(name);
        if let Some(setting) = table::all().find(named) {
            let other = setting.other_env.filter(|other| other == name);
            if other.is_some() && environment.get(setting.env).is_some() {
                continue;
            }
            let text = environment
                .get(name)
                .or_else(|| setting.empty_is_off.then_some(""));
            given.extend(text.map(|text| Given {
                setting,
                source: other.map_or(Source::Environment, Source::OtherVariable),
                text: text.to_owned(),
            }));
        } else if name.starts_with(PREFIX) {
            errors.push(SettingsError::Unknown {
                name: name.clone(),
                hint: nearest_variable(name),
            });
        }
    }
}

fn from_flags(flags: &Flags, given: &mut Vec<Given>, errors: &mut Vec<SettingsError>) {
    for (flag, text) in &flags.values {
        let Some(setting) = table::all().find(|setting| setting.flag == *flag) else {
            let hint = nearest(flag, table::all().map(|setting| setting.flag));
            errors.push(SettingsError::Unknown {
                name: format!("--{flag}"),
                hint: hint.map(|hint| format!("--{hint}")),
            });
            continue;
        };
        given.push(Given {
            setting,
            source: Source::Flag,
            text: text.trim().to_owned(),
        });
    }
}

fn is_ours(name: &str) -> bool {
    let is_named = |setting: &Setting| setting.env == name || setting.other_env == Some(name);
    name.starts_with(PREFIX) || table::all().any(is_named)
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

#[cfg(test)]
mod tests {
    use super::*;

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
            let (given, errors) = collect(&Flags::default(), &Environment::from_iter([(name, value)]));
            assert!(given.is_empty() && errors.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_variable_that_is_no_text_is_refused_and_others_are_not_looked_at() {
        use std::os::unix::ffi::OsStringExt as _;
        let no_text = || OsString::from_vec(vec![0xff]);

        let foreign = Environment::from_os([(OsString::from("LS_COLORS"), no_text())]).unwrap();
        let ours = Environment::from_os([(OsString::from("CARILLON_DATA_DIR"), no_text())]).unwrap_err();

        assert!(foreign.texts.is_empty());
        assert_eq!(
            ours.to_string(),
            "CARILLON_DATA_DIR is no Unicode text, but it takes text in UTF-8"
        );
    }

    #[test]
    fn a_variable_that_is_nearly_ours_is_remarked_unless_ours_is_set() {
        let read = |names: &[&str]| {
            let variables = names
                .iter()
                .map(|name| (OsString::from(name), OsString::from("x")));
            let environment = Environment::from_os(variables).unwrap();
            environment.remarks().collect::<Vec<_>>()
        };
        assert_eq!(
            read(&["MONGODB_URL"]),
            ["the variable MONGODB_URL is set, which nothing here reads; did you mean MONGODB_URI?"]
        );
        assert!(read(&["MONGODB_URL", "MONGODB_URI"]).is_empty() && read(&["PATH", "HOME"]).is_empty());
    }
}
