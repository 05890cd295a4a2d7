//! The type contract of every type of BSON, as a document: `ol-ingest plan --contract mongodb`.
//!
//! It is made by the very function that plans a table, so it cannot differ from what a run does. The repository keeps it
//! as `tests/contracts/mongodb.md`, and a test fails when they differ: a changed decision is a reviewed line.

use std::collections::BTreeMap;

use super::catalog::Field;
use super::types::{DOCUMENT, KEY, Reading, TYPES};

/// Fields that hold values of several types.
const MIXTURES: &[&[&str]] = &[
    &["null", "string"],
    &["int", "long"],
    &["double", "int"],
    &["double", "int", "long"],
    &["decimal", "int"],
    &["objectId", "string"],
    &["date", "string"],
    &["array", "object"],
];

/// The document, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# The type contract: MongoDB\n\n\
         Printed by `ol-ingest plan --contract mongodb`; a test keeps it equal to the code.\n\n\
         - The types are those that the sampled documents hold in a field when its column is made, null aside. After that the \
         column keeps its type.\n\
         - **sidecar**: values that fit are exact; one that does not is NULL in its column, and its exact text, canonical \
         extended JSON, stands in `_ol_odd` under the column's name.\n\
         - **text**: strings as they are, object ids as 24 digits, numbers as digits, dates of the years 1 to 9999 as ISO \
         8601, everything else as relaxed extended JSON.\n\
         - `_ol_document` has the whole document as canonical extended JSON: every value with its type, and the fields that \
         have no column.\n\n\
         | types of the values | Iceberg | fidelity | note |\n|---|---|---|---|\n",
    );
    for word in TYPES {
        row(&mut text, "field", &[word]);
    }
    for mixture in MIXTURES {
        row(&mut text, "field", mixture);
    }
    row(&mut text, KEY, &["objectId"]);
    let document = Reading::document().contract;
    text.push_str(&format!(
        "| `{DOCUMENT}` | {} | {} | {} |\n",
        document.lake,
        document.fidelity.word(),
        document.note
    ));
    text
}

fn row(text: &mut String, name: &str, words: &[&'static str]) {
    let types: BTreeMap<&'static str, u64> = words.iter().map(|word| (*word, 1)).collect();
    let field = Field { name: name.to_owned(), types };
    let shown = if name == KEY { "`_id`: any".to_owned() } else { words.join(", ") };
    text.push_str(&match Reading::decide(name, Some(&field), None, None) {
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
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/contracts/mongodb.md");
        let golden = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            golden,
            super::markdown(),
            "the contract has changed; if that is meant: ol-ingest plan --contract mongodb > tests/contracts/mongodb.md"
        );
    }
}
