//! Sessions that come back: their records, and the end of what is left of their old connections, on any node.

use std::{sync::Arc, time::Duration};

use carillon_backplane::SessionRecord;
use carillon_protocol::id::{Room, UserId};
use carillon_socketio::{ResumeRequest, Socket};

use super::{NAMESPACE, Peer, Sockets};
use crate::cluster::supersede::{self, Old, Question};

/// How long a node may take to read that a connection has ended, when its client is back already. Well within the time that
/// another node waits for the answer.
const NOTICING: Duration = Duration::from_millis(300);

impl Sockets {
    /// Takes the session that `user` asks to have back, for good, and ends whatever is left of its old connection. Of several
    /// who ask, on any nodes, one gets it.
    pub(super) async fn reclaim(&self, resume: ResumeRequest<'_>, user: &UserId) -> Option<SessionRecord> {
        let found = self.backplane.find(resume.pid).await.ok().flatten()?;
        if found.user != *user {
            return None;
        }
        // Taken before the old node is asked: whoever has resumed it since then has kept a record anew, and says so.
        let record = self.backplane.take(resume.pid).await.ok().flatten()?;
        let question = Question {
            pid: record.pid.clone(),
            socket_id: record.socket_id.clone(),
        };
        let old = match self.end_old(&question).await {
            Old::Unknown => supersede::ask(&*self.backplane, &record.node, &question).await,
            known => known,
        };
        (old != Old::Rival).then_some(record)
    }

    /// Ends what this node has of a session that came back, here or on another node.
    pub(crate) async fn end_old(&self, question: &Question) -> Old {
        let socket = self
            .hub
            .find(NAMESPACE, &question.socket_id)
            .filter(|socket| socket.pid() == Some(&question.pid));
        let Some(old) = socket else {
            return Old::Unknown;
        };
        if old.data().has_just_resumed() && !ends_now(&old).await {
            // Whoever asks has taken its record.
            self.keep(&old).await;
            return Old::Rival;
        }
        // First: the end of the old session must not touch the record.
        old.data().supersede();
        self.hub.supersede(&old);
        Old::Ended
    }

    /// Leaves a session that was taken to whoever asks for it next.
    pub(super) async fn put_back(&self, record: SessionRecord) {
        let pid = record.pid.clone();
        let node = self.backplane.tag().clone();
        let kept = self.backplane.keep(SessionRecord { node, ..record }).await;
        if let Err(error) = kept.and(self.backplane.lost(&pid).await) {
            tracing::debug!(%error, "session record not put back");
        }
    }

    /// Keeps what the session needs to be recovered, as it is now. The record of one that was taken over is another's.
    ///
    /// Where that fails, the client is told no place to be recovered from until something comes to it by the backplane again,
    /// which has made up for the failure by then: meanwhile another node may find the session as it was before.
    pub(crate) async fn keep(&self, socket: &Socket<Peer>) {
        let Some(pid) = socket.pid().filter(|_| !socket.data().is_superseded()) else {
            return;
        };
        let record = SessionRecord {
            pid: pid.clone(),
            socket_id: socket.id().clone(),
            user: socket.data().user().clone(),
            rooms: self.hub.rooms_of(socket),
            node: self.backplane.tag().clone(),
        };
        if let Err(error) = self.backplane.keep(record).await {
            tracing::debug!(%error, "session record not kept");
            socket.lose_place();
        }
    }

    /// The rooms of a socket, its own among them.
    pub(super) fn all_rooms(&self, socket: &Arc<Socket<Peer>>) -> Vec<Room> {
        let mut rooms = self.hub.rooms_of(socket);
        rooms.push(socket.room().clone());
        rooms
    }
}

/// Whether a connection ends, as one does whose client has come back: a busy node may have its end still to read.
async fn ends_now(socket: &Socket<Peer>) -> bool {
    tokio::time::timeout(NOTICING, socket.session().closed())
        .await
        .is_ok()
}
