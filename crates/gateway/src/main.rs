//! The `carillon` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    carillon_gateway::cli::run(std::env::args_os())
}
