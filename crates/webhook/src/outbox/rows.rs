//! Statements for many rows at a time: a statement costs more on its way to the database, a thread away at the nearest,
//! than in it.

use std::fmt::Write as _;

use super::database::{Outbox, Pool};

/// Rows that one statement takes; Postgres and SQLite take some ten thousand parameters.
pub(super) const ROWS_A_STATEMENT: usize = 256;

impl Outbox {
    /// A statement with `$1`, if it has one before them, for all rows and `(…)` in place of `{rows}`, for so many rows of
    /// so many parameters. Both databases call the columns of a list of rows column1, column2, and so on. SQLite takes
    /// numbered parameters for names, among which it looks for each from the first on; so there they have none.
    pub(super) fn for_rows(&self, statement: &str, rows: usize, columns: usize) -> String {
        let first = if statement.contains("$1") { 2 } else { 1 };
        let is_numbered = matches!(self.pool, Pool::Postgres(_));
        let mut list = String::new();
        for row in 0..rows {
            for column in 0..columns {
                list.push_str(match (row, column) {
                    (0, 0) => "(",
                    (_, 0) => "), (",
                    _other => ", ",
                });
                if is_numbered {
                    write!(list, "${}", first + row * columns + column)
                        .expect("a String takes all that is written to it");
                } else {
                    list.push('?');
                }
            }
        }
        list.push(')');
        let statement =
            if is_numbered { statement.to_owned() } else { statement.replace("$1", "?") };
        statement.replace("{rows}", &list)
    }
}
