//! Locks a SQLite database against all who write, as an administrator's tool may do: for the tests of the whole.
//!
//! `lock_database <file>` takes the lock, prints `locked`, and gives it back once its input ends.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::io::Read as _;

use rusqlite::Connection;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    println!("locked");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    connection.execute_batch("ROLLBACK")?;
    Ok(())
}
