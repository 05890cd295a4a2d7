//! A draft of a unit from a live server: what there is, what its fields hold, and why something is left out.

use super::catalog::{Catalog, Collection, CollectionKind};
use super::types::KEY;
use crate::inventory::{DEFAULT_NAMESPACE, DraftTable, DraftUnit, LeftOut, SourceKind};

/// More fields than a person reads.
const MOST_TOLD: usize = 40;

/// Drafts the unit of one database, whose collections were looked at.
///
/// Each collection is in it, and nothing is left out in silence. `excluded` names fields that must not leave the server, in
/// whatever collection they are.
#[must_use]
pub fn draft(catalog: &Catalog, deployment: &str, layer: &str, excluded: &[String]) -> DraftUnit {
    let mut unit = DraftUnit {
        deployment: deployment.to_owned(),
        layer: layer.to_owned(),
        source_kind: SourceKind::Mongodb,
        tables: Vec::new(),
        left_out: Vec::new(),
    };
    for collection in &catalog.collections {
        let reason = refusal(&collection.kind).or_else(|| {
            let (code, _) = collection.refusal.as_ref()?;
            Some(format!("the server refuses to show it (error {code})"))
        });
        if let Some(reason) = reason {
            unit.left_out.push(LeftOut { relation: collection.display(), reason });
            continue;
        }
        let namespace = match collection.database == catalog.database {
            true => DEFAULT_NAMESPACE,
            false => collection.database.as_str(),
        };
        let names =
            excluded.iter().map(String::as_str).filter(|name| collection.field(name).is_some());
        unit.tables.push(DraftTable {
            row_estimate: collection.row_estimate,
            comment: comment(collection),
            ..DraftTable::new(
                (deployment, layer),
                (namespace, &collection.name),
                names,
                &[KEY.to_owned()],
                excluded,
            )
        });
    }
    unit
}

/// Why collections of a kind are refused; `None` for those that are loaded.
#[must_use]
pub fn refusal(kind: &CollectionKind) -> Option<String> {
    match kind {
        CollectionKind::Collection => None,
        CollectionKind::View => Some(
            "a view: it holds no documents of its own, and its query would run on the source; load its collection"
                .to_owned(),
        ),
        CollectionKind::TimeSeries => Some(
            "a time series: its documents have no unique _id, so nothing tells them apart".to_owned(),
        ),
        CollectionKind::Other(word) => {
            Some(format!("the server calls it {word}, which is not known to be a collection"))
        }
    }
}

/// The fields, with their types and how many of the sampled documents have them so.
fn comment(collection: &Collection) -> Option<String> {
    if collection.sampled == 0 {
        return Some("empty".to_owned());
    }
    let field = |field: &super::catalog::Field| {
        let types: Vec<String> =
            field.types.iter().map(|(word, count)| format!("{word} {count}")).collect();
        format!("{:?} ({})", field.name, types.join(", "))
    };
    let mut told: Vec<String> = collection.fields.iter().take(MOST_TOLD).map(field).collect();
    if collection.fields.len() > MOST_TOLD {
        told.push(format!("and {} more", collection.fields.len() - MOST_TOLD));
    }
    Some(format!("fields of {} documents: {}", collection.sampled, told.join("; ")))
}
