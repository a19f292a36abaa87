//! A move in the middle of traffic both ways loses, doubles and reorders nothing, however it falls.

use std::time::Duration;

use carillon_protocol::{adapter::Broadcast, engine::Frame, value::Value};
use proptest::prelude::*;
use tokio::{
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};

use super::wire::{Nodes, Wire};
use crate::{
    application::{broadcast, place, room},
    official::Official,
    recorder::config,
};

/// Pauses in milliseconds of virtual time.
#[derive(Debug, Clone)]
struct Schedule {
    /// Before each event of the client, and how long the application takes over it.
    client: Vec<(u64, u64)>,
    /// Before each broadcast.
    server: Vec<u64>,
    /// Before the upgrade.
    upgrade: u64,
    /// On the way of a request of the client.
    latency: u64,
    /// On the way between the nodes.
    between: u64,
    /// Until each node sees a place in the order.
    x_lags: Vec<u64>,
    y_lags: Vec<u64>,
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let pause = || prop_oneof![Just(0), 0_u64..20];
    let pauses = || proptest::collection::vec(pause(), 1..40);
    let lags = || proptest::collection::vec(prop_oneof![Just(0), 0_u64..8], 1..6);
    let client = proptest::collection::vec((pause(), prop_oneof![Just(0), 0_u64..5]), 1..40);
    (client, pauses(), 0_u64..400, 0_u64..15, 0_u64..25, lags(), lags()).prop_map(
        |(client, server, upgrade, latency, between, x_lags, y_lags)| Schedule {
            client,
            server,
            upgrade,
            latency,
            between,
            x_lags,
            y_lags,
        },
    )
}

/// Every third has attachments.
fn event(number: usize) -> Broadcast {
    let number = u8::try_from(number).unwrap();
    let mut args = vec![Value::from("b"), Value::from(u32::from(number))];
    if number.is_multiple_of(3) {
        args.push(Value::Binary(vec![number].into()));
    }
    Broadcast {
        event: args,
        rooms: vec![room("r")],
        ..broadcast("", &[], &[])
    }
}

fn frames_of(number: usize) -> Vec<Frame> {
    let offset = place(number as u64 + 1);
    if !number.is_multiple_of(3) {
        return vec![Frame::Text(format!("42[\"b\",{number},\"{offset}\"]").into())];
    }
    let placeholder = "{\"_placeholder\":true,\"num\":0}";
    vec![
        Frame::Text(format!("451-[\"b\",{number},{placeholder},\"{offset}\"]").into()),
        Frame::Binary(vec![u8::try_from(number).unwrap()].into()),
    ]
}

/// What the client got, and what the handlers of both nodes were told, the old node's first.
async fn run(schedule: Schedule) -> (Vec<Frame>, Vec<String>) {
    let Schedule {
        client: events,
        server,
        upgrade,
        latency,
        between,
        x_lags,
        y_lags,
    } = schedule;
    let nodes = Nodes::lagging(&config(), x_lags, y_lags);
    let (session, _socket) = nodes.join("{\"recoverable\":true,\"rooms\":[\"r\"]}").await;
    let official = Official::new(&session, Duration::from_millis(latency));
    let expected: usize = (0..server.len()).map(|number| frames_of(number).len()).sum();
    let expected = expected + events.len();
    let packets: Vec<_> = events
        .iter()
        .enumerate()
        .map(|(id, (pause, work))| (*pause, format!("42{id}[\"slow\",\"{work}\"]")))
        .collect();
    let (outbox, outgoing) = mpsc::channel(64);
    let done = Notify::new();
    let wire = Wire::slow(&nodes, &session, Duration::from_millis(between));
    let serving = async {
        for (number, pause) in server.iter().enumerate() {
            sleep(Duration::from_millis(*pause)).await;
            nodes.publish(event(number));
        }
    };
    let changing = async {
        sleep(Duration::from_millis(upgrade)).await;
        let client = nodes.websocket(&session, &wire);
        official.upgrade(client, outgoing, expected, &done).await;
    };
    let ending = async {
        done.notified().await;
        nodes.x.handler.wait("handed over /").await;
        let moved = nodes.y.engine.session(session.sid()).unwrap();
        moved.close(carillon_socketio::CloseReason::ServerShutdown);
    };
    let all = async {
        tokio::join!(
            official.poll(),
            official.send(&packets, &outbox),
            serving,
            changing,
            ending
        );
    };
    timeout(Duration::from_secs(300), all)
        .await
        .expect("everything arrives");
    nodes.y.handler.wait("disconnected /: server shutting down").await;
    assert!(nodes.are_empty());
    let mut told = nodes.x.handler.log();
    told.extend(nodes.y.handler.log());
    (official.received.into_inner(), told)
}

fn is_ack(frame: &Frame) -> bool {
    matches!(frame, Frame::Text(text) if text.starts_with("43"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn loses_doubles_and_reorders_nothing(schedule in any_schedule()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let ack = |(id, (_, work)): (usize, &(u64, u64))| Frame::Text(format!("43{id}[\"{work}\"]").into());
        let acks: Vec<_> = schedule.client.iter().enumerate().map(ack).collect();
        let broadcasts: Vec<_> = (0..schedule.server.len()).flat_map(frames_of).collect();
        let count = schedule.client.len();

        let (received, told) = runtime.block_on(run(schedule));

        let (got_acks, got_broadcasts): (Vec<_>, Vec<_>) = received.into_iter().partition(is_ack);
        prop_assert_eq!(got_acks, acks);
        prop_assert_eq!(got_broadcasts, broadcasts);
        let heard = |start: &str| told.iter().filter(|entry| entry.starts_with(start)).count();
        prop_assert_eq!(heard("event"), count);
        prop_assert_eq!((heard("connected"), heard("handed over"), heard("arrived"), heard("disconnected")), (1, 1, 1, 1));
    }
}
