//! The AWS Glue Data Catalog, as Athena, Trino and PyIceberg use it for Iceberg.
//!
//! A table is an entry whose parameter `metadata_location` names the current metadata file. The swap is `UpdateTable`
//! with the `VersionId` under which that address was read: Glue refuses it as `ConcurrentModificationException` when
//! anybody has updated the entry since. Without the version Glue takes every update, and the later of two writers would
//! win without a word.
//!
//! The client of this service repeats requests by itself. It must not repeat an update or a creation: a first answer that
//! got lost would come back as a refusal, and what was committed would be thrown away as if it had not been. These two
//! are repeated here, and only when Glue said that it took nothing because it was asked too often.
//!
//! Glue keeps every earlier version of an entry up to a limit of the account; the metadata files are the history, so
//! versions are not archived (as other writers of Iceberg do).

mod entry;
mod failure;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_glue::Client;
use aws_sdk_glue::config::retry::RetryConfig;
use aws_sdk_glue::config::{Builder, Credentials, Region};
use aws_sdk_glue::types::{DatabaseInput, Table};
use ol_chassis::clock::Clock;

use self::failure::{Doing, code, failed, is_throttled};
use super::{Catalog, Entry, Inserted, Next, Swapped};
use crate::commit::jittered;
use crate::error::{Error, ErrorKind, Result};
use crate::settings::LakeSettings;
use crate::storage::options::S3Credentials;
use crate::table::TableName;

/// Tries of an update that Glue refused for the rate of requests.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A Glue catalog.
pub(crate) struct GlueCatalog {
    client: Client,
    /// Of another account than that of the credentials.
    catalog_id: Option<String>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for GlueCatalog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GlueCatalog")
            .field("catalog_id", &self.catalog_id)
            .finish_non_exhaustive()
    }
}

impl GlueCatalog {
    /// Takes `glue:`, with the options `catalog_id` (another account's) and `endpoint` (another address than AWS's).
    /// Nothing is asked yet.
    pub(crate) async fn open(settings: &LakeSettings, clock: Arc<dyn Clock>) -> Result<Self> {
        let rest = settings.catalog.expose().strip_prefix("glue:").unwrap_or_default();
        let rest = rest.trim_start_matches('/');
        let query = rest.strip_prefix('?').unwrap_or(rest);
        let (mut catalog_id, mut endpoint) = (None, None);
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "catalog_id" => catalog_id = Some(value.into_owned()),
                "endpoint" => endpoint = Some(value.into_owned()),
                _other => {
                    return Err(Error::new(ErrorKind::Settings)
                        .with("catalog option", key)
                        .with("reason", "write glue: or glue:?catalog_id=ACCOUNT"));
                }
            }
        }
        let found = crate::aws::config().await;
        let mut config = Builder::from(found);
        // Without the option it is the chain's, which has one for this service.
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint);
        }
        if let S3Credentials::Keys { access_key_id, secret_access_key, session_token } =
            &settings.s3.credentials
        {
            config = config.credentials_provider(Credentials::new(
                access_key_id,
                secret_access_key.expose(),
                session_token.as_ref().map(|token| token.expose().to_owned()),
                None,
                "the settings",
            ));
        }
        if let Some(region) = &settings.s3.region {
            config = config.region(Region::new(region.clone()));
        } else if found.region().is_none() {
            return Err(Error::new(ErrorKind::Settings)
                .with("catalog", &settings.catalog)
                .with("reason", "no region is set: set AWS_REGION, or the region of the profile"));
        }
        Ok(Self { client: Client::from_conf(config.build()), catalog_id, clock })
    }

    async fn get(&self, name: &TableName) -> Result<Option<Table>> {
        let asked = self
            .client
            .get_table()
            .set_catalog_id(self.catalog_id.clone())
            .database_name(&name.namespace)
            .name(&name.name)
            .send();
        match asked.await {
            Ok(answer) => Ok(answer.table),
            Err(error) if code(&error) == Some("EntityNotFoundException") => Ok(None),
            Err(error) => Err(failed(error, Doing::Reading).with("table", name)),
        }
    }

    /// Sends what changes something until Glue does not refuse it for the rate of requests.
    async fn send<T, E, F>(&self, mut request: impl FnMut() -> F) -> Result<T, failure::Failure<E>>
    where
        E: aws_sdk_glue::error::ProvideErrorMetadata,
        F: Future<Output = Result<T, failure::Failure<E>>>,
    {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            match request().await {
                Err(error) if attempt < TRIES && is_throttled(&error) => {
                    self.clock.sleep(jittered(pause)).await;
                    pause *= 2;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }
}

/// One request is one request.
fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

#[async_trait]
impl Catalog for GlueCatalog {
    async fn ensure_namespace(&self, namespace: &str, location: &str) -> Result<()> {
        if self.has_namespace(namespace).await? {
            return Ok(());
        }
        let input = DatabaseInput::builder().name(namespace).location_uri(location).build();
        let input = input.map_err(|error| Error::new(ErrorKind::SchemaInvalid).because(error))?;
        let created = self.send(|| {
            self.client
                .create_database()
                .set_catalog_id(self.catalog_id.clone())
                .database_input(input.clone())
                .customize()
                .config_override(once())
                .send()
        });
        match created.await {
            Ok(_created) => Ok(()),
            Err(error) if code(&error) == Some("AlreadyExistsException") => Ok(()),
            Err(error) => Err(failed(error, Doing::Writing).with("namespace", namespace)),
        }
    }

    async fn has_namespace(&self, namespace: &str) -> Result<bool> {
        let asked =
            self.client.get_database().set_catalog_id(self.catalog_id.clone()).name(namespace);
        match asked.send().await {
            Ok(_found) => Ok(true),
            Err(error) if code(&error) == Some("EntityNotFoundException") => Ok(false),
            Err(error) => Err(failed(error, Doing::Reading).with("namespace", namespace)),
        }
    }

    async fn namespaces(&self) -> Result<Vec<String>> {
        let asked = self.client.get_databases().set_catalog_id(self.catalog_id.clone());
        let mut pages = asked.into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(error, Doing::Reading))?;
            names.extend(page.database_list.into_iter().map(|database| database.name));
        }
        names.sort();
        Ok(names)
    }

    async fn load(&self, name: &TableName) -> Result<Option<Entry>> {
        let Some(table) = self.get(name).await? else { return Ok(None) };
        match entry::location(&table) {
            Some(location) => Ok(Some(Entry::at(location.to_owned()))),
            None => Err(Error::new(ErrorKind::CatalogCorrupt)
                .with("table", name)
                .with("reason", "the entry in Glue is not that of an Iceberg table")),
        }
    }

    async fn list(&self, namespace: &str) -> Result<Vec<(TableName, Option<String>)>> {
        let asked = self.client.get_tables().set_catalog_id(self.catalog_id.clone());
        let mut pages = asked.database_name(namespace).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) if code(&error) == Some("EntityNotFoundException") => break,
                Err(error) => {
                    return Err(failed(error, Doing::Reading).with("namespace", namespace));
                }
            };
            // Views and tables of other formats are not ours.
            found.extend(page.table_list.unwrap_or_default().iter().filter_map(|table| {
                let location = entry::location(table)?.to_owned();
                Some((TableName::new(namespace, &table.name), Some(location)))
            }));
        }
        found.sort();
        Ok(found)
    }

    async fn insert(&self, new: Next<'_>) -> Result<Inserted> {
        let input = entry::input(&new, None)?;
        let created = self.send(|| {
            self.client
                .create_table()
                .set_catalog_id(self.catalog_id.clone())
                .database_name(&new.name.namespace)
                .table_input(input.clone())
                .customize()
                .config_override(once())
                .send()
        });
        match created.await {
            Ok(_created) => Ok(Inserted::Done(None)),
            Err(error) if code(&error) == Some("AlreadyExistsException") => Ok(Inserted::Exists),
            Err(error) => Err(failed(error, Doing::Writing).with("table", new.name)),
        }
    }

    async fn swap(&self, next: Next<'_>) -> Result<Swapped> {
        let Some(table) = self.get(next.name).await? else { return Ok(Swapped::Lost) };
        if entry::location(&table) != next.base {
            return Ok(Swapped::Lost);
        }
        let Some(version) = table.version_id.clone() else {
            return Err(Error::new(ErrorKind::CatalogRefused).with("table", next.name).with(
                "reason",
                "the catalog tells no version of its entry, so that nothing could be compared",
            ));
        };
        let input = entry::input(&next, Some(&table))?;
        let updated = self.send(|| {
            self.client
                .update_table()
                .set_catalog_id(self.catalog_id.clone())
                .database_name(&next.name.namespace)
                .table_input(input.clone())
                .version_id(&version)
                .skip_archive(true)
                .customize()
                .config_override(once())
                .send()
        });
        match updated.await {
            Ok(_updated) => Ok(Swapped::Done(None)),
            Err(error)
                if matches!(
                    code(&error),
                    Some("ConcurrentModificationException" | "EntityNotFoundException")
                ) =>
            {
                Ok(Swapped::Lost)
            }
            Err(error) => Err(failed(error, Doing::Writing).with("table", next.name)),
        }
    }

    async fn remove(&self, name: &TableName) -> Result<bool> {
        let removed = self.send(|| {
            self.client
                .delete_table()
                .set_catalog_id(self.catalog_id.clone())
                .database_name(&name.namespace)
                .name(&name.name)
                .customize()
                .config_override(once())
                .send()
        });
        match removed.await {
            Ok(_removed) => Ok(true),
            Err(error) if code(&error) == Some("EntityNotFoundException") => Ok(false),
            Err(error) => Err(failed(error, Doing::Writing).with("table", name)),
        }
    }
}
