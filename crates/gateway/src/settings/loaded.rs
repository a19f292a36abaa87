//! Settings as they were put together: each with where it comes from.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use super::{
    Environment, Flags, Settings, SettingsError, Source,
    layers::{self, Given},
    table::Setting,
};

/// Settings, and where each of them comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings. Unlike with [`Settings::load`] a development node has no secret but a given one: its folder is not
    /// looked at.
    pub settings: Settings,
    /// By variable; what nobody set is not in it.
    sources: BTreeMap<&'static str, Source>,
}

impl Loaded {
    /// Reads all layers, the file among them, and checks what they make together.
    ///
    /// # Errors
    /// [`SettingsError`], with all that is wrong: names and values first, and where they are good, what contradicts each other.
    pub fn read(flags: &Flags, environment: &Environment) -> Result<Self, SettingsError> {
        let (given, mut errors) = layers::collect(flags, environment);
        let mut loaded = Self::new(flags.dev);
        errors.extend(loaded.apply(given));
        if errors.is_empty() {
            errors = loaded.settings.contradictions();
        }
        SettingsError::all(errors)?;
        Ok(loaded)
    }

    /// Of all settings those by which a node is reached: `PORT`, `CARILLON_BIND` and `CARILLON_INTERNAL_PORT`. The others
    /// stay as they are by default, and whether they are right is not looked at: the node itself may have them from
    /// elsewhere.
    ///
    /// # Errors
    /// [`SettingsError`] where one of these cannot be used, or the settings file cannot be read.
    pub fn read_address(flags: &Flags, environment: &Environment) -> Result<Settings, SettingsError> {
        let (mut given, mut errors) = layers::collect(flags, environment);
        errors.retain(|error| matches!(error, SettingsError::File { .. }));
        given.retain(|given| {
            matches!(
                given.setting.env,
                "PORT" | "CARILLON_BIND" | "CARILLON_INTERNAL_PORT"
            )
        });
        let mut loaded = Self::new(flags.dev);
        errors.extend(loaded.apply(given));
        SettingsError::all(errors)?;
        Ok(loaded.settings)
    }

    /// Where a setting's value comes from.
    #[must_use]
    pub fn source(&self, setting: &Setting) -> Source {
        let found = self.sources.get(setting.env).cloned();
        found.unwrap_or(Source::Default)
    }

    fn new(dev: bool) -> Self {
        let mut settings = Settings {
            dev,
            ..Settings::default()
        };
        let mut sources = BTreeMap::new();
        if dev {
            settings.bind = IpAddr::V4(Ipv4Addr::LOCALHOST);
            settings.console = true;
            for env in ["CARILLON_BIND", "CARILLON_CONSOLE"] {
                sources.insert(env, Source::Development);
            }
        }
        Self { settings, sources }
    }

    /// Answers with those that were refused.
    fn apply(&mut self, all: Vec<Given>) -> Vec<SettingsError> {
        let mut errors = Vec::new();
        for given in all {
            match given.setting.apply(&mut self.settings, &given.text) {
                Ok(()) => {
                    self.sources.insert(given.setting.env, given.source);
                }
                Err(allowed) => errors.push(given.refused(allowed)),
            }
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::table;

    fn read(variables: &[(&str, &str)]) -> Result<Loaded, SettingsError> {
        Loaded::read(&Flags::default(), &variables.iter().copied().collect())
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = [("PORT", "x"), ("CARILLON_LIMTS", "off"), ("JWT_SECRET", "")];
        assert_eq!(
            read(&wrong).unwrap_err().to_string(),
            "2 settings are wrong:\n  CARILLON_LIMTS is no setting of Carillon, did you mean CARILLON_LIMITS?\n  \
             PORT is `x`, but it takes a whole number from 0 to 65535"
        );
        // What contradicts each other is looked at when the values are good.
        let contradicting = [
            ("JWT_SECRET", "x"),
            ("CARILLON_INTERNAL_PORT", "4000"),
            ("REDIS_URL", "redis://cache"),
        ];
        assert!(matches!(
            read(&contradicting),
            Err(SettingsError::Several(errors))
                if matches!(&*errors, [SettingsError::SamePort { .. }, SettingsError::RedisAlone])
        ));
    }

    #[test]
    fn every_setting_knows_where_it_comes_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("carillon.toml");
        std::fs::write(&path, "# ports\nport = 1\nworkers = 2\nlog = 'warn'").unwrap();
        let flags = Flags {
            dev: true,
            config: Some(path.clone()),
            values: [("port", String::from("3"))].into(),
        };

        let loaded = Loaded::read(&flags, &Environment::from_iter([("CARILLON_LOG", "info")])).unwrap();

        let line = Some(3);
        for (env, source) in [
            ("PORT", Source::Flag),
            ("CARILLON_LOG", Source::Environment),
            ("CARILLON_WORKERS", Source::File { path, line }),
            ("CARILLON_BIND", Source::Development),
            ("CARILLON_LEASE", Source::Default),
        ] {
            let setting = table::all().find(|setting| setting.env == env).unwrap();
            assert_eq!(loaded.source(setting), source, "{env}");
        }
    }
}
