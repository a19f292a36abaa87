//! How many connections a node can have: what the system lets a process open, less what the node needs for itself.

use std::num::NonZeroU32;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a node has open beside the connections of its clients, generously: databases, other nodes, logs, health.
const OTHER_FILES: u64 = 200;
/// More than a node is ever asked for; what has no limit counts as this.
const MOST_SOCKETS: u32 = 1_000_000;
/// Of the connections that the clients' port takes, one in so many is kept from sessions.
const SPARE_SHARE: u32 = 10;
/// Most sessions that are told at once that there is no room; each costs what any other does.
const MOST_TURNED_AWAY: u32 = 1_000;

/// How many connections a node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// TCP connections of the clients' port. With more, who comes waits until it is accepted.
    pub sockets: u32,
    /// Sessions. What is left of the sockets is for REST, health and those who are turned away.
    pub sessions: NonZeroU32,
    /// Sessions that are opened only to be told that there is no room.
    pub turned_away: NonZeroU32,
}

impl Capacity {
    /// Of a process that may have `files` open, and is to have at most the `wanted` sessions.
    #[must_use]
    pub fn of(files: u64, wanted: Option<NonZeroU32>) -> Self {
        let own = OTHER_FILES.min(files / 2);
        let sockets =
            u32::try_from(files.saturating_sub(own)).map_or(MOST_SOCKETS, |left| left.min(MOST_SOCKETS));
        let spare = sockets.div_ceil(SPARE_SHARE);
        let sessions = at_least_one(sockets.saturating_sub(spare));
        Self {
            sockets,
            sessions: wanted.map_or(sessions, |wanted| wanted.min(sessions)),
            turned_away: at_least_one((spare / 2).min(MOST_TURNED_AWAY)),
        }
    }

    /// Of this process as it is.
    #[must_use]
    pub fn of_this_process(wanted: Option<NonZeroU32>) -> Self {
        Self::of(open_files().current.unwrap_or(u64::MAX), wanted)
    }

    /// The sockets of each of so many threads that serve.
    #[must_use]
    pub fn sockets_of_each(&self, threads: usize) -> usize {
        let sockets = usize::try_from(self.sockets).unwrap_or(usize::MAX);
        // The server takes one more than it is told.
        (sockets / threads.max(1)).saturating_sub(1).max(1)
    }
}

/// How many files this process may have open: now, and where it asks for more. `None` is any number.
#[must_use]
pub fn open_files() -> Rlimit {
    getrlimit(Resource::Nofile)
}

/// Has this process have as many files open as it may. The system's own default is for programs of another kind.
pub fn raise_open_files() {
    let Rlimit { current, maximum } = open_files();
    if current == maximum {
        return;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, ?current, ?maximum, "the limit of open files cannot be raised");
    }
}

fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(files: u64, wanted: Option<u32>) -> (u32, u32, u32) {
        let capacity = Capacity::of(files, wanted.and_then(NonZeroU32::new));
        (
            capacity.sockets,
            capacity.sessions.get(),
            capacity.turned_away.get(),
        )
    }

    #[test]
    fn files_are_kept_from_connections_and_connections_from_sessions() {
        assert_eq!(numbers(1_024, None), (824, 741, 41));
        assert_eq!(numbers(20_000, None), (19_800, 17_820, 990));
        assert_eq!(numbers(300, None), (150, 135, 7));
        assert_eq!(numbers(u64::MAX, None), (1_000_000, 900_000, 1_000));
    }

    #[test]
    fn what_is_wanted_counts_as_far_as_there_is_room() {
        assert_eq!(numbers(20_000, Some(3)).1, 3);
        assert_eq!(numbers(20_000, Some(50_000)).1, 17_820);
    }

    #[test]
    fn there_is_room_for_one_where_there_is_none() {
        for files in 0..10 {
            let (_, sessions, turned_away) = numbers(files, None);
            assert!(sessions >= 1 && turned_away >= 1, "{files}");
        }
    }

    #[test]
    fn threads_share_the_sockets_and_never_take_more() {
        let capacity = Capacity::of(1_024, None);
        for threads in 1..=64 {
            // Each takes one more than it is told.
            assert!(
                (capacity.sockets_of_each(threads) + 1) * threads <= 824,
                "{threads}"
            );
        }
        assert_eq!(capacity.sockets_of_each(10_000), 1);
    }
}
