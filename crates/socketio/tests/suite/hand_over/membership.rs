//! Namespaces and rooms during the move: which node answers for a socket, and what happens to its membership meanwhile.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use carillon_protocol::id::Room;
use carillon_socketio::{RoomWatch, Selection};
use tokio::time::sleep;

use super::{
    upgrade,
    wire::{Nodes, Wire},
};
use crate::{
    application::{App, broadcast, room},
    recorder::{get, post, quiet},
    transport::Written,
};

#[tokio::test(start_paused = true)]
async fn two_namespaces_move_together() {
    let nodes = Nodes::new(&quiet());
    let (session, _socket) = nodes.join("").await;
    post(&session, "40/chat,{\"rooms\":[\"r\"]}").await;
    get(&session).await;
    let mut client = upgrade(&nodes, &session, &Wire::new(&nodes, &session)).await;
    client.send("42/chat,1[\"echo\"]").await;
    assert_eq!(client.text().await, "43/chat,1[]");
    client.send("422[\"echo\"]").await;
    assert_eq!(client.text().await, "432[]");
    client.hang_up();
    for nsp in ["/", "/chat"] {
        let ended = format!("disconnected {nsp}: transport close");
        nodes.y.handler.wait(&ended).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_node_at_a_time_answers_for_a_socket() {
    let nodes = Nodes::new(&quiet());
    let (session, socket) = nodes.join("{\"rooms\":[\"r\"]}").await;
    let own = [socket.room().clone()];
    let selection = Selection {
        nsp: "/",
        rooms: &own,
        except: &[],
    };
    let answer = |node: &App| {
        let asked = node
            .hub
            .ask(&broadcast("who", &["nobody"], &[]), Duration::ZERO)
            .count();
        node.hub.summaries(selection).len() + asked
    };
    let wire = Wire::held(&nodes, &session, "export");
    let mut client = upgrade(&nodes, &session, &wire).await;
    wire.wait("export").await;

    assert_eq!((answer(&nodes.x), answer(&nodes.y)), (1, 0));
    assert_eq!(nodes.y.hub.disconnect(selection, true), 0);
    // A join goes to both, so that nothing of the room is missed.
    assert_eq!(nodes.x.hub.join_all(selection, &[room("late")]).len(), 1);
    assert_eq!(nodes.y.hub.join_all(selection, &[room("late")]).len(), 0);
    wire.release();
    nodes.y.handler.wait("arrived /").await;
    assert_eq!((answer(&nodes.x), answer(&nodes.y)), (0, 1));
    nodes.publish(broadcast("for late", &["late"], &[]));
    assert_eq!(client.text().await, "42[\"for late\"]");
}

#[tokio::test(start_paused = true)]
async fn a_room_that_was_left_at_the_last_moment_is_left() {
    let nodes = Nodes::new(&quiet());
    let (session, socket) = nodes.join("{\"rooms\":[\"r\",\"s\"]}").await;
    let wire = Wire::held(&nodes, &session, "export");
    let mut client = upgrade(&nodes, &session, &wire).await;
    wire.wait("export").await;
    nodes.x.hub.leave(&socket, &room("r"));
    wire.release();
    nodes.y.handler.wait("arrived /").await;

    nodes.publish(broadcast("for r", &["r"], &[]));
    nodes.publish(broadcast("for s", &["s"], &[]));
    assert_eq!(client.text().await, "42[\"for s\"]");
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_the_server_has_leave_during_the_move_is_told_so() {
    for (step, close) in [("attend", false), ("attend", true), ("export", true)] {
        let nodes = Nodes::new(&quiet());
        let (session, socket) = nodes.join("").await;
        post(&session, "40/chat").await;
        get(&session).await;
        let wire = Wire::held(&nodes, &session, step);
        let mut client = upgrade(&nodes, &session, &wire).await;
        wire.wait(step).await;

        let own = [socket.room().clone()];
        let selection = Selection {
            nsp: "/",
            rooms: &own,
            except: &[],
        };
        assert_eq!(nodes.x.hub.disconnect(selection, close), 1);
        wire.release();

        assert_eq!(client.text().await, "41");
        nodes
            .x
            .handler
            .wait("disconnected /: server namespace disconnect")
            .await;
        nodes.x.handler.wait("handed over /chat").await;
        if close {
            assert_eq!(client.text().await, "41/chat,");
            assert_eq!(client.next().await, Some(Written::Close(None)));
            nodes
                .y
                .handler
                .wait("disconnected /chat: server namespace disconnect")
                .await;
        } else {
            // Said before the client knew.
            client.send("420[\"echo\"]").await;
            client.send("42/chat,1[\"echo\"]").await;
            assert_eq!(client.text().await, "43/chat,1[]");
        }
        assert!(nodes.y.hub.rooms("/").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_leave_behind_the_fence_leaves_at_the_new_node() {
    let nodes = Nodes::lagging(&quiet(), vec![600], vec![0]);
    let (session, socket) = nodes.join("{\"rooms\":[\"r\"]}").await;
    let wire = Wire::new(&nodes, &session);
    let mut client = upgrade(&nodes, &session, &wire).await;
    wire.wait("export").await;
    sleep(Duration::from_millis(300)).await;

    let own = [socket.room().clone()];
    let selection = Selection {
        nsp: "/",
        rooms: &own,
        except: &[],
    };
    assert_eq!(nodes.y.hub.disconnect(selection, false), 1);
    assert_eq!(client.text().await, "41");
    nodes
        .y
        .handler
        .wait("disconnected /: server namespace disconnect")
        .await;
    assert_eq!(
        nodes.y.handler.log()[1..],
        ["arrived /", "disconnected /: server namespace disconnect"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_rooms_of_a_session_on_its_way_are_watched_on_both_nodes() {
    #[derive(Default)]
    struct Occupied(parking_lot::Mutex<BTreeSet<String>>);
    impl RoomWatch for Occupied {
        fn occupied(&self, _nsp: &str, room: &Room) {
            self.0.lock().insert(room.as_str().into());
        }
        fn vacated(&self, _nsp: &str, room: &Room) {
            self.0.lock().remove(room.as_str());
        }
    }
    let nodes = Nodes::new(&quiet());
    let watches = [&nodes.x, &nodes.y].map(|node| {
        let watch = Arc::new(Occupied::default());
        node.hub.watch_rooms(Arc::clone(&watch) as _);
        watch
    });
    let (session, socket) = nodes.join("{\"rooms\":[\"r\"]}").await;
    let rooms = BTreeSet::from(["r".to_owned(), socket.id().to_string()]);
    let wire = Wire::held(&nodes, &session, "attend");
    let _client = upgrade(&nodes, &session, &wire).await;
    wire.wait("attend").await;
    assert!(watches.iter().all(|watch| *watch.0.lock() == rooms));
    wire.release();
    nodes.x.handler.wait("handed over /").await;
    assert!(watches[0].0.lock().is_empty() && *watches[1].0.lock() == rooms);
}
