//! Which column names a reader of the lake cannot take.

use std::collections::BTreeMap;

/// Names Iceberg's Java library gives to its metadata columns. Spark refuses to read a table that has one of them
/// ("Table column names conflict with names reserved for Iceberg metadata columns"); PyIceberg and DuckDB read it.
///
/// `pos`, `file_path` and the `_change_…` columns are reserved by the specification too, but only inside delete files
/// and change views, and every reader takes them.
const METADATA_COLUMNS: [&str; 7] = [
    "_file",
    "_pos",
    "_deleted",
    "_spec_id",
    "_partition",
    "_row_id",
    "_last_updated_sequence_number",
];

/// Names Trino gives to the hidden columns of every Iceberg table, which hide a column of the table.
const TRINO_HIDDEN_COLUMNS: [&str; 3] = ["$path", "$file_modified_time", "$partition"];

/// Why a reader cannot take a column of this name, or `None` when all can.
pub fn unreadable_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("an empty name cannot be selected by any reader");
    }
    if name.contains('\0') {
        return Some("a name with a zero character cannot be stored");
    }
    if METADATA_COLUMNS.contains(&name) {
        return Some(
            "the name belongs to a metadata column of Iceberg, and Spark refuses the table",
        );
    }
    if TRINO_HIDDEN_COLUMNS.contains(&name.to_lowercase().as_str()) {
        return Some("the name belongs to a hidden column of Trino");
    }
    None
}

/// Groups of names that are equal when lower-cased; Trino and DuckDB read columns without regard to case.
///
/// Each group has at least two names, in the order given.
pub fn colliding_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
    let mut groups: BTreeMap<String, Vec<&'a str>> = BTreeMap::new();
    for name in names {
        groups.entry(name.to_lowercase()).or_default().push(name);
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_and_strange_names_are_readable() {
        for name in [
            "id",
            "select",
            "a.b",
            "\"q\"",
            "ünï",
            "🦆",
            " lead",
            "a/b",
            "pos",
            "file_path",
            "_change_type",
        ] {
            assert_eq!(unreadable_name(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_differ_in_case_collide() {
        let groups = colliding_names(["Id", "name", "ID", "id", "Name2"]);
        assert_eq!(groups, vec![vec!["Id", "ID", "id"]]);
    }
}
