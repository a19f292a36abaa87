//! The flags of the settings, made from their table.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::settings::{
    Flags, Settings,
    table::{self, Setting},
};

const DEV: &str = "dev";
const CONFIG: &str = "config";

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let defaults = Settings::default();
        let settings = table::GROUPS.iter().flat_map(|group| {
            let flag = |setting| flag(setting, &defaults).help_heading(group.heading);
            group.settings.iter().map(flag)
        });
        command.arg(dev()).arg(config()).args(settings)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let text = |setting: &Setting| matches.get_one::<String>(setting.flag).cloned();
        Ok(Self {
            dev: matches.get_flag(DEV),
            config: matches.get_one::<PathBuf>(CONFIG).cloned(),
            values: table::all()
                .filter_map(|setting| Some((setting.flag, text(setting)?)))
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn dev() -> Arg {
    Arg::new(DEV)
        .long(DEV)
        .action(ArgAction::SetTrue)
        .help("Development: this machine alone, a secret of its own, tokens for whoever asks")
}

fn config() -> Arg {
    Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Settings file (TOML), with the flags' names as keys: port, data_dir … [env: CARILLON_CONFIG]")
}

fn flag(setting: &'static Setting, defaults: &Settings) -> Arg {
    let default = setting.show(defaults);
    let default = if default.is_empty() {
        default
    } else {
        format!(" [default: {default}]")
    };
    Arg::new(setting.flag)
        .long(setting.flag)
        .value_name(setting.placeholder)
        .help(format!("{} [env: {}]{default}", setting.help, setting.env))
}
