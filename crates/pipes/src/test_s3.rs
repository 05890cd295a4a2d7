//! A real S3-compatible server within the test process, that can be told to fail.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s::{S3ErrorCode, S3Result, s3_error};

/// The one bucket of the server.
pub(crate) const BUCKET: &str = "pipes";

/// A server on a folder of its own; stops when dropped.
pub(crate) struct S3Server {
    address: SocketAddr,
    folder: tempfile::TempDir,
    faults: Arc<Faults>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// Answers uploads with 503 for as long as it is told, before the server itself sees them.
#[derive(Default)]
struct Faults {
    to_fail: AtomicU32,
    failed: AtomicU32,
    let_through: AtomicU32,
}

struct FaultyAccess(Arc<Faults>);

#[async_trait::async_trait]
impl S3Access for FaultyAccess {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        if request.credentials().is_none() {
            return Err(s3_error!(AccessDenied));
        }
        if request.s3_op().name() != "PutObject" {
            return Ok(());
        }
        let take = |left: u32| left.checked_sub(1);
        if self.0.to_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
            self.0.failed.fetch_add(1, Ordering::SeqCst);
            return Err(S3ErrorCode::ServiceUnavailable.into());
        }
        self.0.let_through.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl S3Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let faults = Arc::new(Faults::default());
        let service = {
            let mut builder =
                S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
            builder.set_auth(SimpleAuth::from_single("key", "secret"));
            builder.set_access(FaultyAccess(Arc::clone(&faults)));
            builder.build()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                connections.spawn(async move {
                    let builder =
                        hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    // A client that goes away is no failure of the server.
                    drop(builder.serve_connection(TokioIo::new(socket), service).await);
                });
            }
        });
        Self { address, folder, faults, runtime: Some(runtime) }
    }

    /// The environment of a client.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (OsString, OsString)> + use<> {
        [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1".to_owned()),
            ("AWS_ENDPOINT_URL_S3", format!("http://{}", self.address)),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
    }

    /// Fails so many more uploads with 503, besides those that are still to fail.
    pub(crate) fn fail_puts(&self, count: u32) {
        self.faults.to_fail.fetch_add(count, Ordering::SeqCst);
    }

    /// Fails every upload with 503 until [`heal`](Self::heal).
    pub(crate) fn fail_all_puts(&self) {
        self.faults.to_fail.store(u32::MAX, Ordering::SeqCst);
    }

    /// Fails no more uploads.
    pub(crate) fn heal(&self) {
        self.faults.to_fail.store(0, Ordering::SeqCst);
    }

    /// How many uploads have been failed.
    pub(crate) fn failed_puts(&self) -> u32 {
        self.faults.failed.load(Ordering::SeqCst)
    }

    /// Waits until the uploads are there.
    pub(crate) fn wait_for_puts(&self, count: u32) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.faults.let_through.load(Ordering::SeqCst) < count
            || self.objects("").is_empty() && self.objects("run/z").is_empty()
        {
            assert!(Instant::now() < deadline, "the uploads never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stores an object by the side door.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(BUCKET).join(key), bytes).unwrap();
    }

    /// The objects right under the prefix, by the rest of their keys.
    pub(crate) fn objects(&self, prefix: &str) -> BTreeMap<String, String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join(BUCKET).join(prefix)) else {
            return BTreeMap::new();
        };
        entries
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().extension().is_some_and(|suffix| suffix == "json"))
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read_to_string(entry.path()).unwrap())
            })
            .collect()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A bootstrap parameter, as Dagster writes it.
pub(crate) fn encode(value: &serde_json::Value) -> String {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(value.to_string().as_bytes()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap())
}
