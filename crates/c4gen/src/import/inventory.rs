//! The ingestion inventory: units of every loader, one source each, all into the raw lake. What a unit
//! of ours must hold is checked by the reader of `ol-ingest` itself.

use std::collections::BTreeSet;
use std::path::PathBuf;

use c4model::{Kind, Shape};

use super::document::yaml;
use super::{Direction, Flow, Found, Origin, element, shape_of};
use crate::error::Error;

const WHAT: &str = "unit files of the inventory (units/*.yml)";
const LAKE: &str = "inventory:raw_lake";

pub(super) fn read(texts: &[(String, String)], found: &mut Found) -> Result<(), Error> {
    for (path, text) in texts {
        if let Err(error) = ol_ingest::inventory::load_text(path, text)
            && let Some(first) = error.problems.first()
        {
            let line = first.line.map(|line| format!("line {line} ")).unwrap_or_default();
            return Err(Error::Import {
                path: PathBuf::from(path),
                at: format!("{line}{}", first.yaml_path).trim_end().to_owned(),
                problem: first.message.clone(),
                cure: "`ol-ingest plan` says everything that is wrong with a unit".to_owned(),
            });
        }
        for document in yaml(path, text, WHAT)? {
            let unit = document.root();
            let cure = "a unit names its deployment, its layer, its loader and its tables";
            let deployment = unit.need_text("deployment", cure)?;
            let layer = unit.need_text("layer", cure)?;
            let loader = unit.need_text("loader", cure)?;
            let name = format!("{deployment}/{layer}");
            let mut parts = BTreeSet::new();
            for table in unit.need("tables", cure)?.as_items()? {
                let raw = table.need_text("raw_table", cure)?;
                let mode = table.text("sync_mode")?.unwrap_or("mode not told");
                let (table_name, namespace) = (table.text("name")?, table.text("namespace")?);
                let namespace = namespace.map(|text| format!("{text}.")).unwrap_or_default();
                parts.insert(format!("{namespace}{} as {raw} ({mode})", table_name.unwrap_or(raw)));
            }
            if parts.is_empty() {
                found.leave_out(&unit, &name, "the unit lists no table");
                continue;
            }
            let kind = match unit.get("ol_ingest") {
                None => "",
                Some(block) => block.text("source_kind")?.unwrap_or_default(),
            };
            let shape = shape_of(&format!("{layer} {kind}"));
            let (from, through) =
                (format!("inventory:unit/{name}"), format!("inventory:loader/{loader}"));
            found.element(element(from.clone(), &name, shape, kind, &unit));
            found.element(element(LAKE.to_owned(), "Raw lake", Shape::Bucket, "Iceberg", &unit));
            found.element(element(through.clone(), loader, Shape::Service, loader, &unit));
            found.flow(Flow {
                from,
                to: LAKE.to_owned(),
                through: Some(through),
                direction: Direction::Data,
                moves: "Table rows".to_owned(),
                tech: loader.to_owned(),
                kind: Kind::Scheduled,
                cadence: String::new(),
                parts,
                origin: Origin::Inventory,
                evidence: vec![unit.place()],
            });
        }
    }
    Ok(())
}
