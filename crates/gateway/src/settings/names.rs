//! Names that are near to each other: what was probably meant by one that nothing is called.

use super::{
    layers::{CONFIG_VARIABLE, PREFIX},
    table,
};

/// Shorter names of other programs are near to each other by chance.
const SHORTEST_LOOKALIKE: usize = 8;

/// The variable nearest to an unknown one. The prefix, which is the same everywhere, does not count, and so
/// `CARILLON_JWT_SECRET` finds `JWT_SECRET`.
pub(super) fn nearest_variable(name: &str) -> Option<String> {
    let stem = |name| str::strip_prefix(name, PREFIX).unwrap_or(name);
    let known = || table::all().map(|setting| setting.env).chain([CONFIG_VARIABLE]);
    let hint = nearest(stem(name), known().map(stem))?;
    known().find(|known| stem(known) == hint).map(str::to_owned)
}

/// The variable that one which belongs to nobody we know may be a slip of: `MONGODB_URL`, `JWT_SECRT`, `CARILON_LIMITS`.
/// It may as well be another program's, so it is no fault.
pub(super) fn lookalike(name: &str) -> Option<&'static str> {
    let known = table::all().map(|setting| setting.env);
    let known = known.filter(|known| known.len() >= SHORTEST_LOOKALIKE);
    let (edits, nearest) = known.map(|known| (edits(name, known), known)).min()?;
    (1..=2).contains(&edits).then_some(nearest)
}

/// The known name that takes the fewest edits to reach, if they are few.
pub(super) fn nearest<N: AsRef<str> + Ord>(name: &str, known: impl Iterator<Item = N>) -> Option<N> {
    let (edits, nearest) = known.map(|other| (edits(name, other.as_ref()), other)).min()?;
    (edits <= 2 + name.len() / 10 && edits < name.len()).then_some(nearest)
}

/// Levenshtein's distance, in bytes.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, left) in from.bytes().enumerate() {
        let mut cell = done + 1;
        let mut next = vec![cell];
        for ((right, diagonal), above) in to.bytes().zip(&row).zip(row.iter().skip(1)) {
            cell = (cell + 1)
                .min(above + 1)
                .min(diagonal + usize::from(left != right));
            next.push(cell);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("same", "same"), 0);
    }

    #[test]
    fn slips_without_the_prefix_are_seen_and_other_programs_are_not() {
        for (slip, meant) in [
            ("MONGODB_URL", "MONGODB_URI"),
            ("MONGO_URI", "MONGODB_URI"),
            ("REDIS_URI", "REDIS_URL"),
            ("JWT_SECRT", "JWT_SECRET"),
            ("FRONTEND_URLS", "FRONTEND_URL"),
            ("CARILON_LIMITS", "CARILLON_LIMITS"),
        ] {
            assert_eq!(lookalike(slip), Some(meant), "{slip}");
        }
        for foreign in [
            "PATH",
            "HOME",
            "PORTS",
            "SORT",
            "REDIS_HOST",
            "MONGODB_URI",
            "NODE_OPTIONS",
            "",
        ] {
            assert_eq!(lookalike(foreign), None, "{foreign}");
        }
    }
}
