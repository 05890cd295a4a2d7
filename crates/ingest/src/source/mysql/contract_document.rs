//! The type contract of every type of MySQL and MariaDB, as a document: `ol-ingest plan --contract mysql`.
//!
//! It is made by the very function that plans a table, so it cannot differ from what a run does. The repository keeps it
//! as `tests/contracts/mysql.md`, and a test fails when they differ: a changed decision is a reviewed line.

use super::catalog::Column;
use super::types::{Reading, TYPES};

/// A column of this type, with what `information_schema` says of one.
fn column(type_text: &str) -> Column {
    let name = type_text.split(['(', ' ']).next().unwrap_or_default();
    let numbers: Vec<u16> = type_text
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(inside, _)| inside.split(',').filter_map(|it| it.trim().parse().ok()).collect())
        .unwrap_or_default();
    let first = numbers.first().copied();
    let is_moment = matches!(name, "datetime" | "timestamp" | "time");
    Column {
        name: "column".to_owned(),
        type_name: name.to_owned(),
        type_text: type_text.to_owned(),
        precision: match name {
            "decimal" => Some(first.unwrap_or(10)),
            "bit" => Some(first.unwrap_or(1)),
            _ => first.filter(|_| !is_moment),
        },
        scale: (name == "decimal")
            .then(|| numbers.get(1).and_then(|scale| i16::try_from(*scale).ok()).unwrap_or(0)),
        fraction: is_moment.then(|| first.and_then(|it| u8::try_from(it).ok()).unwrap_or(0)),
        character_set: None,
        ..Column::default()
    }
}

/// Types that one name does not say.
const FURTHER: &[&str] = &[
    "tinyint(1)",
    "tinyint(3) unsigned",
    "smallint(5) unsigned",
    "mediumint(8) unsigned",
    "int(10) unsigned",
    "int(4) unsigned zerofill",
    "bigint(20) unsigned",
    "decimal(12,2)",
    "decimal(12,2) unsigned",
    "decimal(38,30)",
    "decimal(39,2)",
    "decimal(65,30)",
    "float(7,2)",
    "double(15,3)",
    "bit(8)",
    "bit(64)",
    "datetime(6)",
    "timestamp(6)",
    "time(6)",
];

/// The document, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# The type contract: MySQL and MariaDB\n\n\
         Printed by `ol-ingest plan --contract mysql`; a test keeps it equal to the code.\n\n\
         - **exact**: every value as it is. **widened**: every value as it is, in a wider type. **text**: the exact text \
         that the server prints (in UTC, with an empty `sql_mode`).\n\
         - **sidecar**: values that fit are exact; one that does not is NULL in its column, and its exact text stands in \
         `_ol_odd` under the column's name.\n\
         - **refused**: a table with such a column is refused by name; exclude the column to load the rest.\n\n\
         | MySQL, MariaDB | Iceberg | fidelity | note |\n|---|---|---|---|\n",
    );
    for name in TYPES.iter().chain(FURTHER) {
        row(&mut text, name, &column(name));
    }
    let sjis = Column { character_set: Some("sjis".to_owned()), ..column("varchar(50)") };
    row(&mut text, "varchar(50) character set sjis", &sjis);
    text
}

fn row(text: &mut String, shown: &str, column: &Column) {
    text.push_str(&match Reading::decide(column, None) {
        Ok(reading) => {
            let contract = reading.contract;
            let (fidelity, note) = (contract.fidelity.word(), contract.note);
            format!("| {shown} | {} | {fidelity} | {note} |\n", contract.lake)
        }
        Err(refusal) => format!("| {shown} | – | refused | {} |\n", refusal.reason),
    });
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    #[test]
    fn the_golden_file_is_what_the_code_does() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/contracts/mysql.md");
        let golden = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            golden,
            super::markdown(),
            "the contract has changed; if that is meant: ol-ingest plan --contract mysql > tests/contracts/mysql.md"
        );
    }
}
