//! `carillon healthcheck`: asks a node whether it takes new clients; for containers without a shell or `curl`.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    path::PathBuf,
    time::Duration,
};

use actix_web::http::Uri;
use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use tokio::time::Instant;

use super::{Failure, serve::reachable};
use crate::settings::{Environment, Flags, Loaded, Settings, read};

/// What is read of an answer at most.
const MAX_ANSWER_BYTES: u64 = 16 * 1_024;

/// Ask the node on this machine whether it takes new clients
///
/// Asks /readyz on the port that the settings name: CARILLON_INTERNAL_PORT, else PORT.
/// Exit code 0 where the node is ready, 1 where it is not or does not answer in time.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example, in a Dockerfile: HEALTHCHECK CMD [\"carillon\", \"healthcheck\"]"
)]
pub(super) struct Healthcheck {
    /// Ask another node: http://HOST:PORT, with a path where it is not /readyz
    #[arg(long, value_name = "URL")]
    url: Option<Uri>,
    /// How long the node may take to answer
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = timeout)]
    timeout: Duration,
    /// Settings file [env: CARILLON_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What a node answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Healthcheck {
    pub(super) fn ask(&self, environment: &Environment) -> Result<String, Failure> {
        self.try_to_ask(environment).map_err(Failure::Runtime)
    }

    fn try_to_ask(&self, environment: &Environment) -> anyhow::Result<String> {
        let (host, path) = match &self.url {
            Some(url) => target(url)?,
            None => {
                let flags = Flags {
                    config: self.config.clone(),
                    ..Flags::default()
                };
                let settings = Loaded::read_address(&flags, environment)?;
                (own_address(&settings)?.to_string(), String::from("/readyz"))
            }
        };
        let answer = get(&host, &path, self.timeout)
            .with_context(|| format!("http://{host}{path} does not answer"))?;
        if answer.status != 200 {
            bail!("http://{host}{path} answers {}: {}", answer.status, answer.body);
        }
        Ok(String::from("ready"))
    }
}

/// Where this machine reaches the health routes of a node with these settings.
pub(super) fn own_address(settings: &Settings) -> anyhow::Result<SocketAddr> {
    let port = settings.internal_port.unwrap_or(settings.port);
    if port == 0 {
        bail!("the node takes any free port: name its address by --url");
    }
    Ok(reachable(SocketAddr::new(settings.bind, port)))
}

/// Asks for `path` at `host` (`name:port`), over plain HTTP and within `limit` but for looking up the name.
///
/// # Errors
/// Where nobody answers, or not in HTTP.
pub(super) fn get(host: &str, path: &str, limit: Duration) -> io::Result<Answer> {
    let deadline = Instant::now() + limit;
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        let is_over = left.is_zero();
        (!is_over)
            .then_some(left)
            .ok_or(io::Error::from(ErrorKind::TimedOut))
    };
    let address = host.to_socket_addrs()?.next().ok_or(ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: carillon\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    )?;
    let mut stream = stream.take(MAX_ANSWER_BYTES);
    let mut answer = Vec::new();
    let mut part = [0; 4_096];
    loop {
        stream.get_ref().set_read_timeout(Some(left()?))?;
        let bytes = match stream.read(&mut part) {
            // The process was stopped and goes on; the time that is left says for how long.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // What the system says where a socket's time is over.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
            read => read?,
        };
        answer.extend(part.iter().take(bytes));
        if bytes == 0 {
            return parse(&answer);
        }
    }
}

fn parse(answer: &[u8]) -> io::Result<Answer> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.get(..3)?.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(|| io::Error::other("the answer is not HTTP"))?,
        // Of whoever listens there.
        body: body
            .chars()
            .filter(|letter| !letter.is_control())
            .take(200)
            .collect(),
    })
}

fn target(url: &Uri) -> anyhow::Result<(String, String)> {
    let authority = match (url.scheme_str(), url.authority()) {
        (Some("http"), Some(authority)) if !authority.as_str().contains('@') => authority,
        _ => return Err(anyhow!("{url} is no address such as http://127.0.0.1:4000")),
    };
    let host = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    Ok((host, String::from(if path == "/" { "/readyz" } else { path })))
}

fn timeout(text: &str) -> Result<Duration, String> {
    let (least, most) = (Duration::from_millis(1), Duration::from_secs(60));
    read::duration_between(text, least, most).map_err(|wanted| format!("it takes {wanted}"))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use rstest::rstest;

    use super::*;

    /// What is told of a server that answers one request with these bytes, and then goes.
    fn asked(bytes: &'static [u8]) -> io::Result<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        thread::scope(|scope| {
            let server = scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1_024];
                let length = stream.read(&mut request).unwrap();
                stream.write_all(bytes).unwrap();
                String::from_utf8_lossy(&request[..length]).into_owned()
            });
            let answer = get(&host, "/readyz", Duration::from_secs(60));
            let request = server.join().unwrap();
            assert!(request.starts_with(&format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\n")));
            answer
        })
    }

    #[test]
    fn status_and_body_are_told() {
        let answer = asked(b"HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\n{\"message\":\"no\x1b\"}");
        let Answer { status, body } = answer.unwrap();
        assert_eq!((status, &*body), (503, "{\"message\":\"no\"}"));
    }

    #[test]
    fn who_speaks_no_http_is_an_error() {
        assert!(asked(b"+PONG\r\n").is_err());
        assert!(asked(b"").is_err());
    }

    #[test]
    fn who_does_not_come_to_an_end_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        thread::scope(|scope| {
            scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                // Always a byte more, so that no single read takes long.
                while stream.write_all(b"H").is_ok() {
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let given_up = get(&host, "/readyz", Duration::from_millis(100));
            // Where its time was over before it had connected, the server gets somebody all the same.
            drop(TcpStream::connect(&host));
            assert_eq!(given_up.unwrap_err().kind(), ErrorKind::TimedOut);
        });
    }

    #[test]
    fn who_says_nothing_is_not_waited_for() {
        // Who listens and accepts nobody is connected to by the system.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let given_up = get(&host, "/readyz", Duration::from_millis(100));
        assert_eq!(given_up.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[rstest]
    #[case("http://127.0.0.1:4000", "127.0.0.1:4000", "/readyz")]
    #[case("http://node/", "node:80", "/readyz")]
    #[case("http://[::1]:4000/livez?verbose", "[::1]:4000", "/livez?verbose")]
    fn an_address_is_taken_apart(#[case] url: &str, #[case] host: &str, #[case] path: &str) {
        assert_eq!(
            target(&url.parse().unwrap()).unwrap(),
            (host.to_owned(), path.to_owned())
        );
    }

    #[rstest]
    #[case("https://node")]
    #[case("node:4000")]
    #[case("/readyz")]
    #[case("http://me:hunter2@node")]
    fn other_addresses_are_refused(#[case] url: &str) {
        assert!(target(&url.parse().unwrap()).is_err());
    }

    #[test]
    fn the_settings_say_where_the_node_is_whatever_else_is_wrong_with_them() {
        let of = |variables: &[(&str, &str)]| {
            let settings = Loaded::read_address(&Flags::default(), &variables.iter().copied().collect())?;
            anyhow::Ok(own_address(&settings)?.to_string())
        };
        assert_eq!(of(&[("CARILLON_LIMTS", "x")]).unwrap(), "127.0.0.1:4000");
        assert_eq!(
            of(&[("PORT", "1"), ("CARILLON_INTERNAL_PORT", "2")]).unwrap(),
            "127.0.0.1:2"
        );
        assert_eq!(of(&[("CARILLON_BIND", "::")]).unwrap(), "[::1]:4000");
        assert_eq!(of(&[("CARILLON_BIND", "10.0.0.5")]).unwrap(), "10.0.0.5:4000");
        assert!(of(&[("PORT", "0")]).is_err() && of(&[("PORT", "x")]).is_err());
        assert!(of(&[("CARILLON_CONFIG", "/nowhere/carillon.toml")]).is_err());
    }
}
