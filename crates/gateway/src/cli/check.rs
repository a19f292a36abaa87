//! `carillon check`: what a node would run with, and whether it could.
//!
//! Nothing that it does disturbs a node that runs, and nothing stays of it.

mod finding;
mod machine;
mod report;
mod sense;
mod servers;
mod storage;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Arg, Args};

use super::{Failure, say};
use crate::settings::{Environment, Flags, Loaded};
use finding::Finding;
use report::Report;

const AFTER_HELP: &str = "\
It takes every flag of `carillon serve`, and reads the same environment and file.

Exit codes:
  0  nothing failed; there may be warnings
  1  something failed
  2  the command line or the settings are wrong";

/// Show the settings that a node would run with, and try whether it could
///
/// Prints every setting with its value and where it comes from; secrets and passwords are hidden.
/// Then tries the data folder and the database in it, MongoDB, Redis, clocks, keys, ports and limits
/// of the system, also while a node runs here. Each line is ok, warning or failed, and says what to do.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = AFTER_HELP, mut_args = without_settings)]
pub(super) struct Check {
    #[command(flatten)]
    flags: Flags,
    /// Show and judge the settings, but try nothing outside this process
    #[arg(long)]
    offline: bool,
    /// Print one JSON object, for programs
    #[arg(long)]
    json: bool,
}

/// The flags of the settings are taken and not shown: `carillon serve --help` does that.
fn without_settings(arg: Arg) -> Arg {
    let is_setting = arg.get_help_heading().is_some();
    arg.hide(is_setting)
}

impl Check {
    pub(super) fn run(&self, environment: &Environment) -> Result<ExitCode, Failure> {
        let loaded = Loaded::read(&self.flags, environment)?;
        let findings = self.look(&loaded, environment).map_err(Failure::Runtime)?;
        let report = Report {
            loaded: &loaded,
            findings: &findings,
        };
        let text = if self.json { report.json() } else { report.text() };
        say(&text).map_err(|error| Failure::Runtime(error.into()))?;
        let has_failed = findings.iter().any(Finding::is_failed);
        Ok(ExitCode::from(u8::from(has_failed)))
    }

    fn look(&self, loaded: &Loaded, environment: &Environment) -> anyhow::Result<Vec<Finding>> {
        let settings = &loaded.settings;
        let mut findings = sense::look(settings);
        let remarks = environment.remarks();
        findings.extend(remarks.map(|remark| Finding::warning("environment", remark, "rename or unset it")));
        if self.offline {
            return Ok(findings);
        }
        findings.extend(machine::look(settings));
        if settings.mongodb_uri.is_none() || settings.dev {
            findings.extend(storage::look_at_folder(settings));
        }
        if settings.mongodb_uri.is_none() {
            findings.push(storage::look_at_file(settings));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the runtime cannot start")?;
        findings.extend(runtime.block_on(servers::look(settings)));
        Ok(findings)
    }
}
