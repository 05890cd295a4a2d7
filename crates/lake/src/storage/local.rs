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

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use iceberg::io::{FileRead, FileWrite};

use super::{Listed, Place, failed};
use crate::error::{Error, ErrorKind, Result, StorageFailure};

/// The local path of an address such as `file:///x/y` or `/x/y`.
fn local_path(address: &str) -> PathBuf {
    let path = address.strip_prefix("file://").or_else(|| address.strip_prefix("file:"));
    PathBuf::from(path.unwrap_or(address))
}

/// The address under which files of this warehouse stand in the metadata.
fn address(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// See [`super::canonical`].
pub(super) fn canonical(text: &str) -> String {
    address(&local_path(text).components().collect::<PathBuf>())
}

fn create(address: &str) -> Result<File, StorageFailure> {
    let path = local_path(address);
    let create = || File::options().write(true).create_new(true).open(&path);
    let file = match create() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(folder).map_err(|error| {
                StorageFailure::writing("create folder", &folder.to_string_lossy(), error)
            })?;
            create()
        }
        other => other,
    };
    file.map_err(|error| StorageFailure::writing("create", address, error))
}

pub(super) fn exists(path: &str) -> Result<bool, StorageFailure> {
    local_path(path).try_exists().map_err(|error| StorageFailure::reading("look for", path, error))
}

pub(super) fn size(path: &str) -> Result<u64, StorageFailure> {
    let metadata = fs::metadata(local_path(path))
        .map_err(|error| StorageFailure::reading("look at", path, error))?;
    Ok(metadata.len())
}

pub(super) fn read(path: &str) -> Result<Bytes, StorageFailure> {
    fs::read(local_path(path))
        .map(Bytes::from)
        .map_err(|error| StorageFailure::reading("read", path, error))
}

pub(super) fn reader(path: &str) -> Result<Box<dyn FileRead>, StorageFailure> {
    let file = File::open(local_path(path))
        .map_err(|error| StorageFailure::reading("open", path, error))?;
    Ok(Box::new(LocalRead { file, address: path.to_owned() }))
}

pub(super) fn write(path: &str, bytes: &[u8]) -> Result<(), StorageFailure> {
    create(path)?.write_all(bytes).map_err(|error| StorageFailure::writing("write", path, error))
}

pub(super) fn writer(path: &str) -> Result<Box<dyn FileWrite>, StorageFailure> {
    Ok(Box::new(LocalWrite { file: Some(create(path)?), address: path.to_owned() }))
}

pub(super) fn delete(path: &str) -> Result<(), StorageFailure> {
    match fs::remove_file(local_path(path)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageFailure::writing("delete", path, error))
        }
        _gone => Ok(()),
    }
}

pub(super) fn delete_folder(path: &str) -> Result<(), StorageFailure> {
    match fs::remove_dir_all(local_path(path)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageFailure::writing("delete folder", path, error))
        }
        _gone => Ok(()),
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

/// All files below a folder. A folder that does not exist has none.
pub(super) async fn list(folder: &str) -> Result<Vec<Listed>> {
    let folder = local_path(&canonical(folder));
    let listed = tokio::task::spawn_blocking(move || {
        let mut files = Vec::new();
        list_into(&folder, &mut files)?;
        Ok::<_, StorageFailure>(files)
    });
    Ok(listed.await.map_err(|error| Error::new(ErrorKind::Unexpected).because(error))??)
}

fn list_into(folder: &Path, files: &mut Vec<Listed>) -> Result<(), StorageFailure> {
    let failed =
        |path: &Path, error| StorageFailure::reading("list", &path.to_string_lossy(), error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(folder, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| failed(folder, error))?;
        let path = entry.path();
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Deleted while it was listed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&path, error)),
        };
        if metadata.is_dir() {
            list_into(&path, files)?;
        } else {
            let modified = metadata.modified().map_err(|error| failed(&path, error))?;
            files.push(Listed { address: address(&path), bytes: metadata.len(), modified });
        }
    }
    Ok(())
}

/// Waits until the files and the folder entries that name them have reached the disk.
///
/// A killed process does not need this, a power loss does: a catalog must not name a file that is not there. Objects on
/// S3 are durable once they are written.
pub(crate) async fn make_durable(addresses: Vec<String>) -> Result<()> {
    let is_local = |address: &&String| matches!(Place::of(address), Place::Local(_));
    let mut paths: Vec<PathBuf> =
        addresses.iter().filter(is_local).map(|address| local_path(address)).collect();
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
