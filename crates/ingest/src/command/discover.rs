//! `ol-ingest discover`.

use ol_chassis::Exit;

use crate::cli::Discover;
use crate::error::{Definite, Error};
use crate::inventory::{DraftUnit, render_unit};
use crate::source::postgres::discover::draft;
use crate::source::postgres::session::Session;
use crate::source::postgres::settings::SourceAddress;

/// Drafts a unit; as YAML, or with `json` as one document with the same facts.
pub(super) async fn execute(arguments: &Discover, json: bool) -> Result<Exit, Error> {
    let address =
        SourceAddress { deployment: arguments.deployment.clone(), layer: arguments.layer.clone() };
    let catalog = Session::open(&address).await?.catalog;
    if let Some(namespace) = &arguments.namespace
        && !catalog.relations.iter().any(|relation| relation.namespace == *namespace)
    {
        return Err(Error::new(Definite::RelationMissing).with("table", format!("{namespace}.*")));
    }
    let unit = draft(
        &catalog,
        &arguments.deployment,
        &arguments.layer,
        arguments.namespace.as_deref(),
        &arguments.excluded,
    );
    ol_chassis::cli::print(&if json { document(&unit) } else { render_unit(&unit) });
    Ok(Exit::Done)
}

fn document(unit: &DraftUnit) -> String {
    let tables: Vec<_> = unit
        .tables
        .iter()
        .map(|table| {
            serde_json::json!({
                "name": table.name,
                "namespace": table.namespace,
                "raw_table": table.raw_table,
                "primary_key": table.primary_key,
                "excluded_columns": table.excluded_columns,
                "row_estimate": table.row_estimate,
                "comment": table.comment,
            })
        })
        .collect();
    let left_out: Vec<_> = unit
        .left_out
        .iter()
        .map(|left| serde_json::json!({"relation": left.relation, "reason": left.reason}))
        .collect();
    serde_json::json!({
        "deployment": unit.deployment,
        "layer": unit.layer,
        "source_kind": unit.source_kind,
        "tables": tables,
        "left_out": left_out,
        "unit_yaml": render_unit(unit),
    })
    .to_string()
}
