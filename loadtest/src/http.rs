//! Long-polling by the smallest HTTP client that does: one kept connection, one request at a time.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

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

    /// GET or, with a body, POST on the Engine.IO endpoint; the answer's body. Any status but 200 is an error.
    pub(crate) async fn request(&mut self, sid: Option<&str>, body: Option<&str>) -> anyhow::Result<String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(super::client::tcp(self.node).await?),
        };
        let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
        let (method, length) = match body {
            Some(body) => ("POST", format!("Content-Length: {}\r\n", body.len())),
            None => ("GET", String::new()),
        };
        let head = format!(
            "{method} /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: {}\r\n{length}\r\n{}",
            self.node,
            body.unwrap_or_default()
        );
        stream.write_all(head.as_bytes()).await?;
        let (answer, kept) = read(&mut stream).await?;
        if kept {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

/// The body of an answer, and whether the connection is kept.
async fn read(stream: &mut BufReader<TcpStream>) -> anyhow::Result<(String, bool)> {
    let (mut line, mut length, mut kept) = (String::new(), 0_usize, true);
    stream.read_line(&mut line).await?;
    let status = line.split(' ').nth(1).context("no answer")?.to_owned();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            bail!("half an answer");
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match &*name.to_ascii_lowercase() {
            "content-length" => length = value.trim().parse()?,
            "connection" => kept = !value.trim().eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body = String::from_utf8(body)?;
    if status != "200" {
        bail!("status {status}: {body}");
    }
    Ok((body, kept))
}
