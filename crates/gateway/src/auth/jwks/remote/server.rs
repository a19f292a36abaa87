//! A server of key sets that answers what it is told, byte for byte.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

const TLS_HANDSHAKE: u8 = 22;

/// What is answered under a path, and whether the connection stays open after that.
type Answers = Mutex<HashMap<String, (String, bool)>>;

pub(super) struct Server {
    address: SocketAddr,
    answers: Arc<Answers>,
    asked: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answers, asked): (Arc<Answers>, Arc<Mutex<Vec<String>>>) = Default::default();
        let (told, heads) = (Arc::clone(&answers), Arc::clone(&asked));
        let task = TaskTracker::new().spawn(async move {
            let tasks = TaskTracker::new();
            while let Ok((stream, _)) = listener.accept().await {
                tasks.spawn(serve(stream, Arc::clone(&told), Arc::clone(&heads)));
            }
        });
        Self {
            address,
            answers,
            asked,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Has a path answered. `headers` end with a line end each.
    pub(super) fn answer(&self, path: &str, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.answer_raw(
            path,
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"),
            false,
        );
    }

    /// Has a path answered with these bytes, after which the connection may hang.
    pub(super) fn answer_raw(&self, path: &str, text: impl Into<String>, hangs: bool) {
        self.answers.lock().insert(path.to_owned(), (text.into(), hangs));
    }

    /// How many requests there were.
    pub(super) fn asked(&self) -> usize {
        self.asked.lock().len()
    }

    /// The head of the last request.
    pub(super) fn last_head(&self) -> String {
        self.asked.lock().last().cloned().unwrap()
    }
}

async fn serve(mut stream: TcpStream, answers: Arc<Answers>, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            // What TLS begins with: it is not spoken here.
            Ok(TLS_HANDSHAKE) | Err(_) => return,
            Ok(byte) => head.push(byte),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    asked.lock().push(head);
    let found = answers.lock().get(&path).cloned();
    let (text, hangs) = found.unwrap_or_else(|| panic!("nobody said what {path} answers"));
    let _ = stream.write_all(text.as_bytes()).await;
    if hangs {
        // Until the other side goes.
        let _ = stream.read_u8().await;
    }
}
