//! What other servers ask of the sockets that this one has.

use std::time::Duration;

use carillon_backplane::{Asked, Selection};
use carillon_protocol::adapter::Broadcast;
use carillon_socketio::Hub;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// How many answers of sockets may wait to be passed on.
const WAITING_ANSWERS: usize = 64;

/// Gives an event to the sockets that it is for and asks each for an answer. `tasks` owns the passing on of the answers.
pub fn ask<D: Send + Sync + 'static>(
    hub: &Hub<D>,
    tasks: &TaskTracker,
    broadcast: &Broadcast,
    timeout: Duration,
) -> Asked {
    let mut asked = hub.ask(broadcast, timeout);
    let sockets = asked.count();
    let (sender, answers) = mpsc::channel(WAITING_ANSWERS);
    tasks.spawn(async move {
        while let Some(answer) = asked.next().await {
            if sender.send(answer).await.is_err() {
                return;
            }
        }
    });
    Asked { sockets, answers }
}

/// The selection as the hub takes it.
#[must_use]
pub fn selected(selection: &Selection) -> carillon_socketio::Selection<'_> {
    carillon_socketio::Selection {
        nsp: &selection.nsp,
        rooms: &selection.rooms,
        except: &selection.except,
    }
}
