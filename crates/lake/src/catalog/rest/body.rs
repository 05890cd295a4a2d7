//! The bodies of requests and answers, as far as they are of use here.

use std::collections::BTreeMap;

use iceberg::spec::{SchemaRef, SortOrderRef, TableMetadata, UnboundPartitionSpec};
use iceberg::{TableRequirement, TableUpdate};
use serde::{Deserialize, Serialize};

use crate::catalog::Next;
use crate::table::TableName;

/// Answer to `GET /v1/config`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Configuration {
    #[serde(default)]
    pub(super) defaults: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) overrides: BTreeMap<String, String>,
}

impl Configuration {
    /// A setting, of which what the server insists on wins.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.overrides.get(key).or_else(|| self.defaults.get(key)).map(String::as_str)
    }
}

/// Answer of a token endpoint (RFC 6749, section 5.1).
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    /// Seconds.
    pub(super) expires_in: Option<u64>,
}

/// What a server says of a failure.
#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) error: FailureModel,
}

#[derive(Debug, Deserialize)]
pub(super) struct FailureModel {
    #[serde(default)]
    pub(super) message: String,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
}

#[derive(Debug, Serialize)]
pub(super) struct NamespaceRequest {
    namespace: [String; 1],
    properties: BTreeMap<&'static str, String>,
}

impl NamespaceRequest {
    pub(super) fn new(namespace: &str, location: &str) -> Self {
        let properties = BTreeMap::from([("location", location.to_owned())]);
        Self { namespace: [namespace.to_owned()], properties }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ListedNamespaces {
    #[serde(default)]
    pub(super) namespaces: Vec<Vec<String>>,
    #[serde(default)]
    pub(super) next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ListedTables {
    #[serde(default)]
    pub(super) identifiers: Vec<Identifier>,
    #[serde(default)]
    pub(super) next_page_token: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Identifier {
    pub(super) namespace: Vec<String>,
    pub(super) name: String,
}

impl Identifier {
    fn of(name: &TableName) -> Self {
        Self { namespace: vec![name.namespace.clone()], name: name.name.clone() }
    }
}

/// A table to be created.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CreateRequest {
    name: String,
    location: String,
    schema: SchemaRef,
    partition_spec: UnboundPartitionSpec,
    write_order: SortOrderRef,
    stage_create: bool,
    properties: BTreeMap<String, String>,
}

impl CreateRequest {
    pub(super) fn of(name: &TableName, metadata: &TableMetadata) -> Self {
        let properties = metadata.properties().iter();
        let mut properties: BTreeMap<String, String> =
            properties.map(|(key, value)| (key.clone(), value.clone())).collect();
        properties
            .insert("format-version".to_owned(), (metadata.format_version() as u8).to_string());
        Self {
            name: name.name.clone(),
            location: metadata.location().to_owned(),
            schema: metadata.current_schema().clone(),
            partition_spec: metadata.default_partition_spec().as_ref().clone().into_unbound(),
            write_order: metadata.default_sort_order().clone(),
            stage_create: false,
            properties,
        }
    }
}

/// What must hold of a table, and what changes.
#[derive(Debug, Serialize)]
pub(super) struct CommitRequest<'a> {
    identifier: Identifier,
    requirements: &'a [TableRequirement],
    updates: &'a [TableUpdate],
}

impl<'a> CommitRequest<'a> {
    pub(super) fn of(next: &Next<'a>) -> Self {
        Self {
            identifier: Identifier::of(next.name),
            requirements: next.requirements,
            updates: next.updates,
        }
    }
}

/// A table as it is loaded, created or committed.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TableAnswer {
    pub(super) metadata_location: Option<String>,
    pub(super) metadata: TableMetadata,
    #[serde(default)]
    config: BTreeMap<String, String>,
    #[serde(default)]
    storage_credentials: Vec<StorageCredential>,
}

/// Means to reach the files below a prefix.
#[derive(Deserialize)]
struct StorageCredential {
    prefix: String,
    config: BTreeMap<String, String>,
}

impl TableAnswer {
    /// What the server lends to reach the files of the table; of credentials, those of the longest prefix win over
    /// what is in the general configuration, as the protocol says.
    pub(super) fn storage(&self, location: &str) -> BTreeMap<String, String> {
        let mut settings = self.config.clone();
        let fitting = self.storage_credentials.iter().filter(|it| location.starts_with(&it.prefix));
        if let Some(longest) = fitting.max_by_key(|it| it.prefix.len()) {
            settings.extend(longest.config.clone());
        }
        settings.retain(|key, _value| key.starts_with("s3.") || key == "client.region");
        settings
    }
}
