//! `ol-ingest discover`.

use ol_chassis::Exit;
use ol_chassis::cli::Context;

use crate::cli::Discover;
use crate::error::{Definite, Error};
use crate::inventory::{DraftUnit, SourceKind, render_unit};
use crate::source::address::SourceAddress;
use crate::source::{mongodb, mysql, postgres};

/// Drafts a unit; as YAML, or with `json` as one document with the same facts.
pub(super) async fn execute(
    arguments: &Discover,
    context: &Context,
    json: bool,
) -> Result<Exit, Error> {
    let address =
        SourceAddress { deployment: arguments.deployment.clone(), layer: arguments.layer.clone() };
    let unit = match address.kind().await? {
        SourceKind::Mysql => of_mysql(&address, arguments, context).await?,
        SourceKind::Mongodb => of_mongodb(&address, arguments, context).await?,
        SourceKind::Postgres | SourceKind::TrackingLogs | SourceKind::EdxorgArchive => {
            of_postgres(&address, arguments).await?
        }
    };
    ol_chassis::cli::print(&if json { document(&unit) } else { render_unit(&unit) });
    Ok(Exit::Done)
}

async fn of_postgres(address: &SourceAddress, asked: &Discover) -> Result<DraftUnit, Error> {
    let catalog = postgres::session::Session::open(address).await?.catalog;
    let has = |name: &str| catalog.relations.iter().any(|relation| relation.namespace == name);
    check_namespace(asked, has)?;
    let (deployment, layer) = (&asked.deployment, &asked.layer);
    let namespace = asked.namespace.as_deref();
    Ok(postgres::discover::draft(&catalog, deployment, layer, namespace, &asked.excluded))
}

async fn of_mysql(
    address: &SourceAddress,
    asked: &Discover,
    context: &Context,
) -> Result<DraftUnit, Error> {
    let databases = asked.namespace.iter().cloned().collect();
    let opening = super::opening(databases, context);
    let catalog = mysql::session::Source::open(address, opening).await?.catalog;
    let has = |name: &str| catalog.relations.iter().any(|relation| relation.database == name);
    check_namespace(asked, has)?;
    let (deployment, layer) = (&asked.deployment, &asked.layer);
    let namespace = asked.namespace.as_deref();
    Ok(mysql::discover::draft(&catalog, deployment, layer, namespace, &asked.excluded))
}

async fn of_mongodb(
    address: &SourceAddress,
    asked: &Discover,
    context: &Context,
) -> Result<DraftUnit, Error> {
    let wanted = mongodb::session::Wanted::Database(asked.namespace.clone());
    let opened = mongodb::session::Source::open(address, wanted, context.shutdown.clone());
    let catalog = opened.await?.catalog;
    let has = |name: &str| catalog.collections.iter().any(|found| found.database == name);
    check_namespace(asked, has)?;
    Ok(mongodb::discover::draft(&catalog, &asked.deployment, &asked.layer, &asked.excluded))
}

/// Demands that the schema or database that was asked for has anything in it.
fn check_namespace(asked: &Discover, has: impl Fn(&str) -> bool) -> Result<(), Error> {
    match &asked.namespace {
        Some(namespace) if !has(namespace) => {
            Err(Error::new(Definite::RelationMissing).with("table", format!("{namespace}.*")))
        }
        Some(_) | None => Ok(()),
    }
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
