//! Files of a local warehouse.
//!
//! The Apache crate has a local storage, but it turns every I/O error into text (so a full disk cannot be told from a
//! missing right) and reads of one file share a lock. This one keeps the cause and reads by position.
//!
//! Writing is not durable by itself: [`make_durable`] is called once for all files of a commit, right before the
//! catalog is told about them, so that the disk can work on all of them at once.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::io::{
    FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig,
    StorageFactory,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result, StorageFailure};

/// The local path of an address such as `file:///x/y` or `/x/y`.
pub(crate) fn local_path(address: &str) -> PathBuf {
    let path = address.strip_prefix("file://").or_else(|| address.strip_prefix("file:"));
    PathBuf::from(path.unwrap_or(address))
}

/// The address under which files of this warehouse stand in the metadata.
pub(crate) fn address(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn failed(failure: StorageFailure) -> iceberg::Error {
    iceberg::Error::new(iceberg::ErrorKind::Unexpected, "The storage failed").with_source(failure)
}

/// Local files, kept apart from the catalog so that another storage can take their place.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct LocalStorage;

impl LocalStorage {
    fn create(address: &str) -> iceberg::Result<File> {
        let path = local_path(address);
        let create = || File::options().write(true).create_new(true).open(&path);
        let file = match create() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(Path::new("/"));
                fs::create_dir_all(folder).map_err(|error| {
                    failed(StorageFailure::writing(
                        "create folder",
                        &folder.to_string_lossy(),
                        error,
                    ))
                })?;
                create()
            }
            other => other,
        };
        file.map_err(|error| failed(StorageFailure::writing("create", address, error)))
    }
}

#[async_trait]
#[typetag::serde(name = "OlLocalStorage")]
impl Storage for LocalStorage {
    async fn exists(&self, path: &str) -> iceberg::Result<bool> {
        local_path(path)
            .try_exists()
            .map_err(|error| failed(StorageFailure::reading("look for", path, error)))
    }

    async fn metadata(&self, path: &str) -> iceberg::Result<FileMetadata> {
        let metadata = fs::metadata(local_path(path))
            .map_err(|error| failed(StorageFailure::reading("look at", path, error)))?;
        Ok(FileMetadata { size: metadata.len() })
    }

    async fn read(&self, path: &str) -> iceberg::Result<Bytes> {
        fs::read(local_path(path))
            .map(Bytes::from)
            .map_err(|error| failed(StorageFailure::reading("read", path, error)))
    }

    async fn reader(&self, path: &str) -> iceberg::Result<Box<dyn FileRead>> {
        let file = File::open(local_path(path))
            .map_err(|error| failed(StorageFailure::reading("open", path, error)))?;
        Ok(Box::new(LocalRead { file, address: path.to_owned() }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> iceberg::Result<()> {
        let mut file = Self::create(path)?;
        file.write_all(&bytes)
            .map_err(|error| failed(StorageFailure::writing("write", path, error)))
    }

    async fn writer(&self, path: &str) -> iceberg::Result<Box<dyn FileWrite>> {
        Ok(Box::new(LocalWrite { file: Some(Self::create(path)?), address: path.to_owned() }))
    }

    async fn delete(&self, path: &str) -> iceberg::Result<()> {
        match fs::remove_file(local_path(path)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(failed(StorageFailure::writing("delete", path, error)))
            }
            _gone => Ok(()),
        }
    }

    async fn delete_prefix(&self, path: &str) -> iceberg::Result<()> {
        match fs::remove_dir_all(local_path(path)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(failed(StorageFailure::writing("delete folder", path, error)))
            }
            _gone => Ok(()),
        }
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> iceberg::Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> iceberg::Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> iceberg::Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

#[derive(Debug)]
struct LocalRead {
    file: File,
    address: String,
}

#[async_trait]
impl FileRead for LocalRead {
    async fn read(&self, range: Range<u64>) -> iceberg::Result<Bytes> {
        let length = usize::try_from(range.end.saturating_sub(range.start))
            .expect("a range of a file in memory fits the address space");
        let mut buffer = vec![0; length];
        self.file
            .read_exact_at(&mut buffer, range.start)
            .map_err(|error| failed(StorageFailure::reading("read", &self.address, error)))?;
        Ok(Bytes::from(buffer))
    }
}

#[derive(Debug)]
struct LocalWrite {
    file: Option<File>,
    address: String,
}

#[async_trait]
impl FileWrite for LocalWrite {
    async fn write(&mut self, bytes: Bytes) -> iceberg::Result<()> {
        let written = match self.file.as_mut() {
            Some(file) => file.write_all(&bytes),
            None => Err(std::io::Error::other("the file is closed")),
        };
        written.map_err(|error| failed(StorageFailure::writing("write", &self.address, error)))
    }

    async fn close(&mut self) -> iceberg::Result<()> {
        self.file = None;
        Ok(())
    }
}

/// Builds [`LocalStorage`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct LocalStorageFactory;

#[typetag::serde(name = "OlLocalStorageFactory")]
impl StorageFactory for LocalStorageFactory {
    fn build(&self, _config: &StorageConfig) -> iceberg::Result<Arc<dyn Storage>> {
        Ok(Arc::new(LocalStorage))
    }
}

/// Waits until the files and the folder entries that name them have reached the disk.
///
/// A killed process does not need this, a power loss does: a catalog must not name a file that is not there.
pub(crate) async fn make_durable(addresses: Vec<String>) -> Result<()> {
    let mut paths: Vec<PathBuf> = addresses.iter().map(|address| local_path(address)).collect();
    let mut folders: Vec<PathBuf> =
        paths.iter().filter_map(|path| path.parent().map(Path::to_path_buf)).collect();
    folders.sort();
    folders.dedup();
    paths.extend(folders);
    let mut waiting = futures::stream::iter(paths.into_iter().map(|path| {
        tokio::task::spawn_blocking(move || {
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(|error| StorageFailure::writing("sync", &path.to_string_lossy(), error))
        })
    }))
    .buffer_unordered(16);
    while let Some(joined) = waiting.next().await {
        joined.map_err(|error| Error::new(ErrorKind::Unexpected).because(error))??;
    }
    Ok(())
}
