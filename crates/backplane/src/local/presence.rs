//! Connections per user, and what is to be told of them.

use std::collections::HashMap;

use carillon_protocol::{
    id::UserId,
    presence::{OnlineUser, Status},
    text,
    time::Timestamp,
};

/// Most changes that wait to be announced. Of more nobody is told.
const MAX_UNANNOUNCED: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Users {
    known: HashMap<UserId, User>,
    /// Changes that nobody has announced yet. Of two that undo each other nobody hears.
    unannounced: HashMap<UserId, Status>,
}

#[derive(Debug)]
struct User {
    connections: usize,
    last_seen: Timestamp,
}

impl Users {
    pub(super) fn connect(&mut self, user: &UserId, at: Timestamp) -> bool {
        if let Some(known) = self.known.get_mut(user) {
            known.connections += 1;
            known.last_seen = at;
            return false;
        }
        self.known.insert(
            user.clone(),
            User {
                connections: 1,
                last_seen: at,
            },
        );
        self.changed(user, Status::Online)
    }

    pub(super) fn disconnect(&mut self, user: &UserId) -> bool {
        let Some(known) = self.known.get_mut(user) else {
            return false;
        };
        known.connections = known.connections.saturating_sub(1);
        known.connections == 0
    }

    pub(super) fn settle(&mut self, user: &UserId) -> bool {
        let gone = self.known.get(user).is_some_and(|known| known.connections == 0);
        if !gone {
            return false;
        }
        self.known.remove(user);
        self.changed(user, Status::Offline)
    }

    /// Whether a change is to be announced; it is not any more.
    pub(super) fn announce(&mut self, user: &UserId, status: Status) -> bool {
        let is_news = self.unannounced.get(user) == Some(&status);
        if is_news {
            self.unannounced.remove(user);
        }
        is_news
    }

    /// Whether a change that was made is to be announced: not where it undoes one that was not announced yet.
    fn changed(&mut self, user: &UserId, status: Status) -> bool {
        let undoes = self.unannounced.remove(user).is_some();
        let is_news = !undoes && self.unannounced.len() < MAX_UNANNOUNCED;
        if is_news {
            self.unannounced.insert(user.clone(), status);
        }
        is_news
    }

    pub(super) fn online(&self) -> Vec<OnlineUser> {
        let line = |(user, known): (&UserId, &User)| OnlineUser {
            user: user.clone(),
            last_seen: known.last_seen,
        };
        let mut users: Vec<_> = self.known.iter().map(line).collect();
        users.sort_by(|left, right| text::cmp_utf16(left.user.as_str(), right.user.as_str()));
        users
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_goes_offline_once_after_the_last_connection() {
        let (mut users, ann) = (Users::default(), UserId::parse("ann").unwrap());
        let at = Timestamp::from_millis(5);

        assert!(users.connect(&ann, Timestamp::from_millis(1)));
        assert!(users.announce(&ann, Status::Online));
        assert!(!users.connect(&ann, at));
        assert!(!users.disconnect(&ann));
        assert!(!users.settle(&ann));
        assert!(users.disconnect(&ann));
        assert_eq!(
            users.online(),
            vec![OnlineUser {
                user: ann.clone(),
                last_seen: at
            }]
        );
        assert!(users.settle(&ann));
        assert!(!users.settle(&ann));
        assert!(users.online().is_empty());
    }

    #[test]
    fn who_comes_back_before_it_is_settled_was_never_gone() {
        let (mut users, ann) = (Users::default(), UserId::parse("ann").unwrap());
        let at = Timestamp::from_millis(1);

        users.connect(&ann, at);
        users.disconnect(&ann);

        assert!(!users.connect(&ann, at));
        assert!(!users.settle(&ann));
    }

    #[test]
    fn what_is_undone_before_it_was_announced_is_announced_never() {
        let (mut users, ann) = (Users::default(), UserId::parse("ann").unwrap());
        let at = Timestamp::from_millis(1);
        let go = |users: &mut Users| users.disconnect(&ann) && users.settle(&ann);

        assert!(users.connect(&ann, at));
        assert!(!go(&mut users));
        assert!(!users.announce(&ann, Status::Online) && !users.announce(&ann, Status::Offline));

        users.connect(&ann, at);
        assert!(users.announce(&ann, Status::Online) && !users.announce(&ann, Status::Online));
        assert!(go(&mut users));
        assert!(!users.connect(&ann, at));
        assert!(!users.announce(&ann, Status::Offline) && !users.announce(&ann, Status::Online));
        assert!(users.unannounced.is_empty());
    }

    #[test]
    fn what_waits_to_be_announced_is_bounded() {
        let mut users = Users::default();
        for n in 0..=MAX_UNANNOUNCED {
            let user = UserId::parse(n.to_string()).unwrap();
            assert_eq!(
                users.connect(&user, Timestamp::from_millis(1)),
                n < MAX_UNANNOUNCED
            );
        }
        assert_eq!(users.unannounced.len(), MAX_UNANNOUNCED);
    }
}
