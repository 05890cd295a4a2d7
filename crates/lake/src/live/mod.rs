//! What is alive in a snapshot: its data files, the rows deleted from them, and how single rows are read.
//!
//! A row is alive when its data file is, and no live position delete file names it. Such a delete file applies to the
//! data files of its partition whose sequence number is not higher than its own, and either says in its manifest entry
//! which one data file it is about (those of this crate do), or has to be read to find out.

pub(crate) mod deletes;
pub(crate) mod rows;

use std::collections::HashMap;

use iceberg::spec::{DataContentType, DataFile, DataFileFormat, ManifestContentType, ManifestFile};
use iceberg::table::Table;
use roaring::RoaringTreemap;
use tokio::runtime::Handle;

use crate::error::{Error, ErrorKind, Result};

/// A live file with what its manifest entry says of it.
#[derive(Clone, Debug)]
pub(crate) struct LiveFile {
    pub(crate) data_file: DataFile,
    pub(crate) spec_id: i32,
    /// Index in [`Live::manifests`].
    pub(crate) manifest: usize,
    pub(crate) sequence_number: i64,
}

/// The live files of one snapshot.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) manifests: Vec<ManifestFile>,
    pub(crate) files: Vec<LiveFile>,
    /// Delete files about one data file, by its path.
    scoped: HashMap<String, Vec<LiveFile>>,
    /// Delete files that may be about any data file.
    wide: Vec<LiveFile>,
}

/// The manifests of a snapshot; none for no snapshot.
pub(crate) async fn manifests(
    table: &Table,
    snapshot_id: Option<i64>,
) -> Result<Vec<ManifestFile>> {
    let Some(snapshot) = snapshot_id.and_then(|id| table.metadata().snapshot_by_id(id)) else {
        return Ok(Vec::new());
    };
    let list = table.manifest_list_reader(snapshot).load().await.map_err(unreadable)?;
    Ok(list.entries().to_vec())
}

impl Live {
    /// Reads the manifests of a snapshot. Refuses what this crate cannot take into account: equality deletes, and
    /// files that are not Parquet.
    pub(crate) async fn of(table: &Table, snapshot_id: Option<i64>) -> Result<Self> {
        let mut live = Self { manifests: manifests(table, snapshot_id).await?, ..Self::default() };
        for (index, manifest) in live.manifests.clone().into_iter().enumerate() {
            if !manifest.has_added_files() && !manifest.has_existing_files() {
                continue;
            }
            let loaded = manifest.load_manifest(table.file_io()).await.map_err(unreadable)?;
            for entry in loaded.entries().iter().filter(|entry| entry.is_alive()) {
                let file = LiveFile {
                    data_file: entry.data_file().clone(),
                    spec_id: manifest.partition_spec_id,
                    manifest: index,
                    sequence_number: entry.sequence_number().unwrap_or(0),
                };
                live.add(manifest.content, file)?;
            }
        }
        Ok(live)
    }

    fn add(&mut self, content: ManifestContentType, file: LiveFile) -> Result<()> {
        let refuse = |reason: &str| {
            Err(Error::new(ErrorKind::SchemaConflict)
                .with("file", file.data_file.file_path())
                .with("reason", reason))
        };
        if file.data_file.file_format() != DataFileFormat::Parquet {
            return refuse("another writer put a file into the table that is not Parquet");
        }
        if file.data_file.content_type() == DataContentType::EqualityDeletes {
            return refuse(
                "another writer put equality deletes into the table; compact it with that writer",
            );
        }
        match (content, file.data_file.referenced_data_file()) {
            (ManifestContentType::Data, _) => self.files.push(file),
            (ManifestContentType::Deletes, Some(path)) => {
                self.scoped.entry(path).or_default().push(file);
            }
            (ManifestContentType::Deletes, None) => self.wide.push(file),
        }
        Ok(())
    }

    /// The delete files that are about this data file alone.
    pub(crate) fn own_deletes<'a>(
        &'a self,
        file: &'a LiveFile,
    ) -> impl Iterator<Item = &'a LiveFile> {
        let scoped = self.scoped.get(file.data_file.file_path()).into_iter().flatten();
        scoped.filter(|delete| applies(delete, file))
    }

    /// Delete files about data files that are not alive; they delete nothing any more.
    pub(crate) fn idle_deletes(&self) -> impl Iterator<Item = &LiveFile> {
        let alive: std::collections::HashSet<&str> =
            self.files.iter().map(|file| file.data_file.file_path()).collect();
        let idle = self.scoped.iter().filter(move |(path, _files)| !alive.contains(path.as_str()));
        idle.flat_map(|(_path, files)| files)
    }

    /// Rows deleted by files that may be about any data file, by the path of the data file. Blocks.
    pub(crate) fn widely_deleted(
        &self,
        table: &Table,
        runtime: &Handle,
    ) -> Result<HashMap<String, RoaringTreemap>> {
        let mut found: HashMap<String, RoaringTreemap> = HashMap::new();
        if self.wide.is_empty() {
            return Ok(found);
        }
        let by_path: HashMap<&str, &LiveFile> =
            self.files.iter().map(|file| (file.data_file.file_path(), file)).collect();
        for delete in &self.wide {
            deletes::read(table.file_io(), runtime, &delete.data_file, &mut |path, position| {
                if let Some(file) = by_path.get(path)
                    && applies(delete, file)
                {
                    if let Some(rows) = found.get_mut(path) {
                        rows.insert(position);
                    } else {
                        found.insert(path.to_owned(), RoaringTreemap::from([position]));
                    }
                }
            })?;
        }
        Ok(found)
    }

    /// The rows deleted from one data file, given those of [`Live::widely_deleted`]. Blocks.
    pub(crate) fn deleted(
        &self,
        table: &Table,
        runtime: &Handle,
        file: &LiveFile,
        widely: &HashMap<String, RoaringTreemap>,
    ) -> Result<RoaringTreemap> {
        let mut rows = widely.get(file.data_file.file_path()).cloned().unwrap_or_default();
        for delete in self.own_deletes(file) {
            deletes::read(table.file_io(), runtime, &delete.data_file, &mut |path, position| {
                if path == file.data_file.file_path() {
                    rows.insert(position);
                }
            })?;
        }
        Ok(rows)
    }
}

/// Whether a position delete file can be about a data file at all.
fn applies(delete: &LiveFile, file: &LiveFile) -> bool {
    delete.spec_id == file.spec_id
        && delete.sequence_number >= file.sequence_number
        && delete.data_file.partition() == file.data_file.partition()
}

fn unreadable(error: iceberg::Error) -> Error {
    Error::from_iceberg(ErrorKind::WarehouseUnreadable, error)
}
