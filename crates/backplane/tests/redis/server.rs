//! A `redis-server` of a test's own.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// A server that does not answer by then never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port that is this test's until the value ends, whether somebody listens there or not: the system gives nobody a port on which
/// a connection lives, and lets whoever names it listen there.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _connection: [TcpStream; 2],
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        drop(listener);
        // A process that another test starts has the listener, too, until it is its own program.
        while TcpStream::connect(address).is_ok() {
            std::thread::yield_now();
        }
        Self {
            number: address.port(),
            _connection: [client, accepted],
        }
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

/// A running server; it ends with the value.
#[derive(Debug)]
pub(crate) struct RedisServer {
    process: Child,
    port: Port,
    directory: TempDir,
}

impl RedisServer {
    /// A server without data on a free port.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with more arguments.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let (port, directory) = (Port::reserve(), tempfile::tempdir().unwrap());
        let process = process(&port, &directory, arguments);
        let mut server = Self {
            process,
            port,
            directory,
        };
        server.until_it_answers().await;
        server
    }

    /// After [`RedisServer::kill`]: another one at the same address, without data or arguments.
    pub(crate) async fn start_again(&mut self) {
        self.process = process(&self.port, &self.directory, &[]);
        self.until_it_answers().await;
    }

    async fn until_it_answers(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.client().get_multiplexed_async_connection().await.is_err() {
            assert_eq!(self.process.try_wait().unwrap(), None, "redis-server ended");
            assert!(Instant::now() < deadline, "redis-server does not answer");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its address, as settings take it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port.number)
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port.number
    }

    /// A client of it.
    pub(crate) fn client(&self) -> redis::Client {
        redis::Client::open(self.url()).unwrap()
    }

    /// Runs one command.
    pub(crate) async fn run<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.client().get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.unwrap()
    }

    /// Publishes any bytes.
    pub(crate) async fn publish(&self, channel: &[u8], payload: &[u8]) -> usize {
        let mut connection = self.client().get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel).arg(payload);
        command.query_async(&mut connection).await.unwrap()
    }

    /// Stops it where it is: connections stand, nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn process(port: &Port, directory: &TempDir, arguments: &[&str]) -> Child {
    Command::new(binary())
        .args(["--port", &port.number.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(directory.path())
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{} cannot be started ({error}): install redis-server or set CARILLON_TEST_REDIS_SERVER",
                binary()
            )
        })
}

#[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
fn binary() -> String {
    std::env::var("CARILLON_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}
