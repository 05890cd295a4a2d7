//! The tables of the ledger: one a shape that change capture must get right.

use crate::inventory::Unit;

/// How a table of the ledger is landed by a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// Every table as a change log.
    Log,
    /// Every table that has a key merged, the others as a change log.
    Merged,
    /// Every table that has a key merged, deleted rows marked; the others as a change log.
    SoftDeleted,
    /// Tables with a key merged and soft deleted in turn.
    Mixed,
}

/// A table of the ledger.
#[derive(Debug)]
pub struct Table {
    /// Its name in the schema `ledger`.
    pub name: &'static str,
    /// The columns that tell its rows apart, whether or not the server knows.
    pub key: &'static [&'static str],
    /// The columns it begins with, without generated ones.
    pub columns: &'static [&'static str],
    /// Whether a deleted or updated row comes with all its old values.
    pub old_values: bool,
    /// Whether it can be merged by its key; without, it is landed as a log in every unit.
    pub mergeable: bool,
}

const fn table(
    name: &'static str,
    key: &'static [&'static str],
    columns: &'static [&'static str],
) -> Table {
    Table { name, key, columns, old_values: false, mergeable: true }
}

/// The tables that units follow, in the order of the journal's numbers.
pub const TABLES: &[Table] = &[
    table("accounts", &["id"], &["id", "balance", "tx"]),
    // The log of transfers is a log in every unit: it says where each transaction was committed.
    Table {
        mergeable: false,
        ..table(
            "entries",
            &["tx", "line"],
            &["tx", "line", "source", "target", "amount", "share", "at"],
        )
    },
    Table { old_values: true, mergeable: false, ..table("keyless", &["n"], &["n", "note", "tx"]) },
    table("composite", &["a", "b"], &["a", "b", "v", "tx"]),
    table("moving", &["id"], &["id", "note", "tx"]),
    table("wide", &["id"], &["id", "counter", "body", "tx", "extra"]),
    Table {
        old_values: true,
        ..table("wide_full", &["id"], &["id", "counter", "body", "tx", "extra"])
    },
    table("parted", &["id", "region"], &["id", "region", "v", "tx"]),
    table("generated", &["id"], &["id", "v", "tx"]),
    table("indexed", &["code"], &["code", "v", "tx"]),
    table("insert_only", &["id"], &["id", "note", "tx"]),
    table("buffer", &["id"], &["id", "note", "tx"]),
    table("buffer_too", &["id"], &["id", "note", "tx"]),
    table("shape", &["id"], &["id", "kept", "small", "doomed", "tx"]),
    Table { mergeable: false, ..table("renamed", &["id"], &["id", "first_name", "tx"]) },
    table("bulk", &["id"], &["id", "payload", "tx"]),
    table("idle", &["id"], &["id", "note", "tx"]),
];

/// The table of a name; panics for one that is not in the ledger.
pub fn find(name: &str) -> (usize, &'static Table) {
    TABLES
        .iter()
        .enumerate()
        .find(|(_, table)| table.name == name)
        .unwrap_or_else(|| panic!("the ledger has no table {name}"))
}

/// The money in all accounts together.
pub const TOTAL: u64 = 40 * 1_000_000;

/// Columns that a unit does not ask for: what a table computes is not in its changes (Postgres before 18).
pub const GENERATED: (&str, &str) = ("generated", "doubled");

/// The tables as SQL; what fills them is the first transaction of the journal.
pub(super) const SCHEMA: &str = "
CREATE SCHEMA ledger;
CREATE TABLE ledger.accounts (id int PRIMARY KEY, balance bigint NOT NULL, tx bigint NOT NULL);
CREATE TABLE ledger.entries (tx bigint, line int, source int, target int, amount bigint, share numeric(12,4),
    at timestamptz, PRIMARY KEY (tx, line));
CREATE TABLE ledger.keyless (n bigint NOT NULL, note text, tx bigint NOT NULL);
ALTER TABLE ledger.keyless REPLICA IDENTITY FULL;
CREATE TABLE ledger.composite (a int, b text, v text, tx bigint NOT NULL, PRIMARY KEY (a, b));
CREATE TABLE ledger.moving (id bigint PRIMARY KEY, note text, tx bigint NOT NULL);
CREATE TABLE ledger.wide (id bigint PRIMARY KEY, counter int, body text, tx bigint NOT NULL, extra text);
ALTER TABLE ledger.wide ALTER body SET STORAGE EXTERNAL, ALTER extra SET STORAGE EXTERNAL;
CREATE TABLE ledger.wide_full (LIKE ledger.wide INCLUDING ALL);
ALTER TABLE ledger.wide_full REPLICA IDENTITY FULL;
CREATE TABLE ledger.parted (id bigint, region text, v int, tx bigint NOT NULL, PRIMARY KEY (id, region))
    PARTITION BY LIST (region);
CREATE TABLE ledger.parted_east PARTITION OF ledger.parted FOR VALUES IN ('east');
CREATE TABLE ledger.parted_west PARTITION OF ledger.parted FOR VALUES IN ('west');
CREATE TABLE ledger.parted_rest PARTITION OF ledger.parted DEFAULT;
CREATE TABLE ledger.generated (id bigint PRIMARY KEY, v int, doubled int GENERATED ALWAYS AS (v * 2) STORED,
    tx bigint NOT NULL);
CREATE TABLE ledger.indexed (code text NOT NULL, v int, tx bigint NOT NULL);
CREATE UNIQUE INDEX indexed_code ON ledger.indexed (code);
ALTER TABLE ledger.indexed REPLICA IDENTITY USING INDEX indexed_code;
CREATE TABLE ledger.insert_only (id bigint PRIMARY KEY, note text, tx bigint NOT NULL);
ALTER TABLE ledger.insert_only REPLICA IDENTITY NOTHING;
CREATE TABLE ledger.buffer (id bigint PRIMARY KEY, note text, tx bigint NOT NULL);
CREATE TABLE ledger.buffer_too (id bigint PRIMARY KEY, note text, tx bigint NOT NULL);
CREATE TABLE ledger.shape (id bigint PRIMARY KEY, kept text, small int, doomed text, tx bigint NOT NULL);
CREATE TABLE ledger.renamed (id bigint PRIMARY KEY, first_name text, tx bigint NOT NULL);
CREATE TABLE ledger.bulk (id bigint PRIMARY KEY, payload text, tx bigint NOT NULL);
CREATE TABLE ledger.idle (id bigint PRIMARY KEY, note text, tx bigint NOT NULL);
CREATE TABLE ledger.noise (n bigserial PRIMARY KEY, junk text);
";

/// A change of a table's shape and the columns it has afterwards.
#[derive(Debug)]
pub struct Alteration {
    /// The table.
    pub table: &'static str,
    /// The statement.
    pub statement: &'static str,
    /// The columns afterwards.
    pub columns: &'static [&'static str],
}

/// What is altered between the transactions, in order.
pub const ALTERATIONS: &[Alteration] = &[
    Alteration {
        table: "shape",
        statement: "ALTER TABLE ledger.shape ADD added text",
        columns: &["id", "kept", "small", "doomed", "tx", "added"],
    },
    Alteration {
        table: "renamed",
        statement: "ALTER TABLE ledger.renamed RENAME first_name TO name",
        columns: &["id", "name", "tx"],
    },
    Alteration {
        table: "shape",
        statement: "ALTER TABLE ledger.shape ALTER small TYPE bigint",
        columns: &["id", "kept", "small", "doomed", "tx", "added"],
    },
    Alteration {
        table: "shape",
        statement: "ALTER TABLE ledger.shape DROP doomed",
        columns: &["id", "kept", "small", "tx", "added"],
    },
    Alteration {
        table: "shape",
        statement: "ALTER TABLE ledger.shape ADD amount numeric(10,2)",
        columns: &["id", "kept", "small", "tx", "added", "amount"],
    },
    Alteration {
        table: "shape",
        statement: "ALTER TABLE ledger.shape ALTER amount TYPE numeric(14,2)",
        columns: &["id", "kept", "small", "tx", "added", "amount"],
    },
];

/// A unit over the ledger's tables, with these left out.
pub fn unit(deployment: &str, landing: Landing, without: &[&str]) -> Unit {
    let mut unit = Unit::new(deployment).method("cdc");
    for (place, table) in TABLES.iter().enumerate() {
        if without.contains(&table.name) {
            continue;
        }
        let mode = match landing {
            _ if !table.mergeable => "incremental_append",
            Landing::Log => "incremental_append",
            Landing::Merged => "incremental_update",
            Landing::SoftDeleted => "incremental_soft_delete",
            Landing::Mixed if place % 2 == 0 => "incremental_update",
            Landing::Mixed => "incremental_soft_delete",
        };
        unit = unit.table("ledger", table.name, mode);
        if mode != "incremental_append" {
            unit = unit.with(&format!("primary_key: [{}]", table.key.join(", ")));
        }
        if table.name == GENERATED.0 {
            unit = unit.with(&format!("excluded_columns: [{}]", GENERATED.1));
        }
    }
    unit
}
