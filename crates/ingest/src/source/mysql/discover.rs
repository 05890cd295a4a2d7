//! A draft of a unit from a live server: what there is, and why something is left out.

use super::catalog::{Catalog, Column, Relation, RelationKind};
use crate::inventory::{DEFAULT_NAMESPACE, DraftTable, DraftUnit, LeftOut, SourceKind};

/// Engines whose tables are part of a snapshot.
const TRANSACTIONAL: &[&str] = &["InnoDB", "ROCKSDB", "TokuDB", "ndbcluster"];

/// Drafts the unit of one database: `namespace`, or the one that the source's URL names, whose tables have no namespace.
///
/// Each table is in it, and nothing is left out in silence: views and sequences are named with the reason. `excluded` names
/// columns that must not leave the server, in whatever table they are.
#[must_use]
pub fn draft(
    catalog: &Catalog,
    deployment: &str,
    layer: &str,
    namespace: Option<&str>,
    excluded: &[String],
) -> DraftUnit {
    let mut unit = DraftUnit {
        deployment: deployment.to_owned(),
        layer: layer.to_owned(),
        source_kind: SourceKind::Mysql,
        tables: Vec::new(),
        left_out: Vec::new(),
    };
    let database = namespace.unwrap_or(&catalog.database);
    for relation in catalog.relations.iter().filter(|relation| relation.database == database) {
        match refusal(&relation.kind) {
            Some(reason) => unit.left_out.push(LeftOut { relation: relation.display(), reason }),
            None => {
                let namespace = match relation.database == catalog.database {
                    true => DEFAULT_NAMESPACE,
                    false => relation.database.as_str(),
                };
                unit.tables.push(table(relation, (deployment, layer), namespace, excluded));
            }
        }
    }
    unit
}

/// Why relations of a kind are refused; `None` for those that are loaded.
#[must_use]
pub fn refusal(kind: &RelationKind) -> Option<String> {
    match kind {
        RelationKind::Table => None,
        RelationKind::View => Some(
            "a view: it holds no rows of its own, and its query would run on the source; load its tables".to_owned(),
        ),
        RelationKind::Sequence => Some(
            "a sequence: it holds a counter, and reading it tells nothing that its tables do not".to_owned(),
        ),
        RelationKind::Other(word) => Some(format!("the server calls it {word}, which is not known to be a table")),
    }
}

fn table(
    relation: &Relation,
    unit: (&str, &str),
    namespace: &str,
    excluded: &[String],
) -> DraftTable {
    let columns = relation.columns.iter().map(|column| column.name.as_str());
    let name = (namespace, relation.name.as_str());
    DraftTable {
        row_estimate: relation.row_estimate,
        comment: comment(relation),
        ..DraftTable::new(unit, name, columns, &relation.primary_key, excluded)
    }
}

/// What a reader of the draft should know about a table.
fn comment(relation: &Relation) -> Option<String> {
    let mut notes = Vec::new();
    let mut named = |what: &str, wanted: fn(&Column) -> bool| {
        let names: Vec<&str> = relation
            .columns
            .iter()
            .filter(|column| wanted(column))
            .map(|column| column.name.as_str())
            .collect();
        if !names.is_empty() {
            notes.push(format!("{what}: {}", names.join(", ")));
        }
    };
    named("counted up", |column| column.counted);
    named("generated", |column| column.generated);
    named("invisible", |column| column.invisible);
    if let Some(engine) = &relation.engine
        && !TRANSACTIONAL.iter().any(|known| known.eq_ignore_ascii_case(engine))
    {
        notes
            .push(format!("engine {engine} has no snapshots: it is read as it is when it is read"));
    }
    if relation.primary_key.is_empty() {
        notes.push("no primary key".to_owned());
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}
