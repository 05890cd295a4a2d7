//! A draft of a unit from a live database: what there is, and why something is left out.

use super::catalog::{Catalog, Relation, RelationKind};
use crate::inventory::{DraftTable, DraftUnit, LeftOut, SourceKind};

/// Drafts the unit of a database.
///
/// Each table is in it, and nothing is left out in silence: views and the like are named with the reason, as are
/// partitions, whose rows come with their parent. `namespace` limits the draft to one schema; `excluded` names
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
        source_kind: SourceKind::Postgres,
        tables: Vec::new(),
        left_out: Vec::new(),
    };
    let chosen = |relation: &&Relation| namespace.is_none_or(|name| name == relation.namespace);
    for relation in catalog.relations.iter().filter(chosen) {
        match left_out(relation) {
            Some(reason) => unit.left_out.push(LeftOut { relation: relation.display(), reason }),
            None => unit.tables.push(table(catalog, relation, (deployment, layer), excluded)),
        }
    }
    unit
}

/// Why a relation is not a table to load; `None` for one that is.
fn left_out(relation: &Relation) -> Option<String> {
    if let Some(parent) = &relation.partition_of {
        return Some(format!("a partition of {parent}, which is read with all its partitions"));
    }
    refusal(relation.kind).map(str::to_owned)
}

/// Why relations of a kind are refused; `None` for those that are loaded.
#[must_use]
pub fn refusal(kind: RelationKind) -> Option<&'static str> {
    match kind {
        RelationKind::Table | RelationKind::PartitionedTable => None,
        RelationKind::View => Some(
            "a view: it holds no rows of its own, and its query would run on the source; load its tables",
        ),
        RelationKind::MaterializedView => Some(
            "a materialized view: it shows the past of its tables, and refreshing it rewrites it; load its tables",
        ),
        RelationKind::ForeignTable => {
            Some("a foreign table: its rows live on another server; load it from there")
        }
    }
}

fn table(
    catalog: &Catalog,
    relation: &Relation,
    unit: (&str, &str),
    excluded: &[String],
) -> DraftTable {
    let columns = relation.columns.iter().map(|column| column.name.as_str());
    let name = (relation.namespace.as_str(), relation.name.as_str());
    DraftTable {
        row_estimate: row_estimate(catalog, relation),
        comment: comment(catalog, relation),
        ..DraftTable::new(unit, name, columns, &relation.primary_key, excluded)
    }
}

/// The planner's estimate; of a partitioned table, the sum over its leaves where it has none of its own.
fn row_estimate(catalog: &Catalog, relation: &Relation) -> Option<u64> {
    let own = relation.row_estimate.or_else(|| {
        let name = relation.display();
        let parts: Vec<f64> = catalog
            .relations
            .iter()
            .filter(|part| part.partition_of.as_deref() == Some(&name))
            .filter_map(|part| part.row_estimate)
            .collect();
        (!parts.is_empty()).then(|| parts.iter().sum())
    })?;
    // An estimate; rounding it down is what an estimate is for.
    format!("{own:.0}").parse().ok()
}

/// What a reader of the draft should know about a table: identity and generated columns, children, no key.
fn comment(catalog: &Catalog, relation: &Relation) -> Option<String> {
    let mut notes = Vec::new();
    let named = |wanted: fn(&super::catalog::Column) -> bool| {
        let names: Vec<&str> = relation
            .columns
            .iter()
            .filter(|column| wanted(column))
            .map(|column| column.name.as_str())
            .collect();
        names.join(", ")
    };
    let identity = named(|column| column.identity);
    if !identity.is_empty() {
        notes.push(format!("identity: {identity}"));
    }
    let generated = named(|column| column.generated);
    if !generated.is_empty() {
        notes.push(format!("generated: {generated}"));
    }
    if relation.kind == RelationKind::PartitionedTable {
        let name = relation.display();
        let parts = catalog
            .relations
            .iter()
            .filter(|part| part.partition_of.as_deref() == Some(&name))
            .count();
        notes.push(format!("partitioned, {parts} partitions"));
    } else if relation.has_children {
        notes.push("read with the rows of the tables that inherit from it".to_owned());
    }
    if relation.primary_key.is_empty() {
        notes.push("no primary key".to_owned());
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}
