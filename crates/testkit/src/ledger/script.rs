//! One transaction as SQL that tells, row by row, what it changed.
//!
//! Every statement that is to be kept returns a line for each row: the number of the shape the row has, what happened,
//! the key, and a digest of the row's values as text. They come from the executor, before anything is decoded from the
//! log of the server, so the journal that is made of them is independent of what change capture reads.

use std::fmt::Write as _;

use super::schema::{self, TABLES};

/// The columns that a table has at some time; its number stands in the journal.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) number: usize,
    pub(super) columns: Vec<&'static str>,
}

/// What a statement does to a row, in the letters of `_ol_op`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Insert,
    Update,
    Delete,
}

/// The SQL of one transaction under its number.
#[derive(Debug)]
pub(super) struct Script<'a> {
    pub(super) transaction: u64,
    pub(super) sql: String,
    shapes: &'a [Shape],
    /// Whether what follows will be rolled back, so that it must not be told.
    silent: bool,
    /// How many of the transaction's own numbers are given.
    given: u64,
}

impl<'a> Script<'a> {
    /// `shapes` are the present ones, in the order of [`TABLES`].
    pub(super) fn new(transaction: u64, shapes: &'a [Shape]) -> Self {
        Self { transaction, sql: "BEGIN;\n".to_owned(), shapes, silent: false, given: 0 }
    }

    /// The first of some numbers that nothing else has: keys of new rows.
    pub(super) fn numbers(&mut self, count: u64) -> u64 {
        let first = self.transaction * 100 + self.given;
        self.given += count;
        assert!(self.given <= 100, "a transaction has a hundred numbers");
        first
    }

    /// Adds a statement that changes no row of the ledger.
    pub(super) fn plain(&mut self, statement: &str) {
        writeln!(self.sql, "{statement};").expect("a string takes text");
    }

    /// Adds statements between a savepoint and its end, which keeps or forgets them.
    pub(super) fn savepoint(&mut self, kept: bool, inside: impl FnOnce(&mut Self)) {
        self.plain("SAVEPOINT part");
        let before = self.silent;
        self.silent = before || !kept;
        inside(self);
        self.silent = before;
        self.plain(if kept { "RELEASE part" } else { "ROLLBACK TO part" });
    }

    /// Nothing from here on is told: the transaction will be rolled back.
    pub(super) fn forget(&mut self) {
        self.silent = true;
    }

    /// Inserts what a query returns, whose columns are named.
    pub(super) fn insert(&mut self, table: &str, columns: &str, query: &str) {
        let head = format!("INSERT INTO ledger.{table} ({columns}) {query}");
        self.returning(&head, table, Kind::Insert);
    }

    /// Updates some rows without a change of their keys.
    pub(super) fn update(&mut self, table: &str, set: &str, rows: &Rows) {
        let head = format!(
            "UPDATE ledger.{table} SET {set}, tx = {} WHERE {}",
            self.transaction,
            rows.condition(table)
        );
        self.returning(&head, table, Kind::Update);
    }

    /// Deletes some rows.
    pub(super) fn delete(&mut self, table: &str, rows: &Rows) {
        let head = format!("DELETE FROM ledger.{table} WHERE {}", rows.condition(table));
        self.returning(&head, table, Kind::Delete);
    }

    /// Updates some rows so that their keys change, which change capture sees as a delete and an insert.
    pub(super) fn rekey(&mut self, table: &str, set: &str, rows: &Rows) {
        let (place, described) = schema::find(table);
        let shape = self.shape(place);
        let on: Vec<String> =
            described.key.iter().map(|key| format!("l.{key} = o.{key}")).collect();
        let mut statement = format!(
            "WITH o AS (SELECT {columns}, {old_key} AS old_key, {old_digest} AS old_digest FROM ledger.{table} WHERE {rows} FOR UPDATE) \
             UPDATE ledger.{table} l SET {set}, tx = {transaction} FROM o WHERE {on}",
            columns = described.key.join(", "),
            old_key = key_of(described.key, ""),
            old_digest = digest_of(&shape.columns, ""),
            rows = rows.condition(table),
            transaction = self.transaction,
            on = on.join(" AND "),
        );
        if !self.silent {
            write!(
                statement,
                " RETURNING {}, 'm', o.old_key, o.old_digest, {}, {}",
                shape.number,
                key_of(described.key, "l."),
                digest_of(&shape.columns, "l.")
            )
            .expect("a string takes text");
        }
        self.plain(&statement);
    }

    /// Empties tables with one statement.
    pub(super) fn truncate(&mut self, tables: &[&str]) {
        self.plain(&format!("TRUNCATE ledger.{}", tables.join(", ledger.")));
        for table in tables {
            let shape = self.shape(schema::find(table).0).number;
            if !self.silent {
                self.plain(&format!("SELECT {shape}, 't', '', ''"));
            }
        }
    }

    /// Ends with a commit, and tells the places in the log between which the commit lies.
    pub(super) fn commit(mut self) -> String {
        self.plain("SELECT 'before', pg_current_wal_insert_lsn()");
        self.plain("COMMIT");
        self.plain("SELECT 'after', pg_current_wal_insert_lsn()");
        self.sql
    }

    /// Ends without a commit.
    pub(super) fn roll_back(mut self) -> String {
        self.plain("ROLLBACK");
        self.sql
    }

    fn returning(&mut self, head: &str, table: &str, kind: Kind) {
        if self.silent {
            self.plain(head);
            return;
        }
        let (place, described) = schema::find(table);
        let shape = self.shape(place);
        let letter = match kind {
            Kind::Insert => 'i',
            Kind::Update => 'u',
            Kind::Delete => 'd',
        };
        let statement = format!(
            "{head} RETURNING {}, '{letter}', {}, {}",
            shape.number,
            key_of(described.key, ""),
            digest_of(&shape.columns, "")
        );
        self.plain(&statement);
    }

    fn shape(&self, place: usize) -> &'a Shape {
        self.shapes.get(place).expect("every table has a shape")
    }
}

/// Which rows a statement touches: picked by the server, by a hash, so that a seed repeats them.
#[derive(Debug)]
pub(super) enum Rows {
    /// Some of all rows, which the seed tells.
    Some { count: u64, seed: u64 },
    /// Those that satisfy a condition.
    Where(String),
}

impl Rows {
    fn condition(&self, table: &str) -> String {
        let key = schema::find(table).1.key;
        match self {
            Self::Some { count, seed } => format!(
                "({names}) IN (SELECT {names} FROM ledger.{table} ORDER BY md5({text} || '{seed}') LIMIT {count})",
                names = key.join(", "),
                text = key_of(key, ""),
            ),
            Self::Where(condition) => condition.clone(),
        }
    }
}

/// The shapes that the tables begin with.
pub(super) fn first_shapes() -> Vec<Shape> {
    TABLES
        .iter()
        .enumerate()
        .map(|(number, table)| Shape { number, columns: table.columns.to_vec() })
        .collect()
}

/// The key's values as one text; the checker joins them in the same way.
fn key_of(key: &[&str], prefix: &str) -> String {
    format!("array_to_string(ARRAY[{}], '|')", texts(key, prefix))
}

/// The digest of a row's values; NULL is a text of its own.
fn digest_of(columns: &[&str], prefix: &str) -> String {
    format!("md5(array_to_string(ARRAY[{}], '|', '~'))", texts(columns, prefix))
}

fn texts(columns: &[&str], prefix: &str) -> String {
    let texts: Vec<String> =
        columns.iter().map(|column| format!("{prefix}{column}::text")).collect();
    texts.join(", ")
}
