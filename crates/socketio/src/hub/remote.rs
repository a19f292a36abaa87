//! What is done to many sockets at once, mostly because another server asked for it.

use std::{sync::Arc, time::Duration};

use carillon_protocol::{adapter::Broadcast, id::Room};

use super::Hub;
use crate::socket::{Answers, Question, Socket};

/// Some sockets of a namespace.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// The namespace, with its slash.
    pub nsp: &'a str,
    /// Each socket that is in at least one of these rooms; none named means every socket.
    pub rooms: &'a [Room],
    /// But no socket that is in one of these.
    pub except: &'a [Room],
}

/// A socket and its rooms at one moment.
#[derive(Debug)]
pub struct Summary<D> {
    /// The socket.
    pub socket: Arc<Socket<D>>,
    /// Its rooms, without its own.
    pub rooms: Vec<Room>,
}

impl<D> Hub<D> {
    /// The selected sockets with their rooms, all as they are at one moment.
    #[must_use]
    pub fn summaries(&self, selection: Selection<'_>) -> Vec<Summary<D>> {
        self.namespace(selection.nsp)
            .map(|namespace| namespace.summaries(selection.rooms, selection.except))
            .unwrap_or_default()
    }

    /// Puts the selected sockets into `rooms`; answers which they are.
    pub fn join_all(&self, selection: Selection<'_>, rooms: &[Room]) -> Vec<Arc<Socket<D>>> {
        self.namespace(selection.nsp)
            .map(|namespace| namespace.join_all(selection.rooms, selection.except, rooms))
            .unwrap_or_default()
    }

    /// Takes the selected sockets out of `rooms`; answers which they are.
    pub fn leave_all(&self, selection: Selection<'_>, rooms: &[Room]) -> Vec<Arc<Socket<D>>> {
        self.namespace(selection.nsp)
            .map(|namespace| namespace.leave_all(selection.rooms, selection.except, rooms))
            .unwrap_or_default()
    }

    /// Has the selected sockets leave the namespace; answers how many there were. Their clients are told, and do not come
    /// back by themselves. With `close`, each leaves every namespace, and its session ends once what is queued has gone out.
    ///
    /// When this returns they are in no room and are given nothing more. The handler is told soon after, in its turn.
    pub fn disconnect(&self, selection: Selection<'_>, close: bool) -> usize {
        self.summaries(selection)
            .iter()
            .filter(|summary| self.dismiss(&summary.socket, close))
            .count()
    }

    /// The rooms of a namespace that have sockets, their own rooms among them.
    #[must_use]
    pub fn rooms(&self, nsp: &str) -> Vec<Room> {
        self.namespace(nsp)
            .map(|namespace| namespace.rooms())
            .unwrap_or_default()
    }

    /// Gives an event to each socket that it is for, and asks for answers within `timeout`.
    #[must_use]
    pub fn ask(&self, broadcast: &Broadcast, timeout: Duration) -> Answers {
        let selection = Selection {
            nsp: &broadcast.nsp,
            rooms: &broadcast.rooms,
            except: &broadcast.except,
        };
        let sockets = self.summaries(selection);
        let mut question = Question::new(&broadcast.event, sockets.len());
        for Summary { socket, .. } in &sockets {
            socket.ask(&mut question);
        }
        question.answers(timeout)
    }
}
