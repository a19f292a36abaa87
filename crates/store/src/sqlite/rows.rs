//! Between the domain's types and what SQLite keeps.

use bytestring::ByteString;
use carillon_protocol::{
    chat::Pair,
    id::{ObjectId, UserId},
    time::Timestamp,
};
use rusqlite::{Connection, Params, Row};

use super::error::corrupt;
use crate::Result;

/// A number as SQLite keeps it: what is too large for that is larger than anything stored.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that is never negative.
pub(super) fn unsigned(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| corrupt("a count is negative"))
}

/// A text.
pub(super) fn text(row: &Row<'_>, column: &str) -> Result<ByteString> {
    Ok(row.get::<_, String>(column)?.into())
}

/// A text or NULL.
pub(super) fn optional_text(row: &Row<'_>, column: &str) -> Result<Option<ByteString>> {
    Ok(row.get::<_, Option<String>>(column)?.map(ByteString::from))
}

/// A user's id.
pub(super) fn user(row: &Row<'_>, column: &str) -> Result<UserId> {
    UserId::parse(row.get::<_, String>(column)?).map_err(corrupt)
}

/// A message's or notification's id.
pub(super) fn object_id(row: &Row<'_>, column: &str) -> Result<ObjectId> {
    Ok(ObjectId::from_bytes(row.get(column)?))
}

/// A time.
pub(super) fn time(row: &Row<'_>, column: &str) -> Result<Timestamp> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

/// A time or NULL.
pub(super) fn optional_time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// The chat of a row with `first_user` and `second_user`.
pub(super) fn pair(row: &Row<'_>) -> Result<Pair> {
    Ok(Pair::new(user(row, "first_user")?, user(row, "second_user")?))
}

/// A participant's place in a chat, and as a sender the number that messages keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    First,
    Second,
}

impl Side {
    /// The side of `user`; in a chat with oneself the first.
    pub(super) fn of(user: &UserId, chat: &Pair) -> Option<Self> {
        if chat.first() == user {
            Some(Self::First)
        } else if chat.second() == user {
            Some(Self::Second)
        } else {
            None
        }
    }

    /// The side a message's `sender` stands for.
    pub(super) fn from_column(sender: i64) -> Result<Self> {
        match sender {
            0 => Ok(Self::First),
            1 => Ok(Self::Second),
            _ => Err(corrupt("a message's sender is none of two")),
        }
    }

    /// What a message's `sender` keeps.
    pub(super) const fn column(self) -> i64 {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    /// The other one.
    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// Who it is.
    pub(super) const fn user(self, chat: &Pair) -> &UserId {
        match self {
            Self::First => chat.first(),
            Self::Second => chat.second(),
        }
    }
}

/// The rows of a query, each as `read` has it.
pub(super) fn all<Item>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<Item>,
) -> Result<Vec<Item>> {
    connection
        .prepare_cached(sql)?
        .query_and_then(params, read)?
        .collect()
}

/// The first row of a query, if there is one.
pub(super) fn one<Item>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<Item>,
) -> Result<Option<Item>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// Runs a change and answers how many rows it touched.
pub(super) fn execute(connection: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}
