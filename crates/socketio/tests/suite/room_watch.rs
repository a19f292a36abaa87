//! Who watches the rooms hears the truth about each of them last.

use std::{collections::HashSet, sync::Arc};

use carillon_protocol::id::Room;
use carillon_socketio::{RoomWatch, Selection};
use parking_lot::Mutex;
use proptest::prelude::*;

use crate::application::{App, TestSocket, room};

/// The rooms that have sockets, as far as it was told. A word that changes nothing is a mistake.
#[derive(Debug, Default)]
struct Watch(Mutex<HashSet<Room>>);

impl RoomWatch for Watch {
    fn occupied(&self, nsp: &str, room: &Room) {
        assert!(nsp == "/" && self.0.lock().insert(room.clone()), "{room:?}");
    }

    fn vacated(&self, nsp: &str, room: &Room) {
        assert!(nsp == "/" && self.0.lock().remove(room), "{room:?}");
    }
}

impl Watch {
    fn is(&self, rooms: &[&Room]) -> bool {
        *self.0.lock() == rooms.iter().map(|room| (*room).clone()).collect()
    }
}

fn watched() -> (App, Arc<Watch>) {
    let (app, watch) = (App::quiet(), Arc::new(Watch::default()));
    app.hub.watch_rooms(Arc::clone(&watch) as _);
    (app, watch)
}

#[tokio::test(start_paused = true)]
async fn hears_of_the_first_and_the_last_in_each_room() {
    let (app, watch) = watched();
    let (r, s) = (room("r"), room("s"));

    let (mut one, a) = app.join("{\"rooms\":[\"r\"]}").await;
    assert!(watch.is(&[a.room(), &r]));
    let (mut two, b) = app.join("{\"rooms\":[\"r\",\"s\"]}").await;
    app.hub.leave(&a, &r);
    app.hub.leave(&a, &r);
    assert!(watch.is(&[a.room(), b.room(), &r, &s]));
    // A room that is named by another's id is that one's as well.
    app.hub.join(&a, b.room().clone());
    two.hang_up();
    two.rest().await;
    app.handler.wait("disconnected /: transport close").await;
    assert!(watch.is(&[a.room(), b.room()]));
    app.hub.leave(&a, b.room());
    assert!(watch.is(&[a.room()]));
    one.hang_up();
    one.rest().await;
    while !watch.is(&[]) {
        tokio::task::yield_now().await;
    }
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Join,
    Leave,
    JoinAll,
    LeaveAll,
    Disconnect,
}

fn act(app: &App, socket: &TestSocket, (action, room): (Action, usize)) {
    let room = Room::new(format!("room{room}"));
    let own = [socket.room().clone()];
    let selection = |rooms| Selection {
        nsp: "/",
        rooms,
        except: &[],
    };
    let room = [room];
    match action {
        Action::Join => app.hub.join(socket, room[0].clone()),
        Action::Leave => app.hub.leave(socket, &room[0]),
        Action::JoinAll => drop(app.hub.join_all(selection(&own), &room)),
        Action::LeaveAll => drop(app.hub.leave_all(selection(&room), &room)),
        Action::Disconnect => _ = app.hub.disconnect(selection(&own), false),
    }
}

fn any_actions() -> impl Strategy<Value = Vec<(Action, usize)>> {
    let action = prop_oneof![
        8 => Just(Action::Join),
        6 => Just(Action::Leave),
        2 => Just(Action::JoinAll),
        2 => Just(Action::LeaveAll),
        1 => Just(Action::Disconnect),
    ];
    proptest::collection::vec((action, 0_usize..3), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Each thread has a socket of its own, and all of them the same rooms.
    #[test]
    fn hears_the_truth_last_whatever_happens_at_once(actions in proptest::collection::vec(any_actions(), 4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (app, watch) = watched();
            let mut members = Vec::new();
            for actions in actions {
                let (client, socket) = app.join("").await;
                members.push((client, socket, actions));
            }
            std::thread::scope(|scope| {
                for (_client, socket, actions) in &members {
                    let app = &app;
                    scope.spawn(move || actions.iter().for_each(|action| act(app, socket, *action)));
                }
            });
            let rooms: HashSet<Room> = app.hub.rooms("/").into_iter().collect();
            assert_eq!(*watch.0.lock(), rooms);
            for (_client, socket, _) in &members {
                app.hub.supersede(socket);
            }
            assert!(watch.is(&[]));
        });
    }
}
