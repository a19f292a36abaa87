//! What is measured: the way of events to clients, pings, the life of sessions, an even end of many.

use std::{sync::Arc, time::Duration};

use carillon_socketio::{CloseReason, Counters, Delivery, Observer, Path, Tracked, Transport};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    application::{App, broadcast},
    recorder::{config, quiet},
};

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Note>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Note {
    Closed(Transport, Duration),
    Ponged(Duration),
    Delivered(Path, Delivery),
}

impl Observer for Notes {
    fn closed(&self, transport: Transport, lifetime: Duration) {
        self.0.lock().push(Note::Closed(transport, lifetime));
    }

    fn ponged(&self, _transport: Transport, round_trip: Duration) {
        self.0.lock().push(Note::Ponged(round_trip));
    }

    fn delivered(&self, tracked: Tracked, delivery: Delivery) {
        self.0.lock().push(Note::Delivered(tracked.path, delivery));
    }
}

impl Notes {
    fn take(&self) -> Vec<Note> {
        std::mem::take(&mut self.0.lock())
    }
}

fn tracked(path: Path) -> Option<Tracked> {
    let since = Instant::now();
    Some(Tracked { path, since })
}

#[tokio::test(start_paused = true)]
async fn an_event_is_written_or_dropped_once_for_each_client() {
    let notes = Notes::default();
    let app = App::counted(quiet(), Counters::observed_by(Box::new(notes.clone())));
    let (mut client, _) = app.join("").await;
    let event = broadcast("tracked", &[], &[]);

    app.hub.deliver_tracked(&event, None, tracked(Path::Remote));
    assert_eq!(notes.take(), []);
    assert_eq!(client.text().await, "42[\"tracked\"]");
    app.hub.deliver(&broadcast("untracked", &[], &[]), None);
    client.text().await;
    assert_eq!(notes.take(), [Note::Delivered(Path::Remote, Delivery::Written)]);

    // Its transport has gone before it could take anything.
    app.hub.deliver_tracked(&event, None, tracked(Path::Local));
    drop(client);
    while app.engine.counters().live() > 0 {
        tokio::task::yield_now().await;
    }
    app.tasks.close();
    app.tasks.wait().await;
    let notes = notes.take();
    assert!(
        notes.contains(&Note::Delivered(Path::Local, Delivery::DroppedClosed)),
        "{notes:?}"
    );
    assert!(
        matches!(notes[..], [.., Note::Closed(Transport::WebSocket, _)])
            || matches!(notes[..], [Note::Closed(Transport::WebSocket, _), ..]),
        "{notes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_client_cannot_take_is_told_apart() {
    let notes = Notes::default();
    let app = App::counted(quiet(), Counters::observed_by(Box::new(notes.clone())));
    let (_client, socket) = app.join("").await;
    let event = broadcast("tracked", &[], &[]);
    let mut given = 0;
    while !socket.session().is_closed() {
        app.hub.deliver_tracked(&event, None, tracked(Path::Local));
        given += 1;
    }

    let dropped = Note::Delivered(Path::Local, Delivery::DroppedSlow);
    let notes = notes.take();
    assert_eq!(notes.iter().filter(|note| **note == dropped).count(), given);
    assert_eq!(app.engine.counters().overflowed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_measured_to_its_pong() {
    let notes = Notes::default();
    let app = App::counted(config(), Counters::observed_by(Box::new(notes.clone())));
    let (mut client, _) = app.join("").await;
    assert_eq!(client.text().await, "2");
    tokio::time::advance(Duration::from_millis(40)).await;
    client.send("3").await;
    client.send("420[\"echo\"]").await;
    client.packet().await;

    assert_eq!(notes.take(), [Note::Ponged(Duration::from_millis(40))]);
}

#[tokio::test(start_paused = true)]
async fn many_end_evenly_the_oldest_first() {
    let app = App::quiet();
    let mut sessions = Vec::new();
    for _ in 0..40 {
        tokio::time::advance(Duration::from_millis(1)).await;
        sessions.push(app.open().await);
    }
    let begun = Instant::now();
    let window = Duration::from_secs(2);
    let ending = app.engine.close_over(window, CloseReason::ServerShutdown);
    let watching = async {
        let mut counts = Vec::new();
        for quarter in 1..=4 {
            tokio::time::sleep_until(begun + window * quarter / 4).await;
            let closed: Vec<_> = sessions.iter().map(|(_, session)| session.is_closed()).collect();
            assert!(
                closed.is_sorted_by(|one, next| one >= next),
                "the oldest first: {closed:?}"
            );
            counts.push(closed.into_iter().filter(|is_closed| *is_closed).count());
        }
        counts
    };
    let ((), counts) = tokio::join!(ending, watching);
    for (count, even) in counts.iter().zip([10, 20, 30, 40]) {
        assert!(count.abs_diff(even) <= 1, "{counts:?}");
    }
}
