//! How a user stands with this node: a table.

/// How a user stands with this node, and what becomes of that ([`Standing::after`]):
///
/// | standing   | comes    | goes, the last | heard    | not asked |
/// |------------|----------|----------------|----------|-----------|
/// | `Absent`   | `Untold` | `Absent`       | `Absent` | `Absent`  |
/// | `Untold`   | `Untold` | `Fleeting`     | `Told`   | `Untold`  |
/// | `Told`     | `Told`   | `Gone`         | `Told`   | `Told`    |
/// | `Fleeting` | `Untold` | `Fleeting`     | `Absent` | `Absent`  |
/// | `Gone`     | `Told`   | `Gone`         | `Absent` | `Gone`    |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not here, and Redis has heard it if there was anything to hear.
    Absent,
    /// Here; Redis has not heard it.
    Untold,
    /// Here; Redis has heard it, and so does everybody.
    Told,
    /// Came and went; Redis may have heard neither.
    Fleeting,
    /// Was [`Standing::Told`] and went, of which Redis has not heard.
    Gone,
}

/// What happens to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// A connection of the user's is here.
    Comes,
    /// The last one has ended.
    Goes,
    /// Redis has answered to what it was told.
    Heard,
    /// Redis is known to be away, and was told nothing.
    NotAsked,
}

/// Whether Redis still has what it was told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::redis::presence) enum Data {
    Kept,
    Lost,
}

/// What Redis is told of a user by the script `sync` ([`Standing::word`]):
///
/// | standing         | Redis has kept its data | has lost it |
/// |------------------|-------------------------|-------------|
/// | `Untold`         | `Here`                  | `Here`      |
/// | `Told`           | `Here`                  | `Back`      |
/// | `Fleeting`       | `Gone`                  | `Gone`      |
/// | `Gone`, `Absent` | `Gone`                  | `Leaving`   |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::redis::presence) enum Word {
    /// The user is here, and is announced if Redis took the user for gone.
    Here,
    /// The user is here, and was announced: Redis alone has to be told again.
    Back,
    /// The user is not here, and is announced if that was the last node.
    Gone,
    /// The user is not here, but perhaps on a node that has not said so yet: online for now.
    Leaving,
}

impl Standing {
    pub(super) const fn after(self, input: Input) -> Self {
        use Input::{Comes, Goes, Heard, NotAsked};
        match self {
            Self::Absent => match input {
                Comes => Self::Untold,
                Goes | Heard | NotAsked => Self::Absent,
            },
            Self::Untold => match input {
                Comes | NotAsked => Self::Untold,
                Goes => Self::Fleeting,
                Heard => Self::Told,
            },
            Self::Told => match input {
                Comes | Heard | NotAsked => Self::Told,
                Goes => Self::Gone,
            },
            Self::Fleeting => match input {
                Comes => Self::Untold,
                Goes => Self::Fleeting,
                Heard | NotAsked => Self::Absent,
            },
            Self::Gone => match input {
                Comes => Self::Told,
                Goes | NotAsked => Self::Gone,
                Heard => Self::Absent,
            },
        }
    }

    pub(super) const fn word(self, data: Data) -> Word {
        match (self, data) {
            (Self::Untold, _) | (Self::Told, Data::Kept) => Word::Here,
            (Self::Told, Data::Lost) => Word::Back,
            (Self::Fleeting, _) | (Self::Gone | Self::Absent, Data::Kept) => Word::Gone,
            (Self::Gone | Self::Absent, Data::Lost) => Word::Leaving,
        }
    }

    pub(super) const fn is_here(self) -> bool {
        matches!(self, Self::Untold | Self::Told)
    }
}

impl Word {
    /// As the script takes it.
    pub(in crate::redis::presence) const fn as_str(self) -> &'static str {
        match self {
            Self::Here => "+",
            Self::Back => "=",
            Self::Gone => "-",
            Self::Leaving => "~",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Standing::{Absent, Fleeting, Gone, Told, Untold};

    #[test]
    fn the_table_of_inputs() {
        let table = [
            (Absent, [Untold, Absent, Absent, Absent]),
            (Untold, [Untold, Fleeting, Told, Untold]),
            (Told, [Told, Gone, Told, Told]),
            (Fleeting, [Untold, Fleeting, Absent, Absent]),
            (Gone, [Told, Gone, Absent, Gone]),
        ];
        for (standing, expected) in table {
            let inputs = [Input::Comes, Input::Goes, Input::Heard, Input::NotAsked];
            let after = inputs.map(|input| standing.after(input));
            assert_eq!(after, expected, "{standing:?}");
        }
    }

    #[test]
    fn the_table_of_words() {
        for (standing, kept, lost) in [
            (Absent, "-", "~"),
            (Untold, "+", "+"),
            (Told, "+", "="),
            (Fleeting, "-", "-"),
            (Gone, "-", "~"),
        ] {
            let words = [Data::Kept, Data::Lost].map(|data| standing.word(data).as_str());
            assert_eq!(words, [kept, lost], "{standing:?}");
            assert_eq!(standing.is_here(), kept == "+");
        }
    }
}
