//! Which frames have come: none is taken twice, whoever sends it again.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::NodeTag;

/// So many frames may have been sealed after one that comes: they are sealed side by side and then sent in turn.
const WINDOW: u64 = 4_096;

const WORD: u64 = u64::BITS as u64;

/// Most senders that are remembered, of all that have sent a frame to this node since its start.
const MAX_SENDERS: usize = 1_024;

/// The frames that have come.
#[derive(Default)]
pub(super) struct Seen(Mutex<Senders>);

#[derive(Default)]
struct Senders {
    of: HashMap<NodeTag, Sender>,
    frames: u64,
}

struct Sender {
    /// By channel, each of which has an order of its own: the few that this node takes frames from.
    windows: Vec<(String, Window)>,
    last_frame: u64,
}

/// The counts of one sender on one channel.
struct Window {
    highest: u64,
    /// Whether a count came, for those from `highest` down: at its remainder.
    came: Vec<u64>,
}

impl Seen {
    /// Whether the frame that `sender` sealed for `channel` under `count` comes for the first time.
    pub(super) fn is_new(&self, sender: &NodeTag, channel: &str, count: u64) -> bool {
        let mut senders = self.0.lock();
        senders.frames += 1;
        let frame = senders.frames;
        if !senders.of.contains_key(sender) {
            senders.make_room();
            let windows = Vec::new();
            senders.of.insert(
                sender.clone(),
                Sender {
                    windows,
                    last_frame: frame,
                },
            );
        }
        let Some(known) = senders.of.get_mut(sender) else {
            return false;
        };
        known.last_frame = frame;
        let mut windows = known.windows.iter_mut();
        match windows.find(|(of, _)| of == channel) {
            Some((_, window)) => window.is_new(count),
            None => {
                known
                    .windows
                    .push((channel.to_owned(), Window::beginning_with(count)));
                true
            }
        }
    }
}

impl Senders {
    /// Forgets whoever has been silent for longest, where there are too many.
    fn make_room(&mut self) {
        while self.of.len() >= MAX_SENDERS {
            let silent = self.of.iter().min_by_key(|(_, sender)| sender.last_frame);
            let Some(silent) = silent.map(|(tag, _)| tag.clone()) else {
                return;
            };
            self.of.remove(&silent);
        }
    }
}

impl Window {
    fn beginning_with(count: u64) -> Self {
        let mut window = Self {
            highest: count,
            came: vec![0; usize::try_from(WINDOW / WORD).unwrap_or_default()],
        };
        window.set(count, true);
        window
    }

    fn is_new(&mut self, count: u64) -> bool {
        if count > self.highest {
            let passed = self.highest + 1..count;
            for unseen in passed.rev().take(usize::try_from(WINDOW).unwrap_or_default()) {
                self.set(unseen, false);
            }
            self.highest = count;
        } else if self.highest - count >= WINDOW || self.has(count) {
            return false;
        }
        self.set(count, true);
        true
    }

    fn has(&self, count: u64) -> bool {
        let (word, bit) = place(count);
        self.came.get(word).is_some_and(|word| word & bit != 0)
    }

    fn set(&mut self, count: u64, came: bool) {
        let (word, bit) = place(count);
        match self.came.get_mut(word) {
            Some(word) if came => *word |= bit,
            Some(word) => *word &= !bit,
            None => {}
        }
    }
}

fn place(count: u64) -> (usize, u64) {
    let at = count % WINDOW;
    (usize::try_from(at / WORD).unwrap_or_default(), 1 << (at % WORD))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use proptest::prelude::*;

    fn tag(n: usize) -> NodeTag {
        format!("{n:08}").into()
    }

    #[test]
    fn each_sender_counts_for_itself_on_each_channel() {
        let seen = Seen::default();
        for (sender, channel) in [(1, "a"), (1, "b"), (2, "a")] {
            assert!(seen.is_new(&tag(sender), channel, 7));
            assert!(!seen.is_new(&tag(sender), channel, 7));
        }
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count_as_new() {
        let seen = Seen::default();
        let is_new = |count| seen.is_new(&tag(1), "a", count);
        assert!(is_new(WINDOW));
        assert!(is_new(1) && !is_new(1));
        assert!(!is_new(0));
        assert!(is_new(u64::MAX) && !is_new(u64::MAX) && !is_new(WINDOW - 1));
        assert!(is_new(u64::MAX - WINDOW + 1) && !is_new(u64::MAX - WINDOW));
    }

    #[test]
    fn senders_are_bounded_and_the_silent_go_first() {
        let seen = Seen::default();
        assert!(seen.is_new(&tag(0), "a", 1) && seen.is_new(&tag(1), "a", 1));
        for n in 2..=MAX_SENDERS {
            assert!(!seen.is_new(&tag(0), "a", 1));
            assert!(seen.is_new(&tag(n), "a", 1));
        }
        assert_eq!(seen.0.lock().of.len(), MAX_SENDERS);
        assert!(!seen.is_new(&tag(0), "a", 1));
        assert!(!seen.0.lock().of.contains_key(&tag(1)));
    }

    proptest! {
        #[test]
        fn no_count_is_new_twice_and_none_within_the_window_is_refused(
            steps in proptest::collection::vec((0..3 * WINDOW, any::<bool>()), 1..400)
        ) {
            let seen = Seen::default();
            let (mut came, mut highest) = (HashSet::new(), 0);
            for (step, is_forward) in steps {
                let count = if is_forward { highest + step % 200 } else { highest.saturating_sub(step) };
                let is_first = came.is_empty();
                let is_new = seen.is_new(&tag(1), "a", count);
                let is_known = came.contains(&count);
                prop_assert!(!(is_new && is_known));
                let is_old = !is_first && highest.saturating_sub(count) >= WINDOW;
                prop_assert_eq!(is_new, !is_known && !is_old);
                came.insert(count);
                highest = if is_first { count } else { highest.max(count) };
            }
        }
    }
}
