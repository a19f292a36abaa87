//! Sids that their nodes no longer know. A sid is made once, so that what is gone never comes back: nobody is asked about
//! it again, however often a client that does not notice asks here.

use std::collections::HashSet;

use bytestring::ByteString;
use parking_lot::Mutex;

/// Most sids in one generation; there are two.
const GENERATION: usize = 4_096;

/// Sids that were asked about in vain, the latest ones.
#[derive(Default)]
pub(super) struct StaleSids(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    latest: HashSet<ByteString>,
    earlier: HashSet<ByteString>,
}

impl StaleSids {
    pub(super) fn has(&self, sid: &str) -> bool {
        let generations = self.0.lock();
        generations.latest.contains(sid) || generations.earlier.contains(sid)
    }

    pub(super) fn add(&self, sid: ByteString) {
        let mut generations = self.0.lock();
        if generations.latest.len() >= GENERATION {
            generations.earlier = std::mem::take(&mut generations.latest);
        }
        generations.latest.insert(sid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_latest_and_no_more_than_its_bound() {
        let stale = StaleSids::default();
        for number in 0..GENERATION * 5 {
            stale.add(number.to_string().into());
        }
        let newest = (GENERATION * 5 - 1).to_string();
        assert!(stale.has(&newest) && !stale.has("0"));
        let generations = stale.0.lock();
        assert!(generations.latest.len() + generations.earlier.len() <= 2 * GENERATION);
    }
}
