//! `joinChat` and `typing` → `userTyping` on socketioxide: what the benchmarks of relayed events ask of a server. Usage:
//! `peer-socketioxide PORT [REDIS_URL]`; with Redis by its Redis adapter.

use axum::serve::ListenerExt;
use serde::{Deserialize, Serialize};
use socketioxide::{
    SocketIo,
    adapter::{Adapter, LocalAdapter},
    extract::{Data, SocketRef},
};
use socketioxide_redis::{RedisAdapter, RedisAdapterCtr, drivers::redis::redis_client as redis};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chat {
    chatbox_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typing {
    chatbox_id: String,
    is_typing: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserTyping {
    user_id: &'static str,
    is_typing: bool,
    timestamp: &'static str,
}

async fn connected<A: Adapter>(socket: SocketRef<A>) {
    socket.on(
        "joinChat",
        async |socket: SocketRef<A>, Data(chat): Data<Chat>| {
            socket.join(format!("chat_{}", chat.chatbox_id));
            let _sent = socket.emit("chatJoined", &serde_json::json!({ "chatboxId": chat.chatbox_id }));
        },
    );
    socket.on(
        "typing",
        async |socket: SocketRef<A>, Data(typing): Data<Typing>| {
            let shown = UserTyping {
                user_id: "somebody",
                is_typing: typing.is_typing,
                timestamp: "2026-01-01T00:00:00.000Z",
            };
            let _sent = socket
                .to(format!("chat_{}", typing.chatbox_id))
                .emit("userTyping", &shown)
                .await;
        },
    );
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().ok_or("no port")?.parse()?;
    let app = axum::Router::new();
    let app = if let Some(url) = arguments.next() {
        let client = redis::Client::open(format!("{url}?protocol=resp3"))?;
        let adapter = RedisAdapterCtr::new_with_redis(&client).await?;
        let (layer, io) = SocketIo::builder()
            .with_adapter::<RedisAdapter<_>>(adapter)
            .build_layer();
        io.ns("/", connected).await?;
        app.layer(layer)
    } else {
        let (layer, io) = SocketIo::new_layer();
        io.ns("/", connected::<LocalAdapter>);
        app.layer(layer)
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    axum::serve(listener, app).await?;
    Ok(())
}
