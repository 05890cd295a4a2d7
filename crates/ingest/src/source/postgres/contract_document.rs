//! The type contract of every Postgres type, as a document: `ol-ingest plan --contract postgres`.
//!
//! It is made by the very function that plans a table, so it cannot differ from what a run does. The repository
//! keeps it as `tests/contracts/postgres.md`, and a test fails when they differ: a changed decision is a reviewed
//! line.

use super::catalog::{Column, Output, TypeKind, TypeRow, Types};
use super::types::{BUILT_IN, Reading};

/// One row of the document: what the type is called, and the type itself.
struct Example {
    shown: &'static str,
    name: &'static str,
    modifier: i32,
    dimensions: i16,
}

/// The modifier of `numeric(precision, scale)` (PostgreSQL source, `make_numeric_typmod`).
const fn numeric_modifier(precision: i32, scale: i32) -> i32 {
    ((precision << 16) | (scale & 0x7ff)) + 4
}

const fn example(shown: &'static str, name: &'static str) -> Example {
    Example { shown, name, modifier: -1, dimensions: 0 }
}

/// Types that one name of the catalog does not say.
const FURTHER: &[Example] = &[
    Example { modifier: numeric_modifier(12, 2), ..example("numeric(12,2)", "numeric") },
    Example { modifier: numeric_modifier(38, 38), ..example("numeric(38,38)", "numeric") },
    Example { modifier: numeric_modifier(39, 2), ..example("numeric(39,2)", "numeric") },
    Example { modifier: numeric_modifier(3, -2), ..example("numeric(3,-2)", "numeric") },
    Example { modifier: numeric_modifier(3, 5), ..example("numeric(3,5)", "numeric") },
    example("an enumeration", "enumeration"),
    example("a domain over int4", "domain"),
    example("a composite type", "composite"),
    example("a range", "range"),
    example("a multirange", "multirange"),
    example("a base type of an extension (hstore, citext, ltree, geometry …)", "extension"),
    Example { dimensions: 1, ..example("int4[]", "int4 array") },
    Example { dimensions: 1, ..example("timestamptz[]", "timestamptz array") },
    Example {
        dimensions: 1,
        modifier: numeric_modifier(5, 2),
        ..example("numeric(5,2)[]", "numeric array")
    },
    Example { dimensions: 1, ..example("numeric[]", "numeric array") },
    Example { dimensions: 1, ..example("inet[]", "inet array") },
    Example { dimensions: 1, ..example("an array of an enumeration", "enumeration array") },
    Example { dimensions: 1, ..example("an array of a composite type", "composite array") },
    Example { dimensions: 2, ..example("int4[][]", "int4 array") },
];

/// The document, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let types = types();
    let mut text = String::from(
        "# The type contract: PostgreSQL\n\n\
         Printed by `ol-ingest plan --contract postgres`; a test keeps it equal to the code.\n\n\
         - **exact**: every value as it is. **widened**: every value as it is, in a wider type. **text**: the exact text \
         that the server's output function prints (UTC, ISO dates, `postgres` intervals, shortest floats).\n\
         - **sidecar**: values that fit are exact; one that does not is NULL in its column, and its exact text stands in \
         `_ol_odd` under the column's name.\n\
         - **refused**: a table with such a column is refused by name; exclude the column to load the rest.\n\n\
         | PostgreSQL | Iceberg | fidelity | note |\n|---|---|---|---|\n",
    );
    for name in BUILT_IN {
        // Quoted, since without quotes it is another type: character(1).
        let shown = if *name == "char" { "\"char\"" } else { name };
        row(&mut text, &types, &Example { shown, name, modifier: -1, dimensions: 0 });
    }
    for further in FURTHER {
        row(&mut text, &types, further);
    }
    text
}

fn row(text: &mut String, types: &Types, example: &Example) {
    let column = Column {
        name: "column".to_owned(),
        number: 1,
        has_missing_value: false,
        type_oid: types.oid(example.name).unwrap_or_default(),
        modifier: example.modifier,
        dimensions: example.dimensions,
        type_text: example.shown.to_owned(),
        not_null: false,
        identity: false,
        has_default: false,
        generated: false,
        comment: None,
    };
    let shown = example.shown;
    text.push_str(&match Reading::decide(&column, types, None) {
        Ok(reading) => {
            let contract = reading.contract;
            format!(
                "| {shown} | {} | {} | {} |\n",
                contract.lake,
                contract.fidelity.word(),
                contract.note
            )
        }
        Err(refusal) => format!("| {shown} | – | refused | {} |\n", refusal.reason),
    });
}

/// A catalog with every built-in type, and one of each kind that users make.
pub(super) fn types() -> Types {
    let base = |namespace: &str, name: &str| TypeRow {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        kind: TypeKind::Base,
        element: 0,
        base: 0,
        modifier: -1,
        dimensions: 0,
        is_array: false,
        delimiter: b',',
        json_cast: false,
        output: Output { function: format!("{namespace}.{name}_out"), cast: String::new() },
    };
    let mut rows: Vec<TypeRow> = BUILT_IN.iter().map(|name| base("pg_catalog", name)).collect();
    for (name, kind) in [
        ("enumeration", TypeKind::Enumeration),
        ("composite", TypeKind::Composite),
        ("range", TypeKind::Range),
        ("multirange", TypeKind::Multirange),
        ("extension", TypeKind::Base),
    ] {
        rows.push(TypeRow { kind, ..base("public", name) });
    }
    let oid = |rows: &[TypeRow], name: &str| {
        let place = rows.iter().position(|row| row.name == name);
        place.and_then(|place| u32::try_from(place + 1).ok()).unwrap_or_default()
    };
    let integer = oid(&rows, "int4");
    rows.push(TypeRow { kind: TypeKind::Domain, base: integer, ..base("public", "domain") });
    for name in ["int4", "timestamptz", "numeric", "inet", "enumeration", "composite"] {
        let element = oid(&rows, name);
        rows.push(TypeRow {
            element,
            is_array: true,
            ..base("pg_catalog", &format!("{name} array"))
        });
    }
    Types::numbered(rows)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    #[test]
    fn the_golden_file_is_what_the_code_does() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/contracts/postgres.md");
        let golden = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            golden,
            super::markdown(),
            "the contract has changed; if that is meant: ol-ingest plan --contract postgres > tests/contracts/postgres.md"
        );
    }
}
