//! A client over WebSocket: connected, with packets in and out.

use std::{net::SocketAddr, time::Duration};

use anyhow::bail;

use crate::{
    dialect::Dialect,
    websocket::{self, Reader, Writer},
};

/// How long the answer to a join may take.
const JOIN_PATIENCE: Duration = Duration::from_millis(500);

/// Both halves.
#[derive(Debug)]
pub(crate) struct Client {
    /// What is spoken.
    pub(crate) dialect: Dialect,
    /// Receives.
    pub(crate) reader: Reader,
    /// Sends.
    pub(crate) writer: Writer,
}

impl Client {
    /// Opens a WebSocket, at `path` where that is not the usual one.
    pub(crate) async fn open(node: SocketAddr, dialect: Dialect, path: Option<&str>) -> anyhow::Result<Self> {
        let path = path.unwrap_or(dialect.path());
        let (reader, writer) = websocket::open(node, path, dialect.separator()).await?;
        Ok(Self {
            dialect,
            reader,
            writer,
        })
    }

    /// Connects as whoever `token` names.
    pub(crate) async fn connect(node: SocketAddr, dialect: Dialect, token: &str) -> anyhow::Result<Self> {
        let mut client = Self::open(node, dialect, None).await?;
        if let Some(greeting) = dialect.greeting() {
            client.expect(greeting).await?;
        }
        let (connect, connected) = dialect.connect(token);
        client.writer.send(&connect).await?;
        client.expect(connected).await?;
        Ok(client)
    }

    /// Waits for a packet that begins with `start`, skips what comes before it, answers pings.
    pub(crate) async fn expect(&mut self, start: &str) -> anyhow::Result<()> {
        loop {
            while let Some(packet) = self.reader.pop()? {
                if packet.starts_with(start.as_bytes()) {
                    return Ok(());
                }
                if let Some(pong) = self.dialect.pong(packet) {
                    self.writer.send(pong).await?;
                } else if self.dialect.is_refusal(packet) {
                    bail!("refused: {}", String::from_utf8_lossy(packet));
                }
            }
            self.reader.read().await?;
        }
    }

    /// Joins a chat's room. Asked again where no answer comes: some servers lose what comes right after CONNECT.
    pub(crate) async fn join(&mut self, chatbox_id: &str) -> anyhow::Result<()> {
        let (join, joined) = self.dialect.join(chatbox_id);
        for _try in 0..10 {
            self.writer.send(&join).await?;
            if let Ok(answer) = tokio::time::timeout(JOIN_PATIENCE, self.expect(joined)).await {
                return answer;
            }
        }
        bail!("{chatbox_id} cannot be joined")
    }

    /// Answers pings until the connection ends. For sockets that only send.
    pub(crate) async fn answer_pings(
        dialect: Dialect,
        mut reader: Reader,
        writer: &tokio::sync::Mutex<Writer>,
    ) -> anyhow::Result<()> {
        loop {
            while let Some(packet) = reader.pop()? {
                if let Some(pong) = dialect.pong(packet) {
                    writer.lock().await.send(pong).await?;
                }
            }
            reader.read().await?;
        }
    }
}
