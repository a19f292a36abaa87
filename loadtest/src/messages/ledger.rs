//! What became of every message: each is known by its sender and that one's own number for it.

use anyhow::Context as _;
use tokio::time::Instant;

use crate::figures::Figures;

/// What was sent, confirmed and received.
#[derive(Debug)]
pub(super) struct Ledger {
    senders: Vec<Vec<Entry>>,
    answers: Vec<Answers>,
    out_of_order: u64,
    holes: i64,
}

#[derive(Debug)]
struct Entry {
    due: Instant,
    /// `None` until it is answered.
    is_stored: Option<bool>,
    /// How often its reader got it.
    received: u32,
}

/// How far a sender's messages are answered, in their order.
#[derive(Debug, Default)]
struct Answers {
    next: usize,
    refused: u64,
    last_seq: u64,
}

/// How far a reader has read its chat.
#[derive(Debug, Default)]
pub(super) struct Order {
    last_seq: Option<u64>,
}

impl Ledger {
    pub(super) fn new(senders: usize) -> Self {
        Self {
            senders: (0..senders).map(|_| Vec::new()).collect(),
            answers: (0..senders).map(|_| Answers::default()).collect(),
            out_of_order: 0,
            holes: 0,
        }
    }

    /// A sender's next message; its number.
    pub(super) fn sent(&mut self, sender: usize, due: Instant) -> usize {
        let Some(entries) = self.senders.get_mut(sender) else {
            return 0;
        };
        entries.push(Entry {
            due,
            is_stored: None,
            received: 0,
        });
        entries.len() - 1
    }

    /// The answer to a sender's oldest message that has none: its `seq`, or none where it was refused.
    pub(super) fn answered(&mut self, sender: usize, seq: Option<u64>) -> anyhow::Result<()> {
        let answers = self.answers.get_mut(sender).context("no such sender")?;
        let entry = self
            .senders
            .get_mut(sender)
            .and_then(|entries| entries.get_mut(answers.next))
            .context("an answer to nothing")?;
        answers.next += 1;
        entry.is_stored = Some(seq.is_some());
        match seq {
            Some(seq) => {
                self.out_of_order += u64::from(seq <= answers.last_seq);
                answers.last_seq = answers.last_seq.max(seq);
            }
            None => answers.refused += 1,
        }
        Ok(())
    }

    /// A message reached its reader; when it was due.
    pub(super) fn received(
        &mut self,
        sender: usize,
        number: usize,
        seq: u64,
        order: &mut Order,
    ) -> anyhow::Result<Instant> {
        let entry = self
            .senders
            .get_mut(sender)
            .and_then(|entries| entries.get_mut(number))
            .context("a message that nobody sent")?;
        entry.received += 1;
        if entry.received > 1 {
            return Ok(entry.due);
        }
        match order.last_seq {
            Some(last) if seq <= last => {
                self.out_of_order += 1;
                self.holes -= 1;
            }
            Some(last) => self.holes += i64::try_from(seq - last - 1)?,
            None => {}
        }
        order.last_seq = order.last_seq.max(Some(seq));
        Ok(entry.due)
    }

    /// How many of a sender's messages were refused.
    pub(super) fn refused_of(&self, sender: usize) -> u64 {
        self.answers.get(sender).map_or(0, |answers| answers.refused)
    }

    /// How many messages were confirmed so far.
    pub(super) fn stored(&self) -> u64 {
        self.answers
            .iter()
            .map(|answers| answers.next as u64 - answers.refused)
            .sum()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.senders.iter().flatten()
    }

    fn count(&self, is_meant: impl Fn(&Entry) -> bool) -> u64 {
        self.entries().filter(|entry| is_meant(entry)).count() as u64
    }

    fn lost(&self) -> u64 {
        self.count(|entry| entry.is_stored == Some(true) && entry.received == 0)
    }

    fn unanswered(&self) -> u64 {
        self.count(|entry| entry.is_stored.is_none())
    }

    fn doubled(&self) -> u64 {
        self.entries()
            .map(|entry| u64::from(entry.received.saturating_sub(1)))
            .sum()
    }

    /// Whether everything is answered and what was confirmed has arrived.
    pub(super) fn is_settled(&self) -> bool {
        self.lost() + self.unanswered() == 0
    }

    /// What must not be: lost, unanswered, doubled, out of order, numbers left out.
    pub(super) fn faults(&self) -> u64 {
        self.lost() + self.unanswered() + self.doubled() + self.out_of_order + self.holes.unsigned_abs()
    }

    /// `lost` (confirmed and never received), `unanswered`, `doubled`, `out_of_order`, `holes` (in a chat's `seq`), `refused`.
    pub(super) fn read(&self, figures: &mut Figures) {
        figures.count("lost", self.lost());
        figures.count("unanswered", self.unanswered());
        figures.count("doubled", self.doubled());
        figures.count("out_of_order", self.out_of_order);
        figures.count("holes", self.holes.unsigned_abs());
        figures.count(
            "refused",
            self.answers.iter().map(|answers| answers.refused).sum(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two senders in one chat; messages (0, 0), (1, 0), (0, 1) are stored as 5, 6, 7.
    fn three_stored() -> Ledger {
        let mut ledger = Ledger::new(2);
        let now = Instant::now();
        for (sender, seq) in [(0, 5), (1, 6), (0, 7)] {
            ledger.sent(sender, now);
            ledger.answered(sender, Some(seq)).unwrap();
        }
        ledger
    }

    fn receive(ledger: &mut Ledger, messages: &[(usize, usize, u64)]) {
        let mut order = Order::default();
        for (sender, number, seq) in messages {
            ledger.received(*sender, *number, *seq, &mut order).unwrap();
        }
    }

    #[test]
    fn nothing_is_wrong_where_all_came_once_and_in_order() {
        let mut ledger = three_stored();
        assert!(!ledger.is_settled());
        receive(&mut ledger, &[(0, 0, 5), (1, 0, 6), (0, 1, 7)]);
        assert!(ledger.is_settled());
        assert_eq!((ledger.stored(), ledger.faults()), (3, 0));
    }

    #[test]
    fn a_message_that_never_came_is_lost_also_beside_a_doubled_one() {
        let mut ledger = three_stored();
        receive(&mut ledger, &[(0, 0, 5), (0, 0, 5), (0, 1, 7)]);
        assert_eq!((ledger.lost(), ledger.doubled(), ledger.holes), (1, 1, 1));
    }

    #[test]
    fn a_message_that_came_late_is_out_of_order_and_not_lost() {
        let mut ledger = three_stored();
        receive(&mut ledger, &[(0, 0, 5), (0, 1, 7), (1, 0, 6)]);
        assert_eq!((ledger.lost(), ledger.out_of_order, ledger.holes), (0, 1, 0));
    }

    #[test]
    fn a_number_that_was_left_out_is_a_hole() {
        let mut ledger = three_stored();
        receive(&mut ledger, &[(0, 0, 5), (1, 0, 6), (0, 1, 8)]);
        assert_eq!((ledger.lost(), ledger.holes), (0, 1));
    }

    #[test]
    fn a_refused_message_is_neither_stored_nor_lost() {
        let mut ledger = three_stored();
        receive(&mut ledger, &[(0, 0, 5), (1, 0, 6), (0, 1, 7)]);
        ledger.sent(0, Instant::now());
        assert!(!ledger.is_settled());
        ledger.answered(0, None).unwrap();
        assert_eq!((ledger.stored(), ledger.refused_of(0)), (3, 1));
        assert!(ledger.is_settled() && ledger.faults() == 0);
    }

    #[test]
    fn confirmations_whose_seq_does_not_grow_are_out_of_order() {
        let mut ledger = three_stored();
        ledger.sent(0, Instant::now());
        ledger.answered(0, Some(7)).unwrap();
        assert_eq!(ledger.out_of_order, 1);
    }

    #[test]
    fn what_nobody_sent_is_an_error() {
        let mut order = Order::default();
        assert!(three_stored().received(0, 9, 1, &mut order).is_err());
        assert!(three_stored().answered(0, Some(8)).is_err());
    }
}
