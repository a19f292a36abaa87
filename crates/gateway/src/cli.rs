//! The command line: `carillon serve` runs a node, `carillon token` signs a token for trying it.
//!
//! What was asked for goes to standard output, all else (errors, logs) to standard error. The exit code is 0 where all
//! went well, 1 where something failed at run time, 2 where the command line or the settings are wrong.

mod flags;
pub mod serve;
pub mod token;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::settings::{Environment, SettingsError};

/// Where the command line or the settings are wrong; clap's own code, too.
const USAGE: u8 = 2;

/// Real-time chat and notifications for socket.io-client, as one binary.
#[derive(Debug, Parser)]
#[command(
    name = "carillon",
    version,
    after_help = "`carillon serve --dev` starts a node to try on this machine."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Token(token::Token),
}

/// Why a command ended early.
#[derive(Debug)]
enum Failure {
    /// The command line or the settings are wrong.
    Usage(anyhow::Error),
    /// Anything else.
    Runtime(anyhow::Error),
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.into())
    }
}

/// Runs what `arguments` (the program's name first) ask for, with the process environment.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match CommandLine::try_parse_from(arguments) {
        Ok(CommandLine { command }) => command,
        Err(answer) => {
            // Help and version are answers, too. Where they cannot be printed there is nobody to tell.
            let _ = answer.print();
            return if answer.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match execute(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => complain(&error, ExitCode::from(USAGE)),
        Err(Failure::Runtime(error)) => complain(&error, ExitCode::FAILURE),
    }
}

fn execute(command: &Command) -> Result<(), Failure> {
    let environment = Environment::of_process()?;
    match command {
        Command::Serve(serve) => serve.run(&environment),
        Command::Token(token) => {
            let token = token.sign(&environment)?;
            say(&token).map_err(|error| Failure::Runtime(error.into()))
        }
    }
}

/// Prints what was asked for.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

fn complain(error: &anyhow::Error, code: ExitCode) -> ExitCode {
    // Where even this fails, the exit code says it.
    let _ = writeln!(io::stderr().lock(), "carillon: {error:#}");
    code
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::settings::table;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        CommandLine::try_parse_from(line.split(' ')).map(|line| line.command)
    }

    #[test]
    fn the_command_line_holds_together() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn the_help_of_serve_names_every_setting_with_variable_and_default() {
        let help = parse("carillon serve --help").unwrap_err().to_string();
        for setting in table::all() {
            assert!(
                help.contains(&format!("--{} <{}>", setting.flag, setting.placeholder)),
                "{}",
                setting.flag
            );
            assert!(
                help.contains(&format!("[env: {}]", setting.env)),
                "{}",
                setting.env
            );
        }
        for group in table::GROUPS {
            assert!(
                help.contains(&format!("\n{}:\n", group.heading)),
                "{}",
                group.heading
            );
        }
        assert!(
            help.contains("[default: 4000]") && help.contains("--dev") && help.contains("--config <FILE>")
        );
    }

    #[test]
    fn flags_are_taken_as_they_are_given() {
        let Command::Serve(serve) =
            parse("carillon serve --dev --port 0 --config a.toml --limits=off").unwrap()
        else {
            panic!("no serve")
        };
        let flags = serve.flags;
        assert!(flags.dev);
        assert_eq!(flags.config.unwrap().to_str(), Some("a.toml"));
        assert_eq!(
            flags.values.into_iter().collect::<Vec<_>>(),
            [("limits", "off".to_owned()), ("port", "0".to_owned())]
        );
    }

    #[test]
    fn a_wrong_command_line_is_a_usage_error() {
        for line in [
            "carillon",
            "carillon swerve",
            "carillon serve --prot 1",
            "carillon serve --port",
            "carillon token",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), i32::from(USAGE), "{line}");
        }
        assert_eq!(parse("carillon --version").unwrap_err().exit_code(), 0);
    }
}
