//! The S3 server of the tests, as messages see it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use ol_testkit::{S3Fault, S3Then};

/// The one bucket of the server.
pub(crate) const BUCKET: &str = ol_testkit::S3Server::BUCKET;

/// A server on a folder of its own; stops when dropped.
pub(crate) struct S3Server(ol_testkit::S3Server);

impl S3Server {
    pub(crate) fn start() -> Self {
        Self(ol_testkit::S3Server::start())
    }

    /// The environment of a client, with an endpoint that must not be taken.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (OsString, OsString)> + use<> {
        let elsewhere = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1".to_owned());
        let variables = self.0.variables().into_iter().chain([elsewhere]);
        variables.map(|(name, value)| (name.into(), value.into()))
    }

    fn fail(&self, times: usize) {
        let answer = S3Then::answer(503, "ServiceUnavailable");
        self.0.fail(S3Fault { times, ..S3Fault::each("PUT", "", answer) });
    }

    /// Fails so many more uploads with 503, besides those that are still to fail.
    pub(crate) fn fail_puts(&self, count: usize) {
        self.fail(count);
    }

    /// Fails every upload with 503 until [`heal`](Self::heal).
    pub(crate) fn fail_all_puts(&self) {
        self.fail(usize::MAX);
    }

    /// Fails no more uploads.
    pub(crate) fn heal(&self) {
        self.0.heal();
    }

    /// How many uploads have been failed.
    pub(crate) fn failed_puts(&self) -> usize {
        self.0.faults_met()
    }

    /// Waits until the first upload under this prefix is there.
    pub(crate) fn wait_for_put(&self, prefix: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.objects(prefix).is_empty() {
            assert!(Instant::now() < deadline, "the upload never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stores an object by the side door.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        std::fs::write(self.0.bucket_folder(BUCKET).join(key), bytes).unwrap();
    }

    /// The objects right under the prefix, by the rest of their keys.
    pub(crate) fn objects(&self, prefix: &str) -> BTreeMap<String, String> {
        let Ok(entries) = std::fs::read_dir(self.0.bucket_folder(BUCKET).join(prefix)) else {
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

/// A bootstrap parameter, as Dagster writes it.
pub(crate) fn encode(value: &serde_json::Value) -> String {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(value.to_string().as_bytes()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap())
}
