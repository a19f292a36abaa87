//! Connections per user.

use std::collections::HashMap;

use carillon_protocol::{id::UserId, presence::OnlineUser, text, time::Timestamp};

#[derive(Debug, Default)]
pub(super) struct Users(HashMap<UserId, User>);

#[derive(Debug)]
struct User {
    connections: usize,
    last_seen: Timestamp,
}

impl Users {
    pub(super) fn connect(&mut self, user: &UserId, at: Timestamp) -> bool {
        if let Some(known) = self.0.get_mut(user) {
            known.connections += 1;
            known.last_seen = at;
            return false;
        }
        self.0.insert(
            user.clone(),
            User {
                connections: 1,
                last_seen: at,
            },
        );
        true
    }

    pub(super) fn disconnect(&mut self, user: &UserId) -> bool {
        let Some(known) = self.0.get_mut(user) else {
            return false;
        };
        known.connections = known.connections.saturating_sub(1);
        known.connections == 0
    }

    pub(super) fn settle(&mut self, user: &UserId) -> bool {
        let gone = self.0.get(user).is_some_and(|known| known.connections == 0);
        if gone {
            self.0.remove(user);
        }
        gone
    }

    pub(super) fn is_online(&self, user: &UserId) -> bool {
        self.0.contains_key(user)
    }

    pub(super) fn online(&self) -> Vec<OnlineUser> {
        let line = |(user, known): (&UserId, &User)| OnlineUser {
            user: user.clone(),
            last_seen: known.last_seen,
        };
        let mut users: Vec<_> = self.0.iter().map(line).collect();
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
}
