//! `carillon completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::CommandLine;

/// Print the completions of the command line for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example: carillon completions bash > /etc/bash_completion.d/carillon")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn write(&self) -> String {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut CommandLine::command(), "carillon", &mut script);
        String::from_utf8_lossy(&script).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::settings::table;

    #[test]
    fn every_shell_learns_every_command_and_flag() {
        for shell in Shell::value_variants() {
            let script = Completions { shell: *shell }.write();
            let commands = [
                "serve",
                "token",
                "check",
                "healthcheck",
                "settings",
                "completions",
            ];
            let flags = table::all().map(|setting| setting.flag);
            for name in commands.into_iter().chain(flags) {
                assert!(script.contains(name), "{name} for {shell}");
            }
        }
    }
}
