//! A `redis-server` of a test's own.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server; it ends with the value.
#[derive(Debug)]
pub(crate) struct RedisServer {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl RedisServer {
    /// A server without data on a free port.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with more arguments.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        for _ in 0..5 {
            if let Some(server) = Self::try_start(free_port(), arguments).await {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    /// A server without data on `port`, where one ran before.
    pub(crate) async fn start_on(port: u16) -> Self {
        Self::try_start(port, &[])
            .await
            .expect("redis-server starts again on the same port")
    }

    async fn try_start(port: u16, arguments: &[&str]) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let process = Command::new(binary())
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no", "--dir"])
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
            });
        let mut server = Self {
            process,
            port,
            _directory: directory,
        };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if server.process.try_wait().unwrap().is_some() {
                return None;
            }
            if server.client().get_multiplexed_async_connection().await.is_ok() {
                return Some(server);
            }
            sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// Its address, as settings take it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
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

#[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
fn binary() -> String {
    std::env::var("CARILLON_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
