//! What is found out about a Redis before a node depends on it.

use std::time::Duration;

use carillon_backplane::redis::{RedisOptions, SubscriberBuffer, Wire, inspect};

use tokio::time::Instant;

use crate::{
    server::RedisServer,
    support::{assert_within, options},
};

#[tokio::test]
async fn a_server_that_is_fit_is_described_and_left_as_it_was() {
    let buffers = ["--client-output-buffer-limit", "pubsub 64mb 16mb 90"];
    let server = RedisServer::start_with(&buffers).await;
    for wire in [Wire::Classic, Wire::Sharded] {
        let options = RedisOptions {
            wire,
            ..options(&server)
        };
        let seconds = async || server.run::<Vec<i64>>(&["TIME"]).await[0];
        let before = seconds().await;
        let found = inspect(&options).await.unwrap();
        assert!((before..=seconds().await).contains(&(found.time_ms / 1_000)));

        assert!(found.version.starts_with(|digit: char| digit.is_ascii_digit()));
        assert_eq!((found.servers, found.is_cluster), (1, false));
        assert_eq!(found.eviction.as_deref(), Some("noeviction"));
        assert_eq!(
            found.subscriber_buffer,
            Some(SubscriberBuffer {
                hard_bytes: 64 << 20,
                soft_bytes: 16 << 20,
                soft_seconds: 90
            })
        );
    }
    // No secret, no node, no event; the mark lapses by itself.
    let keys: Vec<String> = server.run(&["KEYS", "*"]).await;
    assert!(keys.iter().all(|key| key.contains(":node:check-")), "{keys:?}");
    for key in keys {
        let left: i64 = server.run(&["PTTL", &key]).await;
        assert!(
            (-2..=1_000).contains(&left) && left != -1,
            "{key} stays {left} ms"
        );
    }
}

#[tokio::test]
async fn what_a_server_hides_is_not_made_up() {
    let server = RedisServer::start().await;
    let user = [
        "ACL", "SETUSER", "default", "on", "nopass", "~*", "&*", "+@all", "-config",
    ];
    let _: String = server.run(&user).await;

    let found = inspect(&options(&server)).await.unwrap();
    assert_eq!((found.eviction, found.subscriber_buffer), (None, None));
}

#[tokio::test]
async fn a_server_that_takes_no_writes_or_no_scripts_is_refused() {
    let server = RedisServer::start_with(&["--replicaof", "127.0.0.1 1"]).await;
    let reason = inspect(&options(&server)).await.unwrap_err().reason;
    assert!(
        reason.contains("read only") || reason.contains("MASTERDOWN"),
        "{reason}"
    );

    let server = RedisServer::start().await;
    let user = [
        "ACL",
        "SETUSER",
        "default",
        "on",
        "nopass",
        "~*",
        "&*",
        "+@all",
        "-@scripting",
    ];
    let _: String = server.run(&user).await;
    let reason = inspect(&options(&server)).await.unwrap_err().reason;
    assert!(reason.to_lowercase().contains("no permissions"), "{reason}");
}

#[tokio::test]
async fn a_frozen_server_and_none_are_refused_in_time() {
    let server = RedisServer::start().await;
    server.freeze();
    assert_within(Duration::from_secs(5), async |_| {
        let asked = Instant::now();
        assert!(inspect(&options(&server)).await.is_err());
        asked.elapsed()
    })
    .await;
    server.thaw();

    let nowhere = RedisOptions {
        url: String::from("redis://127.0.0.1:1"),
        ..RedisOptions::default()
    };
    assert!(inspect(&nowhere).await.is_err());
}
