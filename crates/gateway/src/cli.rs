//! The command line: `carillon serve` runs a node, the other commands help with running it.
//!
//! What was asked for goes to standard output, all else (errors, logs) to standard error. The exit code is 0 where all
//! went well, 1 where something failed at run time, 2 where the command line or the settings are wrong, and 128 and the
//! signal's number (143 for SIGTERM, 130 for SIGINT) where a node that was stopping was told to end at once.

mod check;
mod completions;
mod flags;
mod healthcheck;
mod openapi;
mod reference;
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

const AFTER_HELP: &str = "\
Examples:
  carillon serve --dev                     a node to try on this machine, with no other server
  carillon token --dev --user alice        a token for it
  carillon check --config carillon.toml    what a node with this file would run with, and whether it could

Exit codes:
  0  all went well
  1  something failed at run time
  2  the command line or the settings are wrong

Every setting: `carillon serve --help`, or docs/configuration.md.";

/// Real-time chat and notifications for socket.io-client, as one binary.
#[derive(Debug, Parser)]
#[command(name = "carillon", version, after_help = AFTER_HELP)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Token(token::Token),
    Check(check::Check),
    Healthcheck(healthcheck::Healthcheck),
    Settings(reference::Reference),
    #[command(name = "openapi")]
    OpenApi(openapi::OpenApi),
    Completions(completions::Completions),
}

/// Why a command ended early.
#[derive(Debug)]
enum Failure {
    /// The command line or the settings are wrong.
    Usage(anyhow::Error),
    /// Anything else.
    Runtime(anyhow::Error),
    /// A second signal ended a node that was stopping.
    Cut {
        /// The signal's number.
        signal: u8,
    },
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
    let environment = match Environment::of_process() {
        Ok(environment) => environment,
        Err(error) => return complain(&error.into(), ExitCode::from(USAGE)),
    };
    match execute(&command, &environment) {
        Ok(code) => code,
        Err(Failure::Usage(error)) => {
            let code = complain(&error, ExitCode::from(USAGE));
            for remark in environment.remarks() {
                complain(&anyhow::Error::msg(remark), code);
            }
            code
        }
        Err(Failure::Runtime(error)) => complain(&error, ExitCode::FAILURE),
        // As shells tell that a signal ended a process.
        Err(Failure::Cut { signal }) => ExitCode::from(128 + signal),
    }
}

fn execute(command: &Command, environment: &Environment) -> Result<ExitCode, Failure> {
    let answer = match command {
        Command::Serve(serve) => return serve.run(environment).map(|()| ExitCode::SUCCESS),
        Command::Check(check) => return check.run(environment),
        Command::Token(token) => token.sign(environment)?,
        Command::Healthcheck(healthcheck) => healthcheck.ask(environment)?,
        Command::Settings(reference) => reference.write(),
        Command::OpenApi(openapi) => openapi.write()?,
        Command::Completions(completions) => completions.write(),
    };
    say(&answer).map_err(|error| Failure::Runtime(error.into()))?;
    Ok(ExitCode::SUCCESS)
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

    /// `make reference` writes them anew.
    #[test]
    fn the_help_reads_like_this() {
        for (name, line) in [
            ("carillon", "carillon --help"),
            ("check", "carillon check --help"),
            ("healthcheck", "carillon healthcheck --help"),
            ("token", "carillon token --help"),
            ("settings", "carillon settings --help"),
            ("serve", "carillon serve --help"),
        ] {
            insta::assert_snapshot!(name, parse(line).unwrap_err().to_string());
        }
    }

    #[test]
    fn no_line_of_the_help_is_wider_than_a_terminal() {
        for command in [
            "serve",
            "check",
            "healthcheck",
            "token",
            "settings",
            "completions",
        ] {
            let help = parse(&format!("carillon {command} --help"))
                .unwrap_err()
                .to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= 110, "{command}: {line}");
            }
        }
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
