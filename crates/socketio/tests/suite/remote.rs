//! What is done to many sockets at once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytestring::ByteString;
use carillon_protocol::{adapter::Broadcast, id::Room, value::Value};
use carillon_socketio::{Config, Counters, Engine, Handshake, Hub, Ids, Selection, SocketIo};
use tokio_util::task::TaskTracker;

use crate::{
    application::{App, TestSocket, broadcast, place, rooms},
    recorder::{get, post},
};

fn names<'a>(rooms: impl IntoIterator<Item = &'a Room>) -> BTreeSet<String> {
    rooms.into_iter().map(|room| room.as_str().to_owned()).collect()
}

fn ids<'a>(sockets: impl IntoIterator<Item = &'a TestSocket>) -> BTreeSet<ByteString> {
    let id = |socket: &TestSocket| socket.id().to_string().into();
    sockets.into_iter().map(id).collect()
}

#[tokio::test(start_paused = true)]
async fn those_in_the_rooms_and_not_in_the_excepted_are_selected() {
    let app = App::quiet();
    let (_one, a) = app.join("{\"rooms\":[\"r\",\"s\"]}").await;
    let (_two, b) = app.join("{\"rooms\":[\"r\"]}").await;
    let (_three, _c) = app.join("{\"rooms\":[\"t\"]}").await;
    let select = |rooms: &[Room], except: &[Room]| {
        let nsp = "/";
        app.hub.summaries(Selection { nsp, rooms, except })
    };

    assert_eq!(select(&[], &[]).len(), 3);
    let selected = select(&rooms(&["r", "s"]), &[]);
    assert_eq!(ids(selected.iter().map(|summary| &summary.socket)), ids([&a, &b]));
    let summary = &select(&rooms(&["r"]), &[b.room().clone()])[0];
    assert!(Arc::ptr_eq(&summary.socket, &a));
    assert_eq!(names(&summary.rooms), names(&rooms(&["r", "s"])));
    let nowhere = Selection {
        nsp: "/none",
        rooms: &[],
        except: &[],
    };
    assert!(app.hub.summaries(nowhere).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_selected_join_and_leave_and_are_named() {
    let app = App::quiet();
    let (_one, a) = app.join("{\"rooms\":[\"r\"]}").await;
    let (_two, b) = app.join("").await;
    let in_r = rooms(&["r"]);
    let selection = Selection {
        nsp: "/",
        rooms: &in_r,
        except: &[],
    };

    assert_eq!(ids(&app.hub.join_all(selection, &rooms(&["s", "t"]))), ids([&a]));
    let mut expected = names(&rooms(&["r", "s", "t"]));
    expected.extend(names([a.room(), b.room()]));
    assert_eq!(names(&app.hub.rooms("/")), expected);
    assert_eq!(ids(&app.hub.leave_all(selection, &rooms(&["r", "s"]))), ids([&a]));
    assert_eq!(names(&app.hub.rooms_of(&a)), names(&rooms(&["t"])));
    assert!(app.hub.rooms("/none").is_empty());
}

/// socket.io-client takes text at the end of any event for an offset.
#[tokio::test(start_paused = true)]
async fn an_event_out_of_the_log_leaves_the_client_its_offset() {
    let app = App::quiet();
    let (mut recoverable, socket) = app.join("{\"recoverable\":true}").await;
    let (mut plain, _other) = app.join("").await;
    let typing = |args: Vec<Value>| Broadcast {
        volatile: true,
        event: args,
        ..broadcast("", &[], &[])
    };

    app.hub
        .deliver(&broadcast("a", &[socket.id()], &[]), Some(place(1)));
    app.hub
        .deliver(&typing(vec!["typing".into(), "alice".into()]), None);
    app.hub
        .deliver(&typing(vec!["typing".into(), Value::Int(1)]), None);

    for expected in [
        "[\"a\",\"k3Zp09aQ.0000000000000001\"]",
        "[\"typing\",\"alice\",\"k3Zp09aQ.0000000000000001\"]",
        "[\"typing\",1]",
    ] {
        assert_eq!(recoverable.text().await, format!("42{expected}"));
    }
    for expected in ["[\"typing\",\"alice\"]", "[\"typing\",1]"] {
        assert_eq!(plain.text().await, format!("42{expected}"));
    }
    assert_eq!(socket.offset(), place(1));
}

/// Ids that tell their place.
#[derive(Debug, Default)]
struct Numbered(AtomicUsize);

impl Ids for Numbered {
    fn new_sid(&self) -> ByteString {
        format!("session-{}", self.0.fetch_add(1, Ordering::Relaxed)).into()
    }

    fn new_socket_id(&self) -> ByteString {
        format!("socket-{}", self.0.fetch_add(1, Ordering::Relaxed)).into()
    }
}

#[tokio::test(start_paused = true)]
async fn ids_come_from_who_is_asked_for_them() {
    let app = App::quiet();
    let numbered: Arc<dyn Ids> = Arc::new(Numbered::default());
    let counters = Arc::new(Counters::default());
    let hub = Arc::new(Hub::new(Arc::clone(&counters)));
    let socket_io = SocketIo::new(Arc::clone(&hub), Arc::clone(&app.handler) as _);
    let socket_io = Arc::new(socket_io.with_ids(Arc::clone(&numbered)));
    let engine = Engine::new(Config::default(), socket_io, counters, TaskTracker::new());
    let engine = engine.with_ids(numbered);

    let open = engine.open_polling(Handshake::default());
    assert!(open.starts_with("0{\"sid\":\"session-0\""));
    let session = engine.session("session-0").unwrap();
    post(&session, "40").await;
    assert_eq!(get(&session).await, "40{\"sid\":\"socket-1\"}");
}
