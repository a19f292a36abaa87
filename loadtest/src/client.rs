//! A client over WebSocket: connected to the main namespace, texts in and out.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

/// How long the answer to a join may take.
const JOIN_PATIENCE: Duration = Duration::from_millis(500);
/// A ping of the server.
pub(crate) const PING: &str = "2";
/// The answer to it.
pub(crate) const PONG: &str = "3";

type Stream = WebSocketStream<TcpStream>;

/// The writing half.
#[derive(Debug)]
pub(crate) struct Sender(SplitSink<Stream, Message>);

/// The reading half.
#[derive(Debug)]
pub(crate) struct Receiver(SplitStream<Stream>);

impl Sender {
    /// Sends one Engine.IO packet.
    pub(crate) async fn send(&mut self, packet: String) -> anyhow::Result<()> {
        Ok(self.0.send(Message::text(packet)).await?)
    }

    /// Sends an event; `id` asks for an ack.
    pub(crate) async fn emit(
        &mut self,
        name: &str,
        payload: &serde_json::Value,
        id: Option<u64>,
    ) -> anyhow::Result<()> {
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        self.send(format!("42{id}[\"{name}\",{payload}]")).await
    }
}

impl Receiver {
    /// The next Engine.IO packet.
    pub(crate) async fn next(&mut self) -> anyhow::Result<String> {
        loop {
            match self
                .0
                .next()
                .await
                .context("the server closed the connection")??
            {
                Message::Text(text) => return Ok(text.as_str().to_owned()),
                Message::Close(frame) => bail!("closed by the server: {frame:?}"),
                _ => {}
            }
        }
    }
}

/// Both halves.
#[derive(Debug)]
pub(crate) struct Client {
    /// Sends.
    pub(crate) sender: Sender,
    /// Receives.
    pub(crate) receiver: Receiver,
}

impl Client {
    /// Waits for a packet that begins with `start`, skips what comes before it, answers pings.
    pub(crate) async fn expect(&mut self, start: &str) -> anyhow::Result<String> {
        loop {
            let packet = self.receiver.next().await?;
            if packet.starts_with(start) {
                return Ok(packet);
            }
            if packet == PING {
                self.sender.send(PONG.to_owned()).await?;
            }
            if packet.starts_with("44") || packet.starts_with("42[\"error\"") {
                bail!("refused: {packet}");
            }
        }
    }

    /// Joins a chat's room. Asked again where no answer comes: some servers lose what comes right after CONNECT.
    pub(crate) async fn join(&mut self, chatbox_id: &str) -> anyhow::Result<()> {
        let payload = serde_json::json!({ "chatboxId": chatbox_id });
        for _try in 0..10 {
            self.sender.emit("joinChat", &payload, None).await?;
            let joined = tokio::time::timeout(JOIN_PATIENCE, self.expect("42[\"chatJoined\"")).await;
            if let Ok(joined) = joined {
                return joined.map(|_packet| ());
            }
        }
        bail!("{chatbox_id} cannot be joined")
    }
}

/// A TCP stream that sends at once.
pub(crate) async fn tcp(node: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(node).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Opens a WebSocket, with a session's id where it is to take that session over.
pub(crate) async fn open(node: SocketAddr, sid: Option<&str>) -> anyhow::Result<Client> {
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    let url = format!("ws://{node}/socket.io/?EIO=4&transport=websocket{sid}");
    let (stream, _response) = client_async(url, tcp(node).await?).await?;
    let (sink, stream) = stream.split();
    Ok(Client {
        sender: Sender(sink),
        receiver: Receiver(stream),
    })
}

/// Connects to the main namespace as whoever `token` names.
pub(crate) async fn connect(node: SocketAddr, token: &str) -> anyhow::Result<Client> {
    let mut client = open(node, None).await?;
    client.expect("0").await?;
    client.sender.send(format!("40{{\"token\":\"{token}\"}}")).await?;
    client.expect("40").await?;
    Ok(client)
}
