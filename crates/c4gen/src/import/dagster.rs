//! Dagster: the answer of its webserver to a GraphQL query for assets. An element is a group of assets of
//! one code location, or a place outside that assets are read from; a flow says which group is made from
//! which. Understood are the roots `assetNodes`, `repositoriesOrError` and `assetsOrError`.
//! Schema: Dagster's own, `python_modules/dagster-graphql`.

use std::collections::{BTreeMap, BTreeSet};

use c4model::{Kind, Shape};

use super::document::{At, json};
use super::{Direction, Flow, Found, Origin, element};
use crate::error::Error;

const WHAT: &str = "the JSON answer to `query { assetNodes { assetKey { path } groupName computeKind isMaterializable dependencyKeys { path } repository { name location { name } } } }`";

struct Asset<'text> {
    at: At<'text>,
    place: String,
}

pub(super) fn read(texts: &[(String, String)], found: &mut Found) -> Result<(), Error> {
    let documents = texts
        .iter()
        .map(|(path, text)| json(path, text, WHAT))
        .collect::<Result<Vec<_>, Error>>()?;
    let mut assets: BTreeMap<String, Asset<'_>> = BTreeMap::new();
    for document in &documents {
        for at in asset_nodes(&document.root(), found)? {
            let key = key(&at.need("assetKey", &format!("give {WHAT}"))?)?;
            let place = place_of(&at, &key, found)?;
            // Of an asset that several locations know, the one that makes it counts.
            let makes = at.flag("isMaterializable", true)?;
            if makes || !assets.contains_key(&key) {
                assets.insert(key, Asset { at, place });
            }
        }
    }
    for (key_text, asset) in &assets {
        let dependencies = asset.at.need("dependencyKeys", &format!("give {WHAT}"))?;
        for dependency in dependencies.as_items()? {
            let upstream = key(&dependency)?;
            let from = match assets.get(&upstream) {
                Some(known) => known.place.clone(),
                None => outside(&upstream, &dependency, found),
            };
            found.flow(Flow {
                from,
                to: asset.place.clone(),
                through: None,
                direction: Direction::Data,
                moves: "Assets".to_owned(),
                tech: asset.at.text("computeKind")?.unwrap_or_default().to_owned(),
                kind: Kind::Scheduled,
                cadence: String::new(),
                parts: BTreeSet::from([format!("{upstream} → {key_text}")]),
                origin: Origin::Dagster,
                evidence: vec![asset.at.place()],
            });
        }
    }
    Ok(())
}

fn asset_nodes<'text>(root: &At<'text>, found: &mut Found) -> Result<Vec<At<'text>>, Error> {
    if let Some(first) = root.items("errors")?.first() {
        let message = first.text("message")?.unwrap_or("without a message");
        return Err(root.fault(
            &format!("Dagster answered with an error: {message}"),
            &format!("give {WHAT}"),
        ));
    }
    let data = root.get("data").unwrap_or_else(|| root.clone());
    if data.get("assetNodes").is_some() {
        return data.items("assetNodes");
    }
    let mut nodes = Vec::new();
    if let Some(repositories) = data.get("repositoriesOrError") {
        for repository in repositories.need("nodes", &format!("give {WHAT}"))?.as_items()? {
            nodes.extend(repository.items("assetNodes")?);
        }
        return Ok(nodes);
    }
    if let Some(assets) = data.get("assetsOrError") {
        for asset in assets.need("nodes", &format!("give {WHAT}"))?.as_items()? {
            match asset.get("definition") {
                Some(definition) => nodes.push(definition),
                None => {
                    let key = asset.get("key").map(|at| key(&at)).transpose()?;
                    let why = "it was materialized once and is defined nowhere now";
                    found.leave_out(&asset, &key.unwrap_or_default(), why);
                }
            }
        }
        return Ok(nodes);
    }
    Err(data.fault("there are no assets", &format!("give {WHAT}")))
}

fn key(at: &At<'_>) -> Result<String, Error> {
    let path = at.need("path", "ask for `path` of every key")?;
    let parts = path.as_items()?.iter().map(At::as_text).collect::<Result<Vec<_>, Error>>()?;
    if parts.is_empty() {
        return Err(path.fault("the key is empty", "export the assets again"));
    }
    Ok(parts.join("/"))
}

fn place_of(at: &At<'_>, key: &str, found: &mut Found) -> Result<String, Error> {
    if !at.flag("isMaterializable", true)? || at.flag("isSource", false)? {
        return Ok(outside(key, at, found));
    }
    let group = at.text("groupName")?.unwrap_or("default");
    let location = match at.get("repository").and_then(|repository| repository.get("location")) {
        None => None,
        Some(location) => location.text("name")?,
    };
    let name = location.map_or_else(|| group.to_owned(), |location| format!("{location}/{group}"));
    let id = format!("dagster:group/{name}");
    found.element(element(id.clone(), &name, Shape::Service, "Dagster assets", at));
    Ok(id)
}

/// Where an asset lies that nothing here makes: all but the last part of its key.
fn outside(key: &str, at: &At<'_>, found: &mut Found) -> String {
    let name = key.rsplit_once('/').map_or(key, |(prefix, _)| prefix);
    let id = format!("dagster:source/{name}");
    found.element(element(id.clone(), name, Shape::Database, "Dagster source assets", at));
    id
}
