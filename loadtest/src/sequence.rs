//! Numbers for signals that carry only "on" or "off".
//!
//! Which of the two the n-th signal is follows a fixed random row. A reader that follows the row sees where it leaves it, and by how
//! many places it is off once it is found again: what was lost, what came twice. What cannot be seen is two equal signals
//! that change places; one that comes so late that the row was found again meanwhile counts as lost, and then as doubled.

/// How many in a row must fit before a place counts as found again.
const PROOF: usize = 32;
/// It is looked for each time that so many more have come; at first when what is out of order may have passed.
const DOUBT: usize = 48;
/// How far off it is looked for.
const FARTHEST: i64 = 256;
/// After this many in doubt the count alone decides where the reader is.
const LONGEST_DOUBT: usize = 2_048;

/// Whether the `number`-th signal is "on".
pub(crate) const fn signal(number: u64) -> bool {
    // SplitMix64.
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) & 1 == 1
}

/// Where a reader is in the row.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    next: u64,
    /// What came since it left the row.
    doubt: Vec<bool>,
}

/// What happened where a reader left the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Lost(u64),
    Doubled(u64),
    OutOfOrder,
}

impl Sequence {
    /// The next signal that came; a fault once it is known.
    pub(crate) fn push(&mut self, is_on: bool) -> Option<Fault> {
        if self.doubt.is_empty() && is_on == signal(self.next) {
            self.next += 1;
            return None;
        }
        self.doubt.push(is_on);
        if !self.doubt.len().is_multiple_of(DOUBT) {
            return None;
        }
        let found = (0..=FARTHEST)
            .flat_map(|far| [far, -far])
            .find(|shift| self.fits(*shift));
        if found.is_none() && self.doubt.len() < LONGEST_DOUBT {
            return None;
        }
        let shift = found.unwrap_or(0);
        self.next = (self.next + self.doubt.len() as u64).saturating_add_signed(shift);
        self.doubt.clear();
        Some(match shift {
            0 => Fault::OutOfOrder,
            1.. => Fault::Lost(shift.unsigned_abs()),
            _ => Fault::Doubled(shift.unsigned_abs()),
        })
    }

    /// Whether the latest in doubt are where they belong if the reader is `shift` places further on.
    fn fits(&self, shift: i64) -> bool {
        let skipped = self.doubt.len() - PROOF;
        let latest = self.doubt.iter().skip(skipped);
        (self.next + skipped as u64..)
            .zip(latest)
            .all(|(number, is_on)| number.checked_add_signed(shift).map(signal) == Some(*is_on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(numbers: impl IntoIterator<Item = u64>) -> Vec<Fault> {
        let mut sequence = Sequence::default();
        numbers
            .into_iter()
            .filter_map(|number| sequence.push(signal(number)))
            .collect()
    }

    #[test]
    fn a_whole_row_has_no_fault() {
        assert_eq!(faults(0..10_000), []);
    }

    #[test]
    fn any_that_are_lost_are_counted() {
        for count in [1, 2, 7, 64, 200] {
            for from in 100..130 {
                let numbers = (0..from).chain(from + count..2_000);
                assert_eq!(faults(numbers), [Fault::Lost(count)], "{count} from {from}");
            }
        }
    }

    #[test]
    fn any_that_come_twice_are_counted() {
        for count in [1, 2, 7, 64] {
            for from in 100..130 {
                let numbers = (0..from).chain(from - count..2_000);
                assert_eq!(faults(numbers), [Fault::Doubled(count)], "{count} at {from}");
            }
        }
    }

    #[test]
    fn one_lost_and_one_doubled_do_not_cancel_out() {
        let numbers = (0..300).chain(301..600).chain(599..2_000);
        assert_eq!(faults(numbers), [Fault::Lost(1), Fault::Doubled(1)]);
    }

    #[test]
    fn two_unlike_signals_that_change_places_are_out_of_order() {
        let first = (100..)
            .find(|number| signal(*number) != signal(number + 1))
            .unwrap();
        let numbers = (0..first).chain([first + 1, first]).chain(first + 2..2_000);
        assert_eq!(faults(numbers), [Fault::OutOfOrder]);
    }

    #[test]
    fn a_reader_that_cannot_be_placed_goes_on_by_its_count() {
        let mut sequence = Sequence::default();
        let found: Vec<_> = (0..5_000).filter_map(|_| sequence.push(true)).collect();
        assert!(!found.is_empty() && found.iter().all(|fault| *fault == Fault::OutOfOrder));
    }
}
