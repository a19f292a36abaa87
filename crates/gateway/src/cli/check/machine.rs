//! What the machine gives a node: ports, and as many connections as it may have.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    num::NonZeroU32,
    time::Duration,
};

use super::finding::Finding;
use crate::{
    capacity::{self, Capacity},
    cli::{healthcheck, serve::reachable},
    settings::Settings,
};

/// How long whoever has a port is asked what it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// With fewer connections than that a node is soon full.
const FEW_CONNECTIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9_999);

pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![port(settings, "port", settings.port)];
    findings.extend(
        settings
            .internal_port
            .map(|number| port(settings, "internal port", number)),
    );
    findings.push(files(settings.limits.max_connections));
    findings
}

fn port(settings: &Settings, what: &'static str, port: u16) -> Finding {
    let address = SocketAddr::new(settings.bind, port);
    if port == 0 {
        return Finding::ok(what, "any free one");
    }
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(what, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if a_node_runs(settings) {
                Finding::ok(what, format!("{address} is taken, by a node that runs"))
            } else {
                let advice = "stop what listens there (`ss -ltnp` names it), or take another port";
                Finding::failed(
                    what,
                    format!("{address} is taken, by no node of Carillon"),
                    advice,
                )
            }
        }
        Err(error) => {
            let advice = match error.kind() {
                ErrorKind::PermissionDenied => "take a port above 1023, or let a balancer have the lower one",
                ErrorKind::AddrNotAvailable => {
                    "the machine has no such address: set CARILLON_BIND to one that it has, or 0.0.0.0"
                }
                _ => "see what the system says",
            };
            Finding::failed(what, format!("{address} cannot be listened on: {error}"), advice)
        }
    }
}

/// Whether what listens on the port of the health routes answers as a node does.
fn a_node_runs(settings: &Settings) -> bool {
    let port = settings.internal_port.unwrap_or(settings.port);
    let host = reachable(SocketAddr::new(settings.bind, port)).to_string();
    healthcheck::get(&host, "/livez", PATIENCE)
        .is_ok_and(|answer| answer.status == 200 && answer.body.trim() == r#"{"status":"ok"}"#)
}

/// How many connections the files allow that a node may have open: it takes as many as the system lets it.
fn files(wanted: Option<NonZeroU32>) -> Finding {
    judge_files(capacity::open_files().maximum, wanted)
}

fn judge_files(files: Option<u64>, wanted: Option<NonZeroU32>) -> Finding {
    let room = Capacity::of(files.unwrap_or(u64::MAX), None).sessions;
    let files = files.map_or_else(|| String::from("any number"), |files| format!("up to {files}"));
    let found = format!("{files}, so {room} connections at most");
    let advice = "raise it: ulimit -n 65536, LimitNOFILE=65536, or the container's ulimits";
    match wanted {
        Some(wanted) if wanted > room => {
            let found = format!("{found}, where CARILLON_MAX_CONNECTIONS is {wanted}");
            Finding::warning("open files", found, advice)
        }
        None if room < FEW_CONNECTIONS => Finding::warning("open files", found, advice),
        _ => Finding::ok("open files", found),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::{super::finding::Outcome, *};

    fn at(port: u16) -> Settings {
        Settings {
            bind: [127, 0, 0, 1].into(),
            port,
            ..Settings::default()
        }
    }

    #[test]
    fn a_port_that_another_program_has_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let answering = std::thread::spawn(move || {
            use std::io::Write as _;
            let (mut stream, _) = listener.accept().unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\n\r\nsomething else")
                .unwrap();
        });
        let finding = port(&at(number), "port", number);
        answering.join().unwrap();
        assert!(
            finding.is_failed() && finding.found.contains("by no node"),
            "{finding:?}"
        );
    }

    #[test]
    fn a_free_port_and_any_port_are_well_and_a_foreign_address_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // While the connection lives the system gives the port to nobody else, but whoever names it may listen there.
        let _client = TcpStream::connect(address).unwrap();
        let _server = listener.accept().unwrap();
        drop(listener);
        let free = address.port();
        assert_eq!(port(&at(free), "port", free).outcome, Outcome::Ok);
        assert_eq!(port(&at(0), "port", 0).found, "any free one");
        let foreign = Settings {
            bind: [192, 0, 2, 1].into(),
            ..at(free)
        };
        assert!(port(&foreign, "port", free).is_failed());
    }

    #[test]
    fn few_files_are_few_connections() {
        let wanted = |count| NonZeroU32::new(count);
        let few = judge_files(Some(1_024), None);
        assert_eq!(
            (few.outcome, &*few.found),
            (Outcome::Warning, "up to 1024, so 741 connections at most")
        );
        assert!(few.advice.unwrap().contains("ulimit"));
        for many in [Some(65_536), None] {
            assert_eq!(judge_files(many, None).outcome, Outcome::Ok);
        }
        assert_eq!(judge_files(Some(1_024), wanted(741)).outcome, Outcome::Ok);
        let too_many = judge_files(Some(1_024), wanted(742));
        assert_eq!(
            (too_many.outcome, &*too_many.found),
            (
                Outcome::Warning,
                "up to 1024, so 741 connections at most, where CARILLON_MAX_CONNECTIONS is 742"
            )
        );
    }
}
