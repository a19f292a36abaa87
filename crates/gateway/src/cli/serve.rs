//! `carillon serve`: runs a node until it is told to stop.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use clap::Args;

use super::{Failure, say};
use crate::{
    capacity,
    node::{self, End},
    settings::{Environment, Flags, Settings},
    telemetry::{self, ProcessCounts, traces::Traces},
};

const AFTER_HELP: &str = "\
Exit codes:
  0  stopped by SIGTERM or SIGINT, in order
  1  could not start, or not stop in order
  2  the command line or the settings are wrong
  130, 143  told a second time, by SIGINT or SIGTERM: ended at once";

/// Run a node until SIGTERM or SIGINT
///
/// Each setting is a flag, an environment variable or a key of a TOML file. Flags win over the
/// environment, the environment over the file, the file over defaults. What is misspelt is refused.
/// `carillon check` with the same flags shows what a node would run with, and tries it.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = AFTER_HELP)]
pub struct Serve {
    #[command(flatten)]
    pub(super) flags: Flags,
}

impl Serve {
    pub(super) fn run(&self, environment: &Environment) -> Result<(), Failure> {
        let settings = Settings::load(&self.flags, environment)?;
        match serve(&settings, environment).map_err(Failure::Runtime)? {
            End::Drained => Ok(()),
            End::Cut { signal } => Err(Failure::Cut { signal }),
        }
    }
}

fn serve(settings: &Settings, environment: &Environment) -> anyhow::Result<End> {
    let counts = Arc::new(ProcessCounts::default());
    counts.count_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.workers)
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    let announce = |address| {
        if let Err(error) = say(&banner(address, settings, &program())) {
            tracing::warn!(%error, "the address cannot be printed");
        }
    };
    let traces = {
        let _inside = runtime.enter();
        Traces::start(&settings.traces, &counts)?
    };
    telemetry::init_logs(&settings.log, &counts, traces.as_ref())?;
    for remark in environment.remarks() {
        tracing::warn!("{remark}");
    }
    capacity::raise_open_files();
    let end = runtime.block_on(Box::pin(async {
        let end = node::run(settings, &counts, announce).await;
        if let Some(traces) = traces
            && !matches!(end, Ok(End::Cut { .. }))
        {
            traces.flush().await;
        }
        end
    }));
    // Whatever still runs ends with the process.
    runtime.shutdown_background();
    end
}

/// This program as a shell in this folder may call it.
fn program() -> String {
    let Ok(path) = std::env::current_exe() else {
        return "carillon".to_owned();
    };
    let here = std::env::current_dir().unwrap_or_default();
    let path = path.strip_prefix(&here).unwrap_or(&path);
    shell_word(&path.display().to_string())
}

/// What is printed when a node listens: its address and, in development, how to get in. `program` calls this program.
#[must_use]
pub fn banner(address: SocketAddr, settings: &Settings, program: &str) -> String {
    let url = format!("http://{}", reachable(address));
    let listening = format!("Carillon listens on {url}");
    if !settings.dev {
        return listening;
    }
    let data_dir = if settings.data_dir == Settings::default().data_dir {
        String::new()
    } else {
        format!(
            " --data-dir {}",
            shell_quoted(&settings.data_dir.display().to_string())
        )
    };
    let pages = if settings.console {
        format!("In a browser: a chat client at {url}/, the routes at {url}/docs\n\n")
    } else {
        String::new()
    };
    format!(
        r#"{listening} for this machine alone (development).

{pages}A token, by this program or over HTTP:
  TOKEN=$({program} token --dev{data_dir} --user alice)
  curl -X POST {url}/dev/token -H 'content-type: application/json' -d '{{"userId":"alice"}}'

A client (npm install socket.io-client), with that token:
  TOKEN=$TOKEN node -e "const socket = require('socket.io-client').io('{url}', {{ auth: {{ token: process.env.TOKEN }} }}); socket.on('connect', () => console.log('connected', socket.id)); socket.on('connect_error', (error) => console.log(error.message)); socket.onAny((...event) => console.log(...event))"
"#
    )
}

/// The address as a client on this machine may call it: `0.0.0.0` is no address to call.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Text as one word of a POSIX shell, quoted only where it must be.
fn shell_word(text: &str) -> String {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    if is_plain {
        text.to_owned()
    } else {
        shell_quoted(text)
    }
}

/// Text as one word of a POSIX shell.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev() -> Settings {
        Settings {
            dev: true,
            ..Settings::default()
        }
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_node_says_where_it_listens() {
        let settings = Settings::default();
        assert_eq!(
            banner(address("10.0.0.1:4000"), &settings, "carillon"),
            "Carillon listens on http://10.0.0.1:4000"
        );
        assert_eq!(
            banner(address("0.0.0.0:41234"), &settings, "carillon"),
            "Carillon listens on http://127.0.0.1:41234"
        );
        assert_eq!(
            banner(address("[::]:80"), &settings, "carillon"),
            "Carillon listens on http://[::1]:80"
        );
    }

    #[test]
    fn a_development_node_says_how_to_get_in() {
        let banner = banner(address("127.0.0.1:4000"), &dev(), "target/debug/carillon");
        for line in [
            "TOKEN=$(target/debug/carillon token --dev --user alice)",
            "curl -X POST http://127.0.0.1:4000/dev/token -H 'content-type: application/json' -d '{\"userId\":\"alice\"}'",
            "io('http://127.0.0.1:4000', { auth: { token: process.env.TOKEN } })",
        ] {
            assert!(banner.contains(line), "{line} in\n{banner}");
        }
    }

    #[test]
    fn another_data_folder_is_named() {
        let settings = Settings {
            data_dir: "/srv/it's here".into(),
            ..dev()
        };
        let banner = banner(address("127.0.0.1:4000"), &settings, "carillon");
        assert!(banner.contains(r"carillon token --dev --data-dir '/srv/it'\''s here' --user alice"));
    }
}
