//! What sessions hold from their opening to their end, and those that are opened for no more than a refusal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use carillon_socketio::{Config, Handshake, Place, Refusal};
use tokio::time::Instant;

use crate::{
    application::App,
    recorder::{get, post, quiet},
    transport::Written,
};

/// A place that is counted while it is held.
#[derive(Debug)]
struct Counted {
    held: Arc<AtomicUsize>,
    refusal: Option<Refusal>,
}

impl Counted {
    fn handshake(held: &Arc<AtomicUsize>, refusal: Option<&str>) -> Handshake {
        held.fetch_add(1, Ordering::SeqCst);
        let place = Self {
            held: Arc::clone(held),
            refusal: refusal.map(Refusal::new),
        };
        Handshake {
            place: Some(Arc::new(place)),
            ..Handshake::default()
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Place for Counted {
    fn refusal(&self) -> Option<Refusal> {
        self.refusal.clone()
    }
}

fn held(places: &AtomicUsize) -> usize {
    places.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_from_the_opening_until_nothing_is_left() {
    let places = Arc::default();
    let app = App::quiet();
    let (mut client, session) = app.open_with(Counted::handshake(&places, None)).await;
    let polling = app.engine.open_polling(Counted::handshake(&places, None));
    assert_eq!(held(&places), 2);

    client.send("40").await;
    let socket = app.joined(&client.packet().await);
    client.hang_up();
    drop((socket, session));
    let polling = app.engine.session(polling.split('"').nth(3).unwrap()).unwrap();
    assert!(post(&polling, "1").await);
    drop(polling);

    app.tasks.close();
    app.tasks.wait().await;
    assert_eq!(held(&places), 0);
}

#[tokio::test(start_paused = true)]
async fn who_has_none_is_told_so_in_answer_to_connect_and_ended() {
    let places = Arc::default();
    let app = App::quiet();
    let handshake = || Counted::handshake(&places, Some("full"));

    let (mut client, _session) = app.open_with(handshake()).await;
    client.send("40{\"refuse\":\"not asked\"}").await;
    assert_eq!(client.text().await, "44{\"message\":\"full\"}");
    assert_eq!(client.next().await, Some(Written::Close(None)));

    let open = app.engine.open_polling(handshake());
    let session = app.engine.session(open.split('"').nth(3).unwrap()).unwrap();
    assert!(post(&session, "40").await);
    assert!(get(&session).await.starts_with("44{\"message\":\"full\"}"));
    assert!(app.engine.session(session.sid()).is_none());
    assert_eq!(app.handler.log(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn who_has_none_is_not_waited_for_as_others_are() {
    let places = Arc::default();
    let app = App::new(Config {
        connect_timeout: Some(Duration::from_secs(45)),
        ..quiet()
    });
    let start = Instant::now();
    let (mut client, _session) = app.open_with(Counted::handshake(&places, Some("full"))).await;

    assert_eq!(client.next().await, Some(Written::Close(None)));
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}
