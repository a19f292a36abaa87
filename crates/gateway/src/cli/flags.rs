//! The flags of the settings, made from their table.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint, value_parser};

use crate::settings::{
    Flags,
    table::{self, Setting},
};

const DEV: &str = "dev";
const CONFIG: &str = "config";
/// Longest line of a setting's help, which stands ten columns to the right.
const HELP_COLUMNS: usize = 90;

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let settings = table::GROUPS.iter().flat_map(|group| {
            let flag = |setting| flag(setting).help_heading(group.heading);
            group.settings.iter().map(flag)
        });
        command
            .arg(dev())
            .arg(config())
            .args(settings)
            .next_line_help(true)
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
        .value_hint(ValueHint::FilePath)
        .help("Settings file (TOML), with the flags' names as keys: port, data_dir …\n[env: CARILLON_CONFIG]")
}

fn flag(setting: &'static Setting) -> Arg {
    let default = setting.default_in_words();
    let default = if default.is_empty() {
        default
    } else {
        format!(" [default: {default}]")
    };
    let help = wrapped(setting.help, HELP_COLUMNS);
    Arg::new(setting.flag)
        .long(setting.flag)
        .value_name(setting.placeholder)
        .value_hint(hint(setting.placeholder))
        .help(format!("{help}\n[env: {}]{default}", setting.env))
}

/// How shells complete a value.
fn hint(placeholder: &str) -> ValueHint {
    match placeholder {
        "FILE" | "PEM" => ValueHint::FilePath,
        "FOLDER" => ValueHint::DirPath,
        _ => ValueHint::Other,
    }
}

/// The words of `text` in lines of at most `columns`, unless a word is longer.
fn wrapped(text: &str, columns: usize) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > columns {
            lines.push('\n');
            column = 0;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += width;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_put_into_lines() {
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("one two", 1), "one\ntwo");
        assert_eq!(wrapped("", 7), "");
    }
}
