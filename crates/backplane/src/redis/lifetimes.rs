//! How long what is in Redis lives: each key either expires, or is taken down after the lease of the node behind it.
//!
//! | key | lives | because |
//! |---|---|---|
//! | `nodes`: a node's member | its lease, renewed every half second; then until swept | whoever finds it lapsed sweeps its users |
//! | the same of a node that has left | [`LEAVING`]; then until swept | its users come back on other nodes first |
//! | `users:<node>` | as the node's member; sweeping empties it | the lease speaks for all users of a node |
//! | `online`: a user's field | until the user has gone, or was on swept nodes alone | never an expiry: a node that lives says who goes |
//! | `unannounced`: a user's field | until it is announced | by who made it so, else by who finds it left over |
//! | `session:<pid>`, connected | [`Lifetimes::session`], prolonged every [`PROLONGING`] | it outlives its node by the recovery window |
//! | the same, lost | [`Lifetimes::lost_session`] | what clients are promised |
//! | the same, ended for good | [`ENDED`] | a write that comes late must not bring it back |
//! | `stream`, `stream:<room>` | [`Lifetimes::events`] after the last event | longer than any record that needs it |
//! | `order:<chat>` | [`ORDER`] after the last message | after that the store settles it |
//! | `log`, `secret` | as long as Redis keeps its data | |

use std::time::Duration;

use super::RedisOptions;

/// How often a node prolongs its sessions' records.
pub(super) const PROLONGING: Duration = Duration::from_secs(30);

/// How long the users of a node that has left may take to come back on another one.
pub(super) const LEAVING: Duration = Duration::from_secs(10);

/// How late a write may come after the end of its session: only what Redis had in its sockets when it stood still.
pub(super) const ENDED: Duration = Duration::from_secs(60);

/// How long the number of a chat's last published message is remembered.
pub(super) const ORDER: Duration = Duration::from_secs(3_600);

/// How much longer events live than they have to.
const MARGIN: Duration = Duration::from_secs(30);

/// The lifetimes that follow from a node's options.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    lease: Duration,
    recovery_window: Duration,
    longest_silence: Duration,
}

impl Lifetimes {
    pub(super) const fn new(options: &RedisOptions) -> Self {
        Self {
            lease: options.lease,
            recovery_window: options.recovery_window,
            longest_silence: options.longest_silence,
        }
    }

    /// Of a node that does not renew. Who was away for that long says anew who is there.
    pub(super) const fn lease(&self) -> Duration {
        self.lease
    }

    /// Of the record of a session that is prolonged: long enough to miss a round, to notice that the connection is dead,
    /// and for the window after.
    pub(super) fn session(&self) -> Duration {
        self.recovery_window + self.longest_silence + PROLONGING * 2
    }

    /// Of the record of a session whose connection is known to be lost.
    pub(super) const fn lost_session(&self) -> Duration {
        self.recovery_window
    }

    /// Of the events that such a session may have missed: as long as its record, counted from before its connection went
    /// unnoticed, be it by its node's death. Were it less, a stream that is gone would look like one with nothing missed.
    pub(super) fn events(&self) -> Duration {
        self.session() + self.longest_silence + self.lease + MARGIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_recovers_a_session_outlives_what_needs_it() {
        for (lease, window, silence) in [(1, 1, 1), (5, 120, 45), (60, 3_600, 600)] {
            let [lease, recovery_window, longest_silence] = [lease, window, silence].map(Duration::from_secs);
            let lifetimes = Lifetimes::new(&RedisOptions {
                lease,
                recovery_window,
                longest_silence,
                ..RedisOptions::default()
            });
            // Prolonged at the last moment before its node died, whose death is noticed a lease later.
            assert!(lifetimes.session() >= PROLONGING + longest_silence + lifetimes.lost_session());
            assert!(lifetimes.events() > lifetimes.session() + longest_silence + lease);
        }
    }
}
