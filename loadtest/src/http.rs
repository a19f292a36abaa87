//! The smallest HTTP client that does: one kept connection, one request at a time.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::websocket::tcp;

/// A kept connection; opened again where the server closed it.
#[derive(Debug)]
pub(crate) struct Http {
    node: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Http {
    pub(crate) const fn new(node: SocketAddr) -> Self {
        Self { node, stream: None }
    }

    /// GET, with a token where there is one; the answer's body. Any status but 200 is an error.
    pub(crate) async fn get(&mut self, path: &str, token: Option<&str>) -> anyhow::Result<String> {
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        self.request("GET", path, &token.unwrap_or_default(), "").await
    }

    /// POST; the answer's body. Any status but 200 is an error.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<String> {
        let length = format!("Content-Length: {}\r\n", body.len());
        self.request("POST", path, &length, body).await
    }

    async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> anyhow::Result<String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(tcp(self.node).await?),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n{body}",
            self.node
        );
        stream.write_all(request.as_bytes()).await?;
        let answer = Answer::read(&mut stream).await?;
        if answer.is_kept {
            self.stream = Some(stream);
        }
        ensure!(
            answer.status == "200",
            "status {}: {}",
            answer.status,
            answer.body
        );
        Ok(answer.body)
    }
}

struct Answer {
    status: String,
    body: String,
    is_kept: bool,
}

impl Answer {
    async fn read(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Self> {
        let (mut line, mut length, mut is_kept) = (String::new(), 0_usize, true);
        stream.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).context("no answer")?.to_owned();
        loop {
            line.clear();
            ensure!(stream.read_line(&mut line).await? > 0, "half an answer");
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            match &*name.to_ascii_lowercase() {
                "content-length" => length = value.trim().parse()?,
                "connection" => is_kept = !value.trim().eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        Ok(Self {
            status,
            body: String::from_utf8(body)?,
            is_kept,
        })
    }
}
