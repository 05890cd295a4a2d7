//! The lake: a catalog, a warehouse, and the tables in them.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::io::{FileIO, FileIOBuilder};
use iceberg::spec::{FormatVersion, TableMetadata, TableMetadataBuilder};
use iceberg::table::Table;
use iceberg::{MetadataLocation, NamespaceIdent, Runtime, TableCreation, TableIdent};
use ol_chassis::clock::{Clock, SystemClock};
use tokio::runtime::Handle;

use crate::catalog::{self, Catalog, Entry, Inserted, Next};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::evolve::{self, SchemaChange};
use crate::schema::{LakeSchema, layout, map};
use crate::settings::{LakeSettings, Warehouse, WriteOptions};
use crate::storage::{self, LakeStorage, LakeStorageFactory};
use crate::table::{LakeTable, TableDefinition, TableName};

/// Properties every new table has unless its definition says otherwise.
pub(crate) const DEFAULT_PROPERTIES: [(&str, &str); 8] = [
    ("write.format.default", "parquet"),
    ("write.parquet.compression-codec", "zstd"),
    ("write.metadata.delete-after-commit.enabled", "true"),
    ("write.metadata.previous-versions-max", "100"),
    // Merges are position deletes; equality deletes cannot be read by every reader.
    ("write.delete.mode", "merge-on-read"),
    // What other engines' maintenance goes by, as well as ours.
    ("write.target-file-size-bytes", "268435456"),
    ("history.expire.max-snapshot-age-ms", "604800000"),
    ("history.expire.min-snapshots-to-keep", "1"),
];

fn file_io(storage: &LakeStorage) -> FileIO {
    FileIOBuilder::new(Arc::new(LakeStorageFactory(storage.clone()))).build()
}

/// An open lake. Cloning shares the connections.
#[derive(Clone, Debug)]
pub struct Lake {
    catalog: Arc<dyn Catalog>,
    warehouse: Warehouse,
    write: WriteOptions,
    storage: LakeStorage,
    file_io: FileIO,
    clock: Arc<dyn Clock>,
    runtime: Handle,
}

impl Lake {
    /// Connects to the catalog, creating its tables when they are missing. Must be called inside a tokio runtime.
    ///
    /// The warehouse is not touched: a missing right to write it shows at the first table.
    pub async fn open(settings: LakeSettings) -> Result<Self> {
        Self::open_with_clock(settings, Arc::new(SystemClock)).await
    }

    /// [`Lake::open`] with another clock, for tests of time.
    pub async fn open_with_clock(settings: LakeSettings, clock: Arc<dyn Clock>) -> Result<Self> {
        let warehouse = Warehouse::parse(&settings.warehouse)?;
        settings.s3.check()?;
        let catalog = catalog::open(&settings, &clock).await?;
        let storage = LakeStorage::new(settings.s3);
        Ok(Self {
            catalog,
            warehouse,
            write: settings.write,
            file_io: file_io(&storage),
            storage,
            clock,
            runtime: Handle::current(),
        })
    }

    /// How data files are written unless a table wants it otherwise.
    pub fn write_options(&self) -> &WriteOptions {
        &self.write
    }

    /// Makes the namespace exist.
    pub async fn ensure_namespace(&self, namespace: &str) -> Result<()> {
        let location = self.warehouse.namespace_folder(namespace);
        self.catalog.ensure_namespace(namespace, &location).await
    }

    /// Whether the catalog has the namespace.
    pub async fn has_namespace(&self, namespace: &str) -> Result<bool> {
        self.catalog.has_namespace(namespace).await
    }

    /// The table, or `None` when the catalog has none of this name.
    pub async fn load(&self, name: &TableName) -> Result<Option<LakeTable>> {
        match self.load_inner(name).await? {
            Some(table) => self.wrap(table, name).map(Some),
            None => Ok(None),
        }
    }

    /// Names of the tables of a namespace, in order. A namespace that does not exist has none.
    pub async fn list(&self, namespace: &str) -> Result<Vec<TableName>> {
        Ok(self.catalog.list(namespace).await?.into_iter().map(|(name, _location)| name).collect())
    }

    /// Creates the table. If somebody else was faster, theirs is loaded: compare its schema by [`Lake::evolve`] and its
    /// layout by [`LakeTable::check_layout`].
    pub async fn create(&self, definition: &TableDefinition) -> Result<LakeTable> {
        let name = &definition.name;
        Box::pin(self.try_to_create(definition)).await.map_err(|error| error.with("table", name))
    }

    async fn try_to_create(&self, definition: &TableDefinition) -> Result<LakeTable> {
        let name = &definition.name;
        if !self.catalog.has_namespace(&name.namespace).await? {
            return Err(Error::new(ErrorKind::NotFound).with("namespace", &name.namespace));
        }
        let mut properties: HashMap<String, String> = DEFAULT_PROPERTIES
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        if let Some(comment) = &definition.comment {
            properties.insert("comment".to_owned(), comment.clone());
        }
        properties.extend(definition.properties.clone());
        let location = self.warehouse.table_location(&name.namespace, &name.name);
        let schema = map::to_iceberg(&definition.schema)?;
        let creation = TableCreation::builder()
            .name(name.name.clone())
            .location(location.clone())
            .partition_spec(layout::partition_spec(&schema, &definition.partition_by)?)
            .sort_order(layout::sort_order(&schema, &definition.sort_by)?)
            .schema(schema)
            .properties(properties)
            .format_version(FormatVersion::V2)
            .build();
        let metadata = TableMetadataBuilder::from_table_creation(creation)
            .and_then(TableMetadataBuilder::build)
            .map_err(|error| Error::from_iceberg(ErrorKind::SchemaInvalid, error))?
            .metadata;
        let first = MetadataLocation::new_with_metadata(&location, &metadata);
        let address = first.to_string();
        if !self.catalog.writes_metadata() {
            metadata
                .write_to(&self.file_io, &first)
                .await
                .map_err(|error| Error::from_iceberg(ErrorKind::WarehouseUnwritable, error))?;
            storage::make_durable(vec![address.clone()]).await?;
        }
        fail::fail_point!("lake.create.before_insert");
        let new = Next {
            name,
            base: None,
            location: &address,
            metadata: &metadata,
            requirements: &[],
            updates: &[],
        };
        match self.catalog.insert(new).await {
            Ok(Inserted::Done(entry)) => {
                let table = match entry {
                    Some(entry) => self.open_entry(name, entry).await?,
                    None => self.build(name, metadata, address)?,
                };
                self.wrap(table, name)
            }
            Ok(Inserted::Exists) => {
                let theirs = self.load(name).await?.ok_or_else(|| {
                    Error::new(ErrorKind::CommitConflict)
                        .with("reason", "the table was created and dropped by another process")
                })?;
                // A request that was sent twice on its way meets itself.
                if theirs.metadata_location() != address {
                    self.delete(vec![address]).await;
                }
                Ok(theirs)
            }
            Err(error) => {
                if *error.kind() != ErrorKind::CommitStateUnknown {
                    self.delete(vec![address]).await;
                }
                Err(error)
            }
        }
    }

    /// Works out how the table gets the columns of `schema`. Nothing is committed; see [`SchemaChange`].
    #[expect(
        clippy::unused_async,
        reason = "other catalogs will have to be asked; callers should not change then"
    )]
    pub async fn evolve(&self, table: &LakeTable, schema: &LakeSchema) -> Result<SchemaChange> {
        evolve::evolve(
            table.inner().metadata().current_schema(),
            table.inner().metadata().last_column_id(),
            schema,
        )
        .map_err(|error| error.with("table", table.name()))
    }

    /// Takes the table out of the catalog and says whether it was there. Its files become orphans.
    pub async fn drop_table(&self, name: &TableName) -> Result<bool> {
        self.catalog.remove(name).await
    }

    pub(crate) async fn load_inner(&self, name: &TableName) -> Result<Option<Table>> {
        let Some(entry) = self.catalog.load(name).await? else { return Ok(None) };
        self.open_entry(name, entry).await.map(Some)
    }

    pub(crate) async fn open_entry(&self, name: &TableName, entry: Entry) -> Result<Table> {
        let file_io = match (entry.lent, &entry.metadata) {
            (Some(lent), Some(metadata)) => file_io(&self.storage.with(lent, metadata.location())),
            (Some(_) | None, _) => self.file_io.clone(),
        };
        match entry.metadata {
            Some(metadata) => self.build_on(file_io, name, *metadata, entry.location),
            None => self.read_metadata(name, entry.location).await,
        }
    }

    pub(crate) async fn read_metadata(&self, name: &TableName, location: String) -> Result<Table> {
        let metadata =
            TableMetadata::read_from(&self.file_io, &location).await.map_err(|error| {
                Error::from_iceberg(ErrorKind::CatalogCorrupt, error)
                    .with("table", name)
                    .with("metadata", &location)
            })?;
        self.build(name, metadata, location)
    }

    pub(crate) fn build(
        &self,
        name: &TableName,
        metadata: TableMetadata,
        location: String,
    ) -> Result<Table> {
        self.build_on(self.file_io.clone(), name, metadata, location)
    }

    fn build_on(
        &self,
        file_io: FileIO,
        name: &TableName,
        metadata: TableMetadata,
        location: String,
    ) -> Result<Table> {
        let invalid = |error| Error::from_iceberg(ErrorKind::Unexpected, error);
        Table::builder()
            .file_io(file_io)
            .metadata(metadata)
            .metadata_location(location)
            .identifier(TableIdent::new(
                NamespaceIdent::new(name.namespace.clone()),
                name.name.clone(),
            ))
            .runtime(Runtime::try_current().map_err(invalid)?)
            // Every load makes a table of its own, so a cache would only hold memory.
            .disable_cache()
            .build()
            .map_err(invalid)
    }

    pub(crate) fn wrap(&self, table: Table, name: &TableName) -> Result<LakeTable> {
        LakeTable::new(table, name.clone(), self.runtime.clone())
    }

    pub(crate) fn name_of(table: &Table) -> TableName {
        let identifier = table.identifier();
        TableName::new(identifier.namespace().as_ref().join("."), identifier.name())
    }

    /// The same lake behind another catalog.
    #[cfg(test)]
    pub(crate) fn behind(&self, wrap: impl FnOnce(Arc<dyn Catalog>) -> Arc<dyn Catalog>) -> Self {
        Self { catalog: wrap(Arc::clone(&self.catalog)), ..self.clone() }
    }

    pub(crate) fn catalog(&self) -> &dyn Catalog {
        self.catalog.as_ref()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(crate) fn file_io(&self) -> &FileIO {
        &self.file_io
    }

    pub(crate) fn storage(&self) -> &LakeStorage {
        &self.storage
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn warehouse(&self) -> &Warehouse {
        &self.warehouse
    }
}
