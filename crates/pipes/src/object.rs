//! S3: the context read from it, and the store that messages are put into.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, RetryConfig};

use crate::error::{Error, ErrorKind, Result};
use crate::guard::Inside;

/// How long fetching the context is tried.
const CONTEXT_TIMEOUT: Duration = Duration::from_secs(60);

/// Who repeats a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The store itself, for as long as [`CONTEXT_TIMEOUT`].
    ByStore,
    /// The caller; the store tries once.
    ByCaller,
}

/// The store of a bucket, configured by the standard variables: `AWS_ENDPOINT_URL_S3` before
/// `AWS_ENDPOINT_URL`, keys, web identity token files, container and instance credentials.
/// Plain HTTP is used where the endpoint asks for it.
pub(crate) fn store(
    bucket: &str,
    variables: &BTreeMap<OsString, OsString>,
    retry: Retry,
) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::new();
    let mut allow_http = false;
    for (name, value) in variables {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if !name.starts_with("AWS_") {
            continue;
        }
        if name.starts_with("AWS_ENDPOINT") && value.starts_with("http://") {
            allow_http = true;
        }
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    if allow_http {
        builder = builder.with_allow_http(true);
    }
    let retries = match retry {
        Retry::ByStore => RetryConfig { retry_timeout: CONTEXT_TIMEOUT, ..RetryConfig::default() },
        Retry::ByCaller => RetryConfig { max_retries: 0, ..RetryConfig::default() },
    };
    match builder.with_bucket_name(bucket).with_retry(retries).build() {
        Ok(store) => Ok(Arc::new(store)),
        Err(source) => Err(Error::new(ErrorKind::Delivery)
            .about("bucket", bucket)
            .caused_by_object_store(source)),
    }
}

/// The bytes of one object.
///
/// Runs on a thread of its own, so that it may be called from within an asynchronous runtime.
pub(crate) fn fetch(
    bucket: &str,
    key: &str,
    variables: &BTreeMap<OsString, OsString>,
) -> Result<Vec<u8>> {
    let store = store(bucket, variables, Retry::ByStore)?;
    let error =
        || Error::new(ErrorKind::ContextUnreadable).about("bucket", bucket).about("key", key);
    let location = Path::parse(key).map_err(|source| error().caused_by(source))?;
    let fetching = move || -> std::result::Result<Vec<u8>, Failure> {
        let _inside = Inside::enter();
        let runtime = runtime().map_err(Failure::Io)?;
        runtime
            .block_on(async { store.get(&location).await?.bytes().await })
            .map(|bytes| bytes.to_vec())
            .map_err(Failure::Store)
    };
    let thread = std::thread::Builder::new()
        .name("pipes-context".to_owned())
        .spawn(fetching)
        .map_err(|source| error().caused_by_io(source))?;
    match thread.join() {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Failure::Io(source))) => Err(error().caused_by_io(source)),
        Ok(Err(Failure::Store(source))) => Err(error().caused_by_object_store(source)),
        Err(_panic) => Err(error().about("reason", "the reading thread panicked")),
    }
}

enum Failure {
    Io(std::io::Error),
    Store(object_store::Error),
}

/// A runtime for the current thread alone.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
