//! The writer's own account of what it committed, in a file: one JSON document a line.
//!
//! `{"shape", "table", "columns", "key", "old_values"}` describes what later lines mean by a shape's number;
//! `{"tx", "before", "after", "changes"}` is one committed transaction, whose commit lies between two places in the log,
//! with its changes in order: `[shape, letter, key, digest]` and for `m`, a changed key, the new key and digest behind.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::schema::Table;
use super::script::Shape;

/// The journal of one writer.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Journal {
    pub(super) fn create(path: &Path) -> Self {
        let file = File::create(path).expect("a journal can be made");
        Self { path: path.to_owned(), file: BufWriter::new(file) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Says what a shape's number means from here on.
    pub(super) fn shape(&mut self, table: &Table, shape: &Shape) {
        self.line(&json!({
            "shape": shape.number, "table": table.name, "columns": shape.columns, "key": table.key,
            "old_values": table.old_values,
        }));
    }

    /// Notes one committed transaction by the rows that its script told; returns the count of changes.
    ///
    /// `after` is given where the session broke before it could tell it.
    pub(super) fn committed(
        &mut self,
        transaction: u64,
        rows: &[String],
        after: Option<&str>,
    ) -> usize {
        let (mut before, mut told_after, mut changes) = (None, None, Vec::new());
        for row in rows {
            let fields: Vec<&str> = row.split('\t').collect();
            match fields.as_slice() {
                ["before", lsn] => before = Some(sortable(lsn)),
                ["after", lsn] => told_after = Some(sortable(lsn)),
                [shape, rest @ ..] => {
                    let shape: usize = shape.parse().unwrap_or_else(|_| {
                        panic!("the ledger's script told what it should not: {row}")
                    });
                    let mut change = vec![json!(shape)];
                    change.extend(rest.iter().map(|field| json!(field)));
                    changes.push(Value::Array(change));
                }
                [] => {}
            }
        }
        let count = changes.len();
        let after = told_after.or_else(|| after.map(sortable));
        self.line(
            &json!({"tx": transaction, "before": before, "after": after, "changes": changes}),
        );
        count
    }

    fn line(&mut self, document: &Value) {
        writeln!(self.file, "{document}")
            .and_then(|()| self.file.flush())
            .expect("the journal can be written");
    }
}

/// A place in the log in our own form, sixteen digits, of the server's `X/Y`.
fn sortable(lsn: &str) -> String {
    let (high, low) = lsn.split_once('/').expect("the server writes a place as X/Y");
    let number = |text| u64::from_str_radix(text, 16).expect("the server writes hexadecimal");
    format!("{:016X}", number(high) << 32 | number(low))
}
