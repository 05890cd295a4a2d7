//! Objects of a warehouse on S3: one client a bucket, made when it is first asked for.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use iceberg::io::{FileRead, FileWrite};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    RetryConfig,
};
use ol_chassis::clock::{Clock, SystemClock};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::answer::{Connector, answer, failure, is_lost};
use super::credentials::Surroundings;
use super::options::{S3Addressing, S3Encryption, S3Options};
use super::upload::S3Write;
use super::{Listed, failed};
use crate::error::{ErrorKind, StorageFailure};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// All objects of all buckets that the same keys open.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct S3Files {
    options: S3Options,
    #[serde(skip)]
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    surroundings: OnceCell<Surroundings>,
    buckets: Mutex<HashMap<String, Arc<Bucket>>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shared")
    }
}

impl S3Files {
    pub(super) fn new(options: S3Options) -> Self {
        Self { options, shared: Arc::default() }
    }

    pub(super) fn options(&self) -> &S3Options {
        &self.options
    }

    async fn bucket(&self, name: &str) -> Result<Arc<Bucket>, StorageFailure> {
        let buckets = || self.shared.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets().get(name) {
            return Ok(Arc::clone(bucket));
        }
        let look = || Surroundings::look(&self.options);
        let surroundings = self.shared.surroundings.get_or_init(look).await;
        let bucket = Bucket::open(name, &self.options, surroundings).map_err(|error| {
            StorageFailure::of(ErrorKind::Settings, "open", &format!("s3://{name}"), error)
        })?;
        Ok(Arc::clone(buckets().entry(name.to_owned()).or_insert_with(|| Arc::new(bucket))))
    }

    async fn object(&self, bucket: &str, key: &str) -> Result<Object, StorageFailure> {
        let address = format!("s3://{bucket}/{key}");
        let path = Path::parse(key).map_err(|error| {
            StorageFailure::of(ErrorKind::WarehouseUnreadable, "name", &address, error)
        })?;
        if path.as_ref() != key || key.is_empty() {
            let reason = std::io::Error::other("a key neither begins nor ends with a slash");
            return Err(StorageFailure::of(
                ErrorKind::WarehouseUnreadable,
                "name",
                &address,
                reason,
            ));
        }
        Ok(Object { bucket: self.bucket(bucket).await?, path, address })
    }

    pub(super) async fn exists(&self, bucket: &str, key: &str) -> Result<bool, StorageFailure> {
        let object = self.object(bucket, key).await?;
        match object.bucket.store.head(&object.path).await {
            Ok(_found) => Ok(true),
            Err(error) if answer(&error).is_some_and(|answer| answer.status == 404) => Ok(false),
            Err(error) => Err(object.unreadable("look for", object.explained(error).await)),
        }
    }

    pub(super) async fn size(&self, bucket: &str, key: &str) -> Result<u64, StorageFailure> {
        self.object(bucket, key).await?.size().await
    }

    pub(super) async fn read(&self, bucket: &str, key: &str) -> Result<Bytes, StorageFailure> {
        self.object(bucket, key).await?.read().await
    }

    pub(super) async fn reader(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Box<dyn FileRead>, StorageFailure> {
        Ok(Box::new(S3Read(self.object(bucket, key).await?)))
    }

    pub(super) async fn write(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
    ) -> Result<(), StorageFailure> {
        let mut writer = S3Write::new(self.object(bucket, key).await?);
        writer.add(bytes).await?;
        writer.finish().await
    }

    pub(super) async fn writer(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Box<dyn FileWrite>, StorageFailure> {
        Ok(Box::new(S3Write::new(self.object(bucket, key).await?)))
    }

    /// All objects below a folder.
    pub(super) async fn list(
        &self,
        bucket: &str,
        folder: &str,
    ) -> Result<Vec<Listed>, StorageFailure> {
        let address = format!("s3://{bucket}/{folder}");
        let unreadable = |error| failure("list", &address, ErrorKind::WarehouseUnreadable, error);
        let folder = Path::parse(folder).map_err(|error| unreadable(error.into()))?;
        let store = &self.bucket(bucket).await?.store;
        store
            .list(Some(&folder))
            .map_ok(|object| Listed {
                address: format!("s3://{bucket}/{}", object.location),
                bytes: object.size,
                modified: SystemTime::from(object.last_modified),
            })
            .try_collect()
            .await
            .map_err(unreadable)
    }

    /// Deletes objects, as many as the server takes in one request.
    pub(super) async fn delete_many(
        &self,
        bucket: &str,
        keys: &[&str],
    ) -> Result<(), StorageFailure> {
        let mut paths = Vec::with_capacity(keys.len());
        for key in keys {
            paths.push(self.object(bucket, key).await?.path);
        }
        let address = match keys {
            [key] => format!("s3://{bucket}/{key}"),
            _many => format!("s3://{bucket}"),
        };
        let bucket = self.bucket(bucket).await?;
        // Deleting again what is gone is no failure, so a lost answer is asked for again.
        let delete = || {
            let paths = futures::stream::iter(paths.clone()).map(Ok).boxed();
            bucket.store.delete_stream(paths).try_for_each(|_path| async { Ok(()) })
        };
        bucket
            .until_answered(delete)
            .await
            .map_err(|error| failure("delete", &address, ErrorKind::WarehouseUnwritable, error))
    }
}

/// The client of one bucket.
pub(super) struct Bucket {
    pub(super) store: AmazonS3,
    pub(super) options: S3Options,
    name: String,
    /// The server has said that it does not know how to write only what is not there.
    always_overwrites: AtomicBool,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Bucket({})", self.name)
    }
}

impl Bucket {
    fn open(
        name: &str,
        options: &S3Options,
        surroundings: &Surroundings,
    ) -> object_store::Result<Self> {
        let endpoint =
            surroundings.endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/'));
        let in_host = match options.addressing {
            S3Addressing::Auto => endpoint.is_none() && !name.contains('.'),
            S3Addressing::Path => false,
            S3Addressing::Host => true,
        };
        let client = ClientOptions::new()
            .with_connect_timeout(options.connect_timeout)
            .with_timeout(options.request_timeout)
            .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")));
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(&surroundings.region)
            .with_credentials(Arc::clone(&surroundings.credentials))
            .with_virtual_hosted_style_request(in_host)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_http_connector(Connector)
            .with_client_options(client)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: FIRST_PAUSE,
                    max_backoff: LONGEST_PAUSE,
                    base: 2.0,
                },
                max_retries: options.retries,
                ..RetryConfig::default()
            });
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(match endpoint.split_once("://") {
                Some((scheme, host)) if in_host => format!("{scheme}://{name}.{host}"),
                _in_path => endpoint.to_owned(),
            });
        }
        let (algorithm, key_id) = match &options.encryption {
            None => (None, None),
            Some(S3Encryption::S3) => (Some("AES256"), None),
            Some(S3Encryption::Kms { key_id }) => (Some("aws:kms"), key_id.as_ref()),
            Some(S3Encryption::DualKms { key_id }) => (Some("aws:kms:dsse"), key_id.as_ref()),
        };
        // The builder's own functions for KMS demand a key, and the account's own has no name.
        if let Some(algorithm) = algorithm {
            let setting: AmazonS3ConfigKey = "aws_server_side_encryption".parse()?;
            builder = builder.with_config(setting, algorithm);
        }
        if let Some(key_id) = key_id {
            builder = builder.with_config("aws_sse_kms_key_id".parse()?, key_id);
        }
        Ok(Self {
            store: builder.build()?,
            options: options.clone(),
            name: name.to_owned(),
            always_overwrites: AtomicBool::new(false),
        })
    }

    /// Asks again what may be asked twice, for as long as answers get lost.
    async fn until_answered<T, F>(&self, ask: impl Fn() -> F) -> object_store::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut pause = FIRST_PAUSE;
        for _retry in 0..self.options.retries {
            match ask().await {
                Err(error) if is_lost(&error) => {
                    tracing::info!(bucket = self.name, %error, "an answer of S3 got lost");
                }
                other => return other,
            }
            SystemClock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        ask().await
    }
}

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) bucket: Arc<Bucket>,
    pub(super) path: Path,
    pub(super) address: String,
}

impl Object {
    fn unreadable(&self, action: &'static str, error: object_store::Error) -> StorageFailure {
        failure(action, &self.address, ErrorKind::WarehouseUnreadable, error)
    }

    pub(super) fn unwritable(
        &self,
        action: &'static str,
        error: object_store::Error,
    ) -> StorageFailure {
        failure(action, &self.address, ErrorKind::WarehouseUnwritable, error)
    }

    pub(super) async fn size(&self) -> Result<u64, StorageFailure> {
        match self.bucket.store.head(&self.path).await {
            Ok(found) => Ok(found.size),
            Err(error) => Err(self.unreadable("look at", self.explained(error).await)),
        }
    }

    /// An answer to HEAD has no body and so no code; the same question by GET is told why.
    async fn explained(&self, error: object_store::Error) -> object_store::Error {
        if answer(&error).is_none_or(|answer| !answer.code.is_empty()) {
            return error;
        }
        match self.bucket.store.get_range(&self.path, 0..1).await {
            Ok(_byte) => error,
            Err(told) => told,
        }
    }

    async fn read(&self) -> Result<Bytes, StorageFailure> {
        let read = async { self.bucket.store.get(&self.path).await?.bytes().await };
        read.await.map_err(|error| self.unreadable("read", error))
    }

    /// Writes an object that is not there yet, with one request.
    ///
    /// No name is used twice, so an object that is there already is either what an earlier try of this request has
    /// written while its answer got lost, or somebody else's, which is not overwritten.
    pub(super) async fn create(&self, payload: PutPayload) -> Result<(), StorageFailure> {
        let mut pause = FIRST_PAUSE;
        let mut retries = self.bucket.options.retries;
        loop {
            let mode = match self.bucket.always_overwrites.load(Ordering::Relaxed) {
                true => PutMode::Overwrite,
                false => PutMode::Create,
            };
            let options = PutOptions { mode, ..PutOptions::default() };
            let put = self.bucket.store.put_opts(&self.path, payload.clone(), options);
            let error = match put.await {
                Ok(_written) => return Ok(()),
                Err(error) => error,
            };
            match answer(&error).map(|answer| answer.status) {
                Some(412) => return self.must_hold(&payload).await,
                Some(501) if !self.bucket.always_overwrites.swap(true, Ordering::Relaxed) => {
                    tracing::info!(
                        bucket = self.bucket.name,
                        "the server cannot refuse to overwrite; names alone keep files apart"
                    );
                    continue;
                }
                // Two requests for one name at the same time: one of them is told to ask again.
                Some(409) if retries > 0 => {}
                None if is_lost(&error) && retries > 0 => {}
                _final => return Err(self.unwritable("write", error)),
            }
            retries -= 1;
            SystemClock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn must_hold(&self, payload: &PutPayload) -> Result<(), StorageFailure> {
        let found = self.read().await?;
        let mut rest = found.as_ref();
        let is_ours = found.len() == payload.content_length()
            && payload.iter().all(|piece| {
                let (here, after) = rest.split_at(piece.len());
                rest = after;
                here == piece
            });
        if is_ours {
            return Ok(());
        }
        let reason = std::io::Error::new(
            std::io::ErrorKind::AlreadyExists,
            "another object has this name already",
        );
        Err(StorageFailure::of(ErrorKind::WarehouseUnwritable, "write", &self.address, reason))
    }
}

#[derive(Debug)]
struct S3Read(Object);

#[async_trait]
impl FileRead for S3Read {
    async fn read(&self, range: Range<u64>) -> iceberg::Result<Bytes> {
        // S3 has no way to ask for nothing.
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let read = self.0.bucket.store.get_range(&self.0.path, range).await;
        read.map_err(|error| failed(self.0.unreadable("read", error)))
    }
}
