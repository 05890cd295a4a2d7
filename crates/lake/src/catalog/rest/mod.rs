//! A catalog server that speaks the Iceberg REST protocol.
//!
//! The server writes metadata files: a commit is sent as what must hold and what changes, and the answer is the table as
//! it is then. Facts are those of the protocol's OpenAPI description (`open-api/rest-catalog-open-api.yaml` of Apache
//! Iceberg): 409 is a lost commit; of 500, 502, 503 and 504 it is not known whether the commit was taken.

mod address;
mod body;
mod client;

use std::sync::Arc;

use async_trait::async_trait;
use ol_chassis::clock::Clock;
use reqwest::{Method, StatusCode};

use self::body::{
    CommitRequest, CreateRequest, ListedNamespaces, ListedTables, NamespaceRequest, TableAnswer,
};
use self::client::{Answer, Client, Doing};
use super::{Catalog, Entry, Inserted, Next, Swapped};
use crate::error::{Error, ErrorKind, Result};
use crate::settings::CatalogAddress;
use crate::storage::lent::Lent;
use crate::table::TableName;

/// Pages of a list, at most: a server that never ends one is not followed for ever.
const MOST_PAGES: usize = 10_000;

/// A REST catalog.
#[derive(Debug)]
pub(crate) struct RestCatalog {
    client: Client,
}

impl RestCatalog {
    /// Asks the server for its configuration.
    pub(crate) async fn open(address: &CatalogAddress, clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Self { client: Client::open(address::Address::parse(address)?, clock).await? })
    }

    async fn table(&self, name: &TableName) -> Result<Option<Entry>> {
        let path = table_path(name);
        let answer = self.client.ask(Method::GET, &path, &[], None::<&()>, Doing::Reading).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            _other => self.entry(&answer).map(Some),
        }
    }

    fn entry(&self, answer: &Answer) -> Result<Entry> {
        let table: TableAnswer = answer.ok()?.parse()?;
        let location = table.metadata_location.clone().ok_or_else(|| {
            Error::new(ErrorKind::CatalogCorrupt)
                .with("reason", "the server names no metadata file")
                .with("server", self.client.server())
        })?;
        let lent = Lent::of(table.storage(&location));
        Ok(Entry { location, metadata: Some(Box::new(table.metadata)), lent })
    }

    /// All pages of a list, or `None` when what is listed does not exist.
    async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        next: impl Fn(&T) -> Option<String>,
    ) -> Result<Option<Vec<T>>> {
        let mut pages = Vec::new();
        let mut token = String::new();
        for _page in 0..MOST_PAGES {
            // An empty token asks for pages; a server without pages answers with everything.
            let query = [("pageToken", token.as_str())];
            let answer =
                self.client.ask(Method::GET, path, &query, None::<&()>, Doing::Reading).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let page: T = answer.ok()?.parse()?;
            let following = next(&page);
            pages.push(page);
            match following {
                Some(following) if !following.is_empty() => token = following,
                _last => return Ok(Some(pages)),
            }
        }
        Err(Error::new(ErrorKind::CatalogCorrupt)
            .with("server", self.client.server())
            .with("reason", "a list does not end"))
    }
}

fn namespace_path(namespace: &str) -> String {
    format!("namespaces/{}", client::escaped(namespace))
}

fn table_path(name: &TableName) -> String {
    format!("{}/tables/{}", namespace_path(&name.namespace), client::escaped(&name.name))
}

#[async_trait]
impl Catalog for RestCatalog {
    fn writes_metadata(&self) -> bool {
        true
    }

    async fn ensure_namespace(&self, namespace: &str, location: &str) -> Result<()> {
        if self.has_namespace(namespace).await? {
            return Ok(());
        }
        let body = NamespaceRequest::new(namespace, location);
        let answer =
            self.client.ask(Method::POST, "namespaces", &[], Some(&body), Doing::Writing).await?;
        match answer.status {
            StatusCode::CONFLICT => Ok(()),
            _other => answer.ok().map(drop).map_err(|error| error.with("namespace", namespace)),
        }
    }

    async fn has_namespace(&self, namespace: &str) -> Result<bool> {
        let path = namespace_path(namespace);
        let answer = self.client.ask(Method::GET, &path, &[], None::<&()>, Doing::Reading).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(false),
            _other => answer.ok().map(|_found| true),
        }
    }

    async fn namespaces(&self) -> Result<Vec<String>> {
        let pages = self
            .pages("namespaces", |page: &ListedNamespaces| page.next_page_token.clone())
            .await?;
        let mut names: Vec<String> = pages
            .into_iter()
            .flatten()
            .flat_map(|page| page.namespaces)
            .map(|levels| levels.join("."))
            .collect();
        names.sort();
        Ok(names)
    }

    async fn load(&self, name: &TableName) -> Result<Option<Entry>> {
        self.table(name).await.map_err(|error| error.with("table", name))
    }

    async fn list(&self, namespace: &str) -> Result<Vec<(TableName, Option<String>)>> {
        let path = format!("{}/tables", namespace_path(namespace));
        let pages = self.pages(&path, |page: &ListedTables| page.next_page_token.clone()).await?;
        let mut names: Vec<(TableName, Option<String>)> = pages
            .into_iter()
            .flatten()
            .flat_map(|page| page.identifiers)
            .map(|listed| (TableName::new(namespace, listed.name), None))
            .collect();
        names.sort();
        Ok(names)
    }

    async fn insert(&self, new: Next<'_>) -> Result<Inserted> {
        let path = format!("{}/tables", namespace_path(&new.name.namespace));
        let body = CreateRequest::of(new.name, new.metadata);
        let answer = self.client.ask(Method::POST, &path, &[], Some(&body), Doing::Writing).await?;
        match answer.status {
            StatusCode::CONFLICT => Ok(Inserted::Exists),
            _other => self.entry(&answer).map(|entry| Inserted::Done(Some(entry))),
        }
    }

    async fn swap(&self, next: Next<'_>) -> Result<Swapped> {
        let path = table_path(next.name);
        let body = CommitRequest::of(&next);
        let answer = self.client.ask(Method::POST, &path, &[], Some(&body), Doing::Writing).await?;
        match answer.status {
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => Ok(Swapped::Lost),
            _other => {
                let done = answer.ok()?;
                // The commit is taken; an answer that cannot be read leaves only the look at the table.
                let entry = self
                    .entry(done)
                    .map_err(|error| Error::new(ErrorKind::CommitStateUnknown).because(error))?;
                Ok(Swapped::Done(Some(entry)))
            }
        }
    }

    async fn remove(&self, name: &TableName) -> Result<bool> {
        let (path, query) = (table_path(name), [("purgeRequested", "false")]);
        let answer =
            self.client.ask(Method::DELETE, &path, &query, None::<&()>, Doing::Writing).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(false),
            _other => answer.ok().map(|_gone| true).map_err(|error| error.with("table", name)),
        }
    }
}
