//! The order of one chat's messages on this node: what becomes of one that comes, what is to be read. No store, no sockets.

use carillon_protocol::time::Timestamp;

/// How far a chat's messages were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing is missing after `last`, the `seq` of the last message given; `None` before the first.
    InOrder { last: Option<u64> },
    /// Something is missing: all that comes is left to the store, which has it, too.
    Behind(Behind),
}

/// What a chat waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behind {
    /// Where what is missing begins.
    start: Start,
    /// The highest `seq` that has come meanwhile; 0 for none.
    newest: u64,
    /// Something may have been missed since the store was last asked.
    asks_again: bool,
}

/// Where what is missing begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// After this `seq`.
    After(u64),
    /// In a chat of which nothing was given yet: with what is not older than this.
    Since(Timestamp),
}

/// What becomes of a message that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is given now.
    Next,
    /// It was given before.
    Known,
    /// It is read from the store, with what is missing before it.
    Left,
    /// The same, and it is the first: the reading has to be begun.
    AfterGap,
}

impl Order {
    /// Before the first message.
    pub(super) const fn new() -> Self {
        Self::InOrder { last: None }
    }

    /// Message `seq` comes.
    pub(super) fn arrive(&mut self, seq: u64) -> Arrival {
        match self {
            Self::InOrder { last } => match *last {
                Some(given) if seq <= given => Arrival::Known,
                Some(given) if seq > given + 1 => {
                    *self = Self::Behind(Behind {
                        start: Start::After(given),
                        newest: seq,
                        asks_again: false,
                    });
                    Arrival::AfterGap
                }
                Some(_) | None => {
                    *last = Some(seq);
                    Arrival::Next
                }
            },
            Self::Behind(behind) => {
                behind.newest = behind.newest.max(seq);
                Arrival::Left
            }
        }
    }

    /// Messages may have been missed, none of them older than `since`. Answers whether the reading has to be begun.
    pub(super) fn interrupt(&mut self, since: Timestamp) -> bool {
        match self {
            Self::InOrder { last } => {
                *self = Self::Behind(Behind {
                    start: last.map_or(Start::Since(since), Start::After),
                    newest: 0,
                    asks_again: false,
                });
                true
            }
            Self::Behind(behind) => {
                behind.asks_again = true;
                false
            }
        }
    }

    /// Where the store is to be read from, now; `None` where nothing is missing.
    pub(super) const fn ask(&mut self) -> Option<Start> {
        match self {
            Self::InOrder { .. } => None,
            Self::Behind(behind) => {
                behind.asks_again = false;
                Some(behind.start)
            }
        }
    }

    /// What is missing begins after `seq`.
    pub(super) const fn begin_after(&mut self, seq: u64) {
        if let Self::Behind(behind) = self {
            behind.start = Start::After(seq);
        }
    }

    /// Message `seq` was read. Answers whether it is to be given.
    pub(super) fn read(&mut self, seq: u64) -> bool {
        match self {
            Self::Behind(Behind {
                start: Start::After(last),
                ..
            }) if seq > *last => {
                *last = seq;
                true
            }
            Self::Behind(_) | Self::InOrder { .. } => false,
        }
    }

    /// The store had no more. Answers whether nothing is missing any more.
    pub(super) const fn end(&mut self) -> bool {
        match *self {
            Self::Behind(Behind {
                start: Start::After(last),
                newest,
                asks_again: false,
            }) if newest <= last => {
                *self = Self::InOrder { last: Some(last) };
                true
            }
            Self::Behind(_) => false,
            Self::InOrder { .. } => true,
        }
    }

    /// Goes on without what the store lacks.
    pub(super) fn give_up(&mut self) {
        if let Self::Behind(Behind { start, newest, .. }) = *self {
            let last = match start {
                Start::After(last) => Some(last.max(newest)),
                Start::Since(_) => (newest > 0).then_some(newest),
            };
            *self = Self::InOrder { last };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: Timestamp = Timestamp::from_millis(7);

    fn after(arrivals: &[u64]) -> Order {
        let mut order = Order::new();
        for seq in arrivals {
            order.arrive(*seq);
        }
        order
    }

    #[test]
    fn in_order_each_is_given_once() {
        let mut order = Order::new();
        let came = [4, 4, 5, 3, 6].map(|seq| order.arrive(seq));
        use Arrival::{Known, Next};
        assert_eq!(came, [Next, Known, Next, Known, Next]);
    }

    #[test]
    fn after_a_gap_all_is_left_to_the_store_until_it_has_told_the_newest() {
        let mut order = after(&[1]);
        assert_eq!(order.arrive(3), Arrival::AfterGap);
        assert_eq!(order.arrive(4), Arrival::Left);
        assert_eq!(order.ask(), Some(Start::After(1)));
        assert_eq!([2, 2, 3].map(|seq| order.read(seq)), [true, false, true]);
        assert!(!order.end(), "4 has come");
        assert_eq!(order.ask(), Some(Start::After(3)));
        assert!(order.read(4) && order.end());
        assert_eq!(order.arrive(5), Arrival::Next);
    }

    #[test]
    fn after_an_interruption_the_store_is_asked_even_if_nothing_comes() {
        let mut order = after(&[1]);
        assert!(order.interrupt(SINCE));
        assert_eq!(order.arrive(2), Arrival::Left, "it may not be the next");
        assert_eq!(order.ask(), Some(Start::After(1)));
        assert!(order.read(2));
        // Another one while the store answers.
        assert!(!order.interrupt(SINCE));
        assert!(!order.end());
        assert_eq!(order.ask(), Some(Start::After(2)));
        assert!(order.end());
    }

    #[test]
    fn before_the_first_message_what_is_missing_begins_at_a_time() {
        let mut order = Order::new();
        assert!(order.interrupt(SINCE));
        assert_eq!(order.arrive(9), Arrival::Left);
        assert_eq!(order.ask(), Some(Start::Since(SINCE)));
        assert!(!order.read(9) && !order.end(), "nobody knows yet where it begins");
        order.begin_after(7);
        assert_eq!([7, 8, 9].map(|seq| order.read(seq)), [false, true, true]);
        assert!(order.end());
    }

    #[test]
    fn what_the_store_lacks_is_given_up() {
        let mut order = after(&[1, 5]);
        order.give_up();
        assert_eq!(order, Order::InOrder { last: Some(5) });
        for (came, last) in [(0, None), (3, Some(3))] {
            let mut order = Order::new();
            order.interrupt(SINCE);
            order.arrive(came);
            order.give_up();
            assert_eq!(order, Order::InOrder { last });
        }
    }
}
