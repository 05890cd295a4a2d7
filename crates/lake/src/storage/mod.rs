//! Files of the warehouse: local ones and those on S3, told apart by the scheme of their addresses.
//!
//! The Apache crates read and write through [`LakeStorage`]; what a sweep needs beyond their trait, listing and deleting
//! many, is here, too. An address is text such as `file:///x/y` or `s3://bucket/x/y`; [`canonical`] is the one spelling
//! of it that may be compared.

mod answer;
mod credentials;
pub(crate) mod lent;
pub(crate) mod local;
pub(crate) mod options;
mod s3;
#[cfg(test)]
mod server_tests;
mod upload;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::io::{
    FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig,
    StorageFactory,
};
use serde::{Deserialize, Serialize};

use self::lent::Lent;
use self::options::S3Options;
use self::s3::S3Files;
use crate::error::{Result, StorageFailure};

pub(crate) use self::local::make_durable;

/// Addresses that are gathered before they are deleted: what one request of S3 takes.
const DELETE_BATCH: usize = 1000;

/// A file as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    /// Its address, as [`canonical`] spells it.
    pub(crate) address: String,
    pub(crate) bytes: u64,
    pub(crate) modified: SystemTime,
}

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// A path of this machine.
    Local(&'a str),
    /// An object of a bucket.
    S3 { bucket: &'a str, key: &'a str },
}

impl<'a> Place<'a> {
    pub(crate) fn of(address: &'a str) -> Self {
        // Hadoop wrote s3n and s3a into metadata where others write s3; they mean the same object.
        for scheme in ["s3://", "s3a://", "s3n://"] {
            if let Some(rest) = address.strip_prefix(scheme) {
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                return Self::S3 { bucket, key };
            }
        }
        Self::Local(address)
    }
}

/// The one spelling of an address: two addresses of the same file are equal by it.
pub(crate) fn canonical(address: &str) -> String {
    match Place::of(address) {
        Place::Local(path) => local::canonical(path),
        Place::S3 { bucket, key } => format!("s3://{bucket}/{key}"),
    }
}

fn failed(failure: StorageFailure) -> iceberg::Error {
    iceberg::Error::new(iceberg::ErrorKind::Unexpected, "The storage failed").with_source(failure)
}

/// The files of all tables of a lake. Cloning shares the connections.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct LakeStorage {
    s3: S3Files,
    /// Connections by keys that a catalog has lent, by the folder they are for.
    #[serde(skip)]
    lent: Arc<Mutex<BTreeMap<String, S3Files>>>,
}

impl LakeStorage {
    pub(crate) fn new(options: S3Options) -> Self {
        Self { s3: S3Files::new(options), lent: Arc::default() }
    }

    /// The same files by keys that are lent for a folder. From now on they are used for all that lies in it, also for what
    /// a sweep lists and deletes; keys that are lent later take their place.
    pub(crate) fn with(&self, lent: Lent, folder: &str) -> Self {
        let storage = Self::new(lent.options(self.s3.options()));
        let folder = format!("{}/", canonical(folder).trim_end_matches('/'));
        self.lent().insert(folder, storage.s3.clone());
        storage
    }

    fn lent(&self) -> MutexGuard<'_, BTreeMap<String, S3Files>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of lent keys that an object, or a folder, lies in, and who reaches it: the innermost, else nobody but us.
    fn s3(&self, bucket: &str, key: &str) -> (String, S3Files) {
        let address = format!("s3://{bucket}/{key}/");
        let lent = self.lent();
        let mut before = lent.range(..=address.clone()).rev();
        let found = before.find(|(folder, _)| address.starts_with(*folder));
        found.map_or_else(
            || (String::new(), self.s3.clone()),
            |(folder, files)| (folder.clone(), files.clone()),
        )
    }

    /// All files below a folder, in order of address. A folder that does not exist has none.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<Listed>> {
        let mut files = match Place::of(folder) {
            Place::Local(path) => local::list(path).await?,
            Place::S3 { bucket, key } => self.s3(bucket, key).1.list(bucket, key).await?,
        };
        files.sort();
        Ok(files)
    }

    /// Deletes the files. One that is already gone counts as deleted.
    pub(crate) async fn delete_many(&self, addresses: &[String]) -> Result<()> {
        self.remove(addresses).await.map_err(Into::into)
    }

    async fn remove(&self, addresses: &[String]) -> Result<(), StorageFailure> {
        let mut objects = BTreeMap::<(String, &str), (S3Files, Vec<&str>)>::new();
        for address in addresses {
            match Place::of(address) {
                Place::Local(path) => local::delete(path)?,
                Place::S3 { bucket, key } => {
                    let (folder, files) = self.s3(bucket, key);
                    let (_, keys) = objects.entry((folder, bucket)).or_insert((files, Vec::new()));
                    keys.push(key);
                }
            }
        }
        for ((_, bucket), (files, keys)) in objects {
            files.delete_many(bucket, &keys).await?;
        }
        Ok(())
    }
}

#[async_trait]
#[typetag::serde(name = "OlLakeStorage")]
impl Storage for LakeStorage {
    async fn exists(&self, path: &str) -> iceberg::Result<bool> {
        match Place::of(path) {
            Place::Local(path) => local::exists(path),
            Place::S3 { bucket, key } => self.s3(bucket, key).1.exists(bucket, key).await,
        }
        .map_err(failed)
    }

    async fn metadata(&self, path: &str) -> iceberg::Result<FileMetadata> {
        let size = match Place::of(path) {
            Place::Local(path) => local::size(path),
            Place::S3 { bucket, key } => self.s3(bucket, key).1.size(bucket, key).await,
        };
        size.map(|size| FileMetadata { size }).map_err(failed)
    }

    async fn read(&self, path: &str) -> iceberg::Result<Bytes> {
        match Place::of(path) {
            Place::Local(path) => local::read(path),
            Place::S3 { bucket, key } => self.s3(bucket, key).1.read(bucket, key).await,
        }
        .map_err(failed)
    }

    async fn reader(&self, path: &str) -> iceberg::Result<Box<dyn FileRead>> {
        match Place::of(path) {
            Place::Local(path) => local::reader(path),
            Place::S3 { bucket, key } => self.s3(bucket, key).1.reader(bucket, key).await,
        }
        .map_err(failed)
    }

    async fn write(&self, path: &str, bytes: Bytes) -> iceberg::Result<()> {
        match Place::of(path) {
            Place::Local(path) => local::write(path, &bytes),
            Place::S3 { bucket, key } => self.s3(bucket, key).1.write(bucket, key, bytes).await,
        }
        .map_err(failed)
    }

    async fn writer(&self, path: &str) -> iceberg::Result<Box<dyn FileWrite>> {
        match Place::of(path) {
            Place::Local(path) => local::writer(path),
            Place::S3 { bucket, key } => self.s3(bucket, key).1.writer(bucket, key).await,
        }
        .map_err(failed)
    }

    async fn delete(&self, path: &str) -> iceberg::Result<()> {
        self.remove(&[path.to_owned()]).await.map_err(failed)
    }

    async fn delete_prefix(&self, path: &str) -> iceberg::Result<()> {
        match Place::of(path) {
            Place::Local(path) => local::delete_folder(path).map_err(failed),
            Place::S3 { bucket, key } => {
                let listed = self.s3(bucket, key).1.list(bucket, key).await.map_err(failed)?;
                let found: Vec<String> = listed.into_iter().map(|file| file.address).collect();
                self.remove(&found).await.map_err(failed)
            }
        }
    }

    async fn delete_stream(&self, paths: BoxStream<'static, String>) -> iceberg::Result<()> {
        let mut batches = paths.ready_chunks(DELETE_BATCH);
        while let Some(batch) = batches.next().await {
            self.remove(&batch).await.map_err(failed)?;
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

/// Hands out the storage it was made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LakeStorageFactory(pub(crate) LakeStorage);

#[typetag::serde(name = "OlLakeStorageFactory")]
impl StorageFactory for LakeStorageFactory {
    fn build(&self, _config: &StorageConfig) -> iceberg::Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_file_have_one_spelling() {
        for (address, spelled) in [
            ("/x//y/", "file:///x/y"),
            ("file:/x/y", "file:///x/y"),
            ("file:///x/./y", "file:///x/y"),
            ("s3a://b/x/y", "s3://b/x/y"),
            ("s3n://b/x%2Fy z", "s3://b/x%2Fy z"),
            ("s3://b", "s3://b/"),
        ] {
            assert_eq!(canonical(address), spelled, "{address}");
            assert_eq!(canonical(spelled), spelled, "{address}");
        }
    }
}
