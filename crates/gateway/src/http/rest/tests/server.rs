//! What shows only on a listening server: bodies that are too large, HEAD, paths as they stand on the wire.

use std::{net::SocketAddr, time::Duration};

use actix_web::{HttpServer, dev::ServerHandle, rt, rt::time::timeout};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::http::{cors, origin::Origins};

struct Server {
    edge: Edge,
    address: SocketAddr,
    handle: ServerHandle,
}

impl Server {
    fn start() -> Self {
        let edge = Edge::new();
        let rest = web::Data::new(edge.rest());
        let origins = web::Data::new(Origins::parse("https://chat.example").unwrap());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(rest.clone())
                .app_data(origins.clone())
                .service(
                    web::scope("")
                        .wrap(from_fn(error::json_errors))
                        .configure(configure),
                )
                .wrap(from_fn(cors::cors))
        });
        let server = server
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        rt::spawn(server);
        Self {
            edge,
            address,
            handle,
        }
    }

    /// Writes a request, its body before anything is read, and reads the answer to the end of the connection.
    async fn exchange(&self, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream
            .write_all(head.replace('\n', "\r\n").as_bytes())
            .await
            .unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        timeout(Duration::from_secs(60), stream.read_to_end(&mut answer))
            .await
            .unwrap()
            .unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn stop(self) {
        self.handle.stop(false).await;
        drop(self.edge);
    }
}

fn post(length: usize) -> String {
    format!(
        "POST {CREATE} HTTP/1.1\nHost: node\nAuthorization: Bearer alice\nContent-Type: application/json\n\
         Origin: https://chat.example\nConnection: close\nContent-Length: {length}\n\n"
    )
}

#[actix_web::test]
async fn a_client_that_writes_before_it_reads_gets_the_413() {
    let server = Server::start();
    for length in [1_000_001, 2_097_152, 3_999_999] {
        let answer = server.exchange(&post(length), &vec![b' '; length]).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("access-control-allow-origin: https://chat.example\r\n"));
        assert!(answer.ends_with(r#""code":"too_large"}"#), "{answer}");
    }
    // In chunks, without a length.
    let head = post(0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let chunk = format!("{:x}\r\n{}\r\n", 500_000, " ".repeat(500_000));
    let answer = server
        .exchange(&head, format!("{}0\r\n\r\n", chunk.repeat(3)).as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    server.stop().await;
}

#[actix_web::test]
async fn a_drained_connection_goes_on() {
    let server = Server::start();
    let first = post(1_500_000).replace("Connection: close\n", "");
    let body = [
        vec![b' '; 1_500_000],
        post(2).replace('\n', "\r\n").into_bytes(),
        b"{}".to_vec(),
    ]
    .concat();
    let answer = server.exchange(&first, &body).await;
    let statuses: Vec<_> = answer
        .matches("HTTP/1.1 413 ")
        .chain(answer.matches("HTTP/1.1 400 "))
        .collect();
    assert_eq!(statuses, ["HTTP/1.1 413 ", "HTTP/1.1 400 "], "{answer}");
    server.stop().await;
}

#[actix_web::test]
async fn a_refused_token_is_readable_after_a_large_body() {
    let server = Server::start();
    let head = post(3_000_000).replace("Bearer alice", "Bearer no:such");
    let answer = server.exchange(&head, &vec![b' '; 3_000_000]).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    server.stop().await;
}

#[actix_web::test]
async fn head_answers_as_get_without_a_body() {
    let server = Server::start();
    let head = "HEAD /api/chat/user/alice/chats HTTP/1.1\nHost: node\nAuthorization: Bearer alice\nConnection: close\n\n";
    let answer = server.exchange(head, b"").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("content-length: 12\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    server.stop().await;
}

#[actix_web::test]
async fn paths_are_read_as_they_stand() {
    let server = Server::start();
    for (path, token, expected) in [
        ("/api/chat/chatbox/a%2Fb/z", "a%2Fb", r#"{"chatboxId":"a/b_z"}"#),
        (
            "/api/chat/chatbox/100%25/z",
            "100%25",
            r#"{"chatboxId":"100%_z"}"#,
        ),
        ("/api/chat/chatbox/%C3%A9/z", "%C3%A9", r#"{"chatboxId":"z_é"}"#),
        ("/api/chat/chatbox/../z", "..", r#"{"chatboxId":".._z"}"#),
        ("/api/chat/chatbox/a+b/z", "a+b", r#"{"chatboxId":"a+b_z"}"#),
        (
            "//api/chat/chatbox/a/z",
            "a",
            r#"{"message":"Route not found","code":"not_found"}"#,
        ),
        (
            "/api/chat/chatbox/100%/z",
            "a",
            r#"not percent-encoded UTF-8","code":"invalid"}"#,
        ),
    ] {
        let head =
            format!("GET {path} HTTP/1.1\nHost: node\nAuthorization: Bearer {token}\nConnection: close\n\n");
        let answer = server.exchange(&head, b"").await;
        assert!(answer.ends_with(expected), "{path}: {answer}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_preflight_needs_no_token() {
    let server = Server::start();
    let head = format!(
        "OPTIONS {CREATE} HTTP/1.1\nHost: node\nOrigin: https://chat.example\nAccess-Control-Request-Method: POST\n\
         Access-Control-Request-Headers: authorization,content-type\nConnection: close\n\n"
    );
    let answer = server.exchange(&head, b"").await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert!(
        answer.contains("access-control-allow-headers: authorization,content-type\r\n"),
        "{answer}"
    );
    server.stop().await;
}
