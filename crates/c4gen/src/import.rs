//! Elements and flows read from files that people have already: others' code, which declares nothing
//! here. Each reader says what its files prove and no more; every flow names the file and the place in
//! it, and what is read and tells of no flow is listed with the reason. Files in, one sorted document
//! out: the same files give the same bytes, in whatever order they are named. No server is asked, and
//! no credential, no value of a secret and no user of an address is kept.

mod address;
mod airbyte;
mod compose;
mod dagster;
mod dbt;
mod document;
mod inventory;
mod kubernetes;
pub mod mapping;
mod open_lineage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use c4model::{Kind, Shape};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::workspace;
use document::At;

/// What the files are.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Origin {
    /// Answers of Airbyte's API: connections, and the sources and destinations they name (JSON).
    Airbyte,
    /// Unit files of the ingestion inventory, of every loader (YAML).
    Inventory,
    /// dbt's target/manifest.json.
    Dbt,
    /// Dagster's answer to a GraphQL query for assetNodes (JSON).
    Dagster,
    /// OpenLineage events, one a line (NDJSON).
    OpenLineage,
    /// Kubernetes objects as they are applied (YAML or JSON).
    Kubernetes,
    /// Files of docker-compose (YAML).
    Compose,
}

impl Origin {
    /// The word in ids and files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Airbyte => "airbyte",
            Self::Inventory => "inventory",
            Self::Dbt => "dbt",
            Self::Dagster => "dagster",
            Self::OpenLineage => "open_lineage",
            Self::Kubernetes => "kubernetes",
            Self::Compose => "compose",
        }
    }
}

/// What a reader knows of the direction of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Data moves from `from` to `to`.
    Data,
    /// `from` calls `to`; which way the data moves is not told.
    Call,
}

/// A file and the place in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The file, as it was named.
    pub path: String,
    /// A JSON pointer, after the line of NDJSON or the document of a YAML stream.
    pub at: String,
}

/// Something that sends or receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Element {
    /// Origin, kind and name, e.g. `airbyte:source/mitxonline_app`.
    pub id: String,
    /// Name as the file has it.
    pub name: String,
    /// How it is drawn.
    pub shape: Shape,
    /// Technology; empty when not told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tech: String,
    /// Other names of the same thing, written as ids.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub also: BTreeSet<String>,
    /// Where it was first read.
    pub place: Place,
}

/// Something that moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Id of the element it begins at.
    pub from: String,
    /// Id of the element it ends at.
    pub to: String,
    /// Id of the element that carries it, when that is neither end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// What the direction means.
    pub direction: Direction,
    /// What moves.
    pub moves: String,
    /// Technology; empty when not told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tech: String,
    /// How the ends are coupled in time.
    pub kind: Kind,
    /// How often; empty when not told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cadence: String,
    /// Tables, streams, models, assets or settings it consists of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub parts: BTreeSet<String>,
    /// What the files are that tell it.
    pub origin: Origin,
    /// A place in each file that tells it.
    pub evidence: Vec<Place>,
}

/// Something that was read and tells of no flow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Where it stands.
    pub place: Place,
    /// What it is called.
    pub what: String,
    /// Why it is left out.
    pub why: String,
}

/// Everything read, in the order of ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// Version of this format.
    pub format: u32,
    /// By id.
    pub elements: Vec<Element>,
    /// By ends.
    pub flows: Vec<Flow>,
    /// By place.
    pub left_out: Vec<LeftOut>,
}

impl Default for Imported {
    fn default() -> Self {
        Self { format: Self::FORMAT, elements: Vec::new(), flows: Vec::new(), left_out: Vec::new() }
    }
}

impl Imported {
    /// Version of the format this crate writes.
    pub const FORMAT: u32 = 1;

    /// What `c4gen import` wrote.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read, [`Error::Import`] when it is something else.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let refused = |at: &str, problem: String| Error::Import {
            path: path.to_path_buf(),
            at: at.to_owned(),
            problem,
            cure: "give a file that `c4gen import` of this version wrote".to_owned(),
        };
        let read: Self = serde_json::from_str(&workspace::read(path)?)
            .map_err(|error| refused(&format!("line {}", error.line()), error.to_string()))?;
        if read.format != Self::FORMAT {
            let problem = format!("it is of format {}, not {}", read.format, Self::FORMAT);
            return Err(refused("/format", problem));
        }
        Ok(read)
    }

    /// The text of the file: indented, with a final line break.
    ///
    /// # Panics
    /// Never: it has string keys only.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("it has string keys only");
        text.push('\n');
        text
    }

    /// This and another, as if both had been read at once.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let mut found = Found::default();
        for one in [self, other] {
            one.elements.into_iter().for_each(|element| found.element(element));
            one.flows.into_iter().for_each(|flow| found.flow(flow));
            found.left_out.extend(one.left_out);
        }
        found.sorted()
    }
}

/// Reads files of one origin.
///
/// # Errors
/// [`Error::File`] when one cannot be read; [`Error::Import`] with file, place and cure when one is not
/// what it is said to be.
pub fn import(origin: Origin, files: &[impl AsRef<Path>]) -> Result<Imported, Error> {
    let mut paths: Vec<&Path> = files.iter().map(AsRef::as_ref).collect();
    paths.sort();
    paths.dedup();
    let texts: Vec<(String, String)> = paths
        .into_iter()
        .map(|path| Ok((path.display().to_string(), workspace::read(path)?)))
        .collect::<Result<_, Error>>()?;
    import_texts(origin, &texts)
}

/// As [`import`], from pairs of a name and a text.
///
/// # Errors
/// As [`import`].
pub fn import_texts(origin: Origin, texts: &[(String, String)]) -> Result<Imported, Error> {
    let mut found = Found::default();
    match origin {
        Origin::Airbyte => airbyte::read(texts, &mut found)?,
        Origin::Inventory => inventory::read(texts, &mut found)?,
        Origin::Dbt => dbt::read(texts, &mut found)?,
        Origin::Dagster => dagster::read(texts, &mut found)?,
        Origin::OpenLineage => open_lineage::read(texts, &mut found)?,
        Origin::Kubernetes => kubernetes::read(texts, &mut found)?,
        Origin::Compose => compose::read(texts, &mut found)?,
    }
    Ok(found.sorted())
}

/// What the readers fill. What is told twice is kept once, with both places.
#[derive(Debug, Default)]
struct Found {
    elements: BTreeMap<String, Element>,
    flows: BTreeMap<(String, String, Option<String>), Flow>,
    left_out: BTreeSet<LeftOut>,
}

impl Found {
    fn element(&mut self, element: Element) {
        match self.elements.get_mut(&element.id) {
            None => {
                self.elements.insert(element.id.clone(), element);
            }
            Some(known) => {
                if known.tech.is_empty() {
                    known.tech = element.tech;
                    known.shape = element.shape;
                }
                known.also.extend(element.also);
            }
        }
    }

    /// Adds a flow. One that begins where it ends lies inside one element and is no arrow.
    fn flow(&mut self, flow: Flow) {
        if flow.from == flow.to {
            return;
        }
        let key = (flow.from.clone(), flow.to.clone(), flow.through.clone());
        match self.flows.get_mut(&key) {
            None => {
                self.flows.insert(key, flow);
            }
            Some(known) => {
                known.parts.extend(flow.parts);
                for (text, more) in
                    [(&mut known.cadence, flow.cadence), (&mut known.tech, flow.tech)]
                {
                    if !more.is_empty() && !text.split(", ").any(|one| one == more) {
                        *text = if text.is_empty() { more } else { format!("{text}, {more}") };
                    }
                }
                for place in flow.evidence {
                    if known.evidence.iter().all(|kept| kept.path != place.path) {
                        known.evidence.push(place);
                    }
                }
            }
        }
    }

    fn leave_out(&mut self, at: &At<'_>, what: &str, why: &str) {
        let (what, why) = (what.to_owned(), why.to_owned());
        self.left_out.insert(LeftOut { place: at.place(), what, why });
    }

    fn sorted(self) -> Imported {
        let mut flows: Vec<Flow> = self.flows.into_values().collect();
        for flow in &mut flows {
            flow.evidence.sort();
        }
        Imported {
            format: Imported::FORMAT,
            elements: self.elements.into_values().collect(),
            flows,
            left_out: self.left_out.into_iter().collect(),
        }
    }
}

/// An element as most readers have it.
fn element(id: String, name: &str, shape: Shape, tech: &str, at: &At<'_>) -> Element {
    Element {
        id,
        name: name.to_owned(),
        shape,
        tech: tech.to_owned(),
        also: BTreeSet::new(),
        place: at.place(),
    }
}

/// The shape of what is known by the name of a product.
fn shape_of(product: &str) -> Shape {
    let product = product.to_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| product.contains(word));
    if is(&["s3", "gcs", "bucket", "iceberg", "data lake", "minio"]) {
        Shape::Bucket
    } else if is(&["kafka", "rabbitmq", "sqs", "kinesis", "pulsar", "nats"]) {
        Shape::Queue
    } else if is(&[
        "postgres",
        "mysql",
        "mariadb",
        "mongo",
        "redis",
        "valkey",
        "snowflake",
        "bigquery",
        "redshift",
        "oracle",
        "mssql",
        "sqlite",
        "clickhouse",
        "opensearch",
        "elasticsearch",
        "trino",
        "databricks",
        "duckdb",
        "cassandra",
    ]) {
        Shape::Database
    } else {
        Shape::Service
    }
}
