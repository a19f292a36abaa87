//! What this node knows of users, and of whom Redis may know something else.

mod standing;

use std::collections::{HashMap, HashSet};

use carillon_protocol::{id::UserId, presence::Status, time::Timestamp};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, RwLock},
    time::Instant,
};

use crate::{NodeTag, redis::commands::TIMEOUT};

pub(super) use standing::Data;
use standing::{Input, Standing, Word};

/// Most users in doubt: as many as may leave within a moment before Redis does, and more.
const MAX_IN_DOUBT: usize = 100_000;

#[derive(Debug, Default)]
pub(in crate::redis) struct Users {
    /// All that are not [`Standing::Absent`].
    local: Mutex<HashMap<UserId, Local>>,
    /// Users of whom Redis may know something else than this node, and from when on that is to be settled.
    in_doubt: Mutex<HashMap<UserId, Instant>>,
    /// Which data of Redis this node's users were last registered in.
    pub(super) registered_in: Mutex<Option<String>>,
    /// Dead nodes whose users are to be taken offline.
    pub(super) to_sweep: Mutex<HashSet<NodeTag>>,
    /// Who came or went, as far as the node has not heard of it yet.
    pub(super) unannounced: Mutex<Vec<(UserId, Status)>>,
    pub(super) news: Notify,
    /// Single changes share it; bringing many users up to date excludes them.
    pub(super) order: RwLock<()>,
}

/// A user on this node.
#[derive(Debug)]
struct Local {
    standing: Standing,
    connections: usize,
    /// Of the latest connection.
    at: Timestamp,
}

impl Users {
    /// One more connection, of which Redis has not heard yet.
    pub(super) fn comes(&self, user: &UserId, at: Timestamp) {
        {
            let mut local = self.local.lock();
            let known = local.entry(user.clone()).or_insert(Local {
                standing: Standing::Absent,
                connections: 0,
                at,
            });
            known.standing = known.standing.after(Input::Comes);
            known.connections += 1;
            known.at = at;
        }
        self.doubt(user);
    }

    /// One connection less. Answers whether it was the last one; of that Redis has not heard yet.
    pub(super) fn goes(&self, user: &UserId) -> bool {
        if let Some(known) = self.local.lock().get_mut(user) {
            known.connections = known.connections.saturating_sub(1);
            if known.connections > 0 {
                return false;
            }
            known.standing = known.standing.after(Input::Goes);
        }
        self.doubt(user);
        true
    }

    /// Redis knows what is the case with `user`.
    pub(super) fn heard(&self, user: &UserId) {
        self.in_doubt.lock().remove(user);
        self.apply(user, Input::Heard);
    }

    /// Redis was not asked about `user`, who has gone.
    pub(super) fn not_asked(&self, user: &UserId) {
        if self.apply(user, Input::NotAsked) == Some(Standing::Absent) {
            self.in_doubt.lock().remove(user);
        }
    }

    /// How the user stands then; `None` of one who was absent.
    fn apply(&self, user: &UserId, input: Input) -> Option<Standing> {
        let mut local = self.local.lock();
        let known = local.get_mut(user)?;
        known.standing = known.standing.after(input);
        let standing = known.standing;
        if standing == Standing::Absent {
            local.remove(user);
        }
        Some(standing)
    }

    pub(super) fn is_here(&self, user: &UserId) -> bool {
        let local = self.local.lock();
        local.get(user).is_some_and(|known| known.standing.is_here())
    }

    /// Redis is about to be asked about `user`. If it does not answer, it is told once its answer cannot come any more and
    /// the user's grace is over.
    pub(super) fn doubt(&self, user: &UserId) {
        self.doubt_from(user.clone(), Instant::now() + TIMEOUT);
    }

    pub(super) fn doubt_from(&self, user: UserId, due: Instant) {
        let mut in_doubt = self.in_doubt.lock();
        if in_doubt.len() < MAX_IN_DOUBT {
            in_doubt.insert(user, due);
        }
    }

    /// What Redis is to be told of `user`, and the time of the latest connection.
    pub(super) fn word(&self, user: &UserId, data: Data) -> (Word, Timestamp) {
        let local = self.local.lock();
        let (standing, at) = local
            .get(user)
            .map_or((Standing::Absent, Timestamp::from_millis(0)), |known| {
                (known.standing, known.at)
            });
        (standing.word(data), at)
    }

    /// Users whose doubts are to be settled now.
    pub(super) fn due(&self) -> Vec<UserId> {
        let now = Instant::now();
        let in_doubt = self.in_doubt.lock();
        let due = in_doubt.iter().filter(|(_, from)| **from <= now);
        due.map(|(user, _)| user.clone()).collect()
    }

    /// Whether `user` has gone, and may still come back unnoticed.
    pub(super) fn is_in_grace(&self, user: &UserId) -> bool {
        let now = Instant::now();
        !self.is_here(user) && self.in_doubt.lock().get(user).is_some_and(|from| *from > now)
    }

    /// Everybody of whom this node knows.
    pub(super) fn known(&self) -> HashSet<UserId> {
        let mut known: HashSet<UserId> = self.local.lock().keys().cloned().collect();
        known.extend(self.in_doubt.lock().keys().cloned());
        known
    }

    /// Nodes died: their users are to be taken offline.
    pub(in crate::redis) fn sweep_later(&self, nodes: Vec<NodeTag>) {
        if !nodes.is_empty() {
            self.to_sweep.lock().extend(nodes);
            self.news.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const GRACE: Duration = Duration::from_millis(500);

    fn ann() -> UserId {
        UserId::parse("ann").unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[tokio::test(start_paused = true)]
    async fn a_doubt_is_settled_when_the_answer_cannot_come_any_more_and_the_grace_is_over() {
        let users = Users::default();
        users.comes(&ann(), at(1));
        users.heard(&ann());
        assert!(users.goes(&ann()));
        tokio::time::advance(TIMEOUT - Duration::from_millis(1)).await;
        assert!(users.due().is_empty() && users.is_in_grace(&ann()));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(users.due() == [ann()] && !users.is_in_grace(&ann()));
        assert!(TIMEOUT > GRACE);

        users.heard(&ann());
        assert!(users.due().is_empty() && users.known().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_goes_with_the_last_connection_and_has_the_time_of_the_latest() {
        let users = Users::default();
        for millis in [1, 2] {
            users.comes(&ann(), at(millis));
            users.heard(&ann());
        }
        assert!(!users.goes(&ann()) && users.is_here(&ann()));
        assert!(users.due().is_empty());
        assert_eq!(users.word(&ann(), Data::Lost), (Word::Back, at(2)));
        assert!(users.goes(&ann()) && !users.is_here(&ann()));
        assert_eq!(users.word(&ann(), Data::Kept), (Word::Gone, at(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_came_and_went_while_redis_was_away_is_forgotten_but_not_who_was_there_before() {
        let users = Users::default();
        users.comes(&ann(), at(1));
        users.goes(&ann());
        users.not_asked(&ann());
        assert!(users.known().is_empty());

        users.comes(&ann(), at(1));
        users.heard(&ann());
        users.goes(&ann());
        users.not_asked(&ann());
        assert_eq!(users.known().len(), 1);
    }

    #[tokio::test]
    async fn doubts_are_bounded() {
        let users = Users::default();
        for n in 0..=MAX_IN_DOUBT {
            users.doubt(&UserId::parse(n.to_string()).unwrap());
        }
        assert_eq!(users.known().len(), MAX_IN_DOUBT);
    }
}
