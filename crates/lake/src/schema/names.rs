//! Which column names a reader of the lake cannot take.

use std::collections::BTreeMap;

/// Names Iceberg gives to its own metadata columns. A table column of such a name is shadowed by the metadata column
/// or refused, depending on the reader.
const METADATA_COLUMNS: [&str; 11] = [
    "_file",
    "_pos",
    "_deleted",
    "_spec_id",
    "_partition",
    "_row_id",
    "_last_updated_sequence_number",
    "_change_type",
    "_change_ordinal",
    "_commit_snapshot_id",
    "",
];

/// Why a reader cannot take a column of this name, or `None` when all can.
pub fn unreadable_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("an empty name cannot be selected by any reader");
    }
    if name.contains('\0') {
        return Some("a name with a zero character cannot be stored");
    }
    if METADATA_COLUMNS.contains(&name) {
        return Some("the name belongs to a metadata column of Iceberg");
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
        for name in
            ["id", "select", "a.b", "\"q\"", "ünï", "🦆", " lead", "a/b", "pos", "file_path"]
        {
            assert_eq!(unreadable_name(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_differ_in_case_collide() {
        let groups = colliding_names(["Id", "name", "ID", "id", "Name2"]);
        assert_eq!(groups, vec![vec!["Id", "ID", "id"]]);
    }
}
