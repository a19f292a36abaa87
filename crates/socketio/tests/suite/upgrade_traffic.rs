//! An upgrade in the middle of traffic both ways loses, doubles and reorders nothing, however it falls.

use std::time::Duration;

use carillon_protocol::engine::Frame;
use carillon_socketio::Sent;
use proptest::prelude::*;
use tokio::{
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};

use crate::{
    official::Official,
    recorder::{Entry, Server, config},
};

/// Pauses in milliseconds of virtual time: between what the client and what the server sends, before the upgrade, on the
/// way of a request, in the application.
#[derive(Debug, Clone)]
struct Schedule {
    client: Vec<u64>,
    server: Vec<u64>,
    upgrade: u64,
    latency: u64,
    application: u64,
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let pauses = || proptest::collection::vec(prop_oneof![Just(0), 0_u64..20], 1..40);
    (pauses(), pauses(), 0_u64..400, 0_u64..15, 0_u64..4).prop_map(
        |(client, server, upgrade, latency, application)| Schedule {
            client,
            server,
            upgrade,
            latency,
            application,
        },
    )
}

/// The frames of the server's packet: every third has attachments.
fn frames(number: usize) -> Vec<Frame> {
    let head = Frame::Text(format!("4{number}").into());
    let bytes = u8::try_from(number).unwrap();
    let attachments = if number.is_multiple_of(3) { 2 } else { 0 };
    std::iter::once(head)
        .chain((0..attachments).map(|part| Frame::Binary(vec![bytes, part].into())))
        .collect()
}

async fn run(schedule: Schedule) -> (Vec<Entry>, Vec<Frame>) {
    let Schedule {
        client: client_pauses,
        server: server_pauses,
        upgrade,
        latency,
        application,
    } = schedule;
    let server = Server::slow(config(), Duration::from_millis(application));
    let session = server.open_polling();
    let expected: usize = (0..server_pauses.len()).map(|number| frames(number).len()).sum();
    let upgrading = Official::new(&session, Duration::from_millis(latency));
    let numbered = client_pauses.iter().enumerate();
    let packets: Vec<_> = numbered
        .map(|(number, pause)| (*pause, format!("4{number}")))
        .collect();
    let (outbox, outgoing) = mpsc::channel(64);
    let done = Notify::new();
    let serving = async {
        for (number, pause) in server_pauses.iter().enumerate() {
            sleep(Duration::from_millis(*pause)).await;
            assert_eq!(
                session.send(frames(number).into_iter().collect(), false),
                Sent::Queued
            );
        }
    };
    let changing = async {
        sleep(Duration::from_millis(upgrade)).await;
        let (client, _task) = server.probe(&session);
        upgrading.upgrade(client, outgoing, expected, &done).await;
    };
    let ending = async {
        done.notified().await;
        server.log.wait(client_pauses.len()).await;
        session.close(carillon_socketio::CloseReason::ServerShutdown);
    };
    let all = async {
        tokio::join!(
            upgrading.poll(),
            upgrading.send(&packets, &outbox),
            serving,
            changing,
            ending
        );
    };
    timeout(Duration::from_secs(300), all)
        .await
        .expect("everything arrives");
    let mut entries = server.log.wait(client_pauses.len() + 1).await;
    entries.pop();
    (entries, upgrading.received.into_inner())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn loses_doubles_and_reorders_nothing(schedule in any_schedule()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (sent, expected): (Vec<_>, Vec<_>) = (
            (0..schedule.client.len()).map(|number| Entry::Text(number.to_string())).collect(),
            (0..schedule.server.len()).flat_map(frames).collect(),
        );
        let (entries, received) = runtime.block_on(run(schedule));
        prop_assert_eq!(entries, sent);
        prop_assert_eq!(received, expected);
    }
}
