//! A way to a server for one node alone: it can be cut, and it can lose what scripts answer.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;

use crate::server::RedisServer;

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Whole,
    /// Scripts are run, and from then on nothing comes back on the connection.
    LosesAnswers,
    /// Connections end, and further ones too.
    Cut,
}

/// The way; it ends with the value.
pub(crate) struct Way {
    port: u16,
    condition: Arc<watch::Sender<Condition>>,
    accepting: JoinHandle<()>,
}

impl Way {
    /// A way to `server`.
    pub(crate) async fn to(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let condition = Arc::new(watch::Sender::new(Condition::Whole));
        let (to, conditions) = (server.port(), Arc::clone(&condition));
        let tasks = TaskTracker::new();
        let carriers = tasks.clone();
        let accepting = tasks.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                carriers.spawn(carry(near, to, conditions.subscribe()));
            }
        });
        Self {
            port,
            condition,
            accepting,
        }
    }

    /// Its address, as settings take it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on scripts are run, and their answers are lost.
    pub(crate) fn lose_answers(&self) {
        self.condition.send_replace(Condition::LosesAnswers);
    }

    /// Nothing goes through.
    pub(crate) fn cut(&self) {
        self.condition.send_replace(Condition::Cut);
    }

    /// New connections are good again; those that have lost something end.
    pub(crate) fn mend(&self) {
        self.condition.send_replace(Condition::Whole);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn carry(near: TcpStream, to: u16, mut condition: watch::Receiver<Condition>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else {
        return;
    };
    let loses_answers = condition.clone();
    let has_lost = AtomicBool::new(false);
    let ask = |asked: &[u8]| {
        let is_script = asked.windows(7).any(|word| word == b"EVALSHA");
        if is_script && *loses_answers.borrow() == Condition::LosesAnswers {
            has_lost.store(true, Ordering::SeqCst);
        }
        true
    };
    let answer = |_: &[u8]| !has_lost.load(Ordering::SeqCst);
    let is_over = |condition: &Condition| match condition {
        Condition::Whole => has_lost.load(Ordering::SeqCst),
        Condition::LosesAnswers => false,
        Condition::Cut => true,
    };
    tokio::select! {
        _ = pass_on(&near, &far, ask) => (),
        _ = pass_on(&far, &near, answer) => (),
        _ = condition.wait_for(is_over) => (),
    }
}

/// Until one of the two ends: what is not to pass is lost.
async fn pass_on(from: &TcpStream, to: &TcpStream, passes: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        from.readable().await?;
        let mut left = match from.try_read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(length) => &bytes[..length],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if !passes(left) {
            continue;
        }
        while !left.is_empty() {
            to.writable().await?;
            match to.try_write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(error) => return Err(error),
            }
        }
    }
}
