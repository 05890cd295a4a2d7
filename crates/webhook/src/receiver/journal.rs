//! The journal: a line of JSON for every request, in the order in which they were decided.
//!
//! The user asked for it by naming a file, so it holds what no log may: bodies. One task writes it.
//! Requests hand their entry over and are answered without waiting for the disk, unless the writer
//! falls behind by [`BACKLOG`] entries; whatever has come together meanwhile is written and flushed
//! at once.

use std::path::PathBuf;
use std::time::SystemTime;

use hyper::body::Bytes;
use ol_chassis::Error;
use ol_chassis::clock::rfc3339;
use ol_chassis::shutdown::Shutdown;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::signature::hex;

/// How many entries wait for the writer. Each holds on to a body of up to 2.5 MiB.
const BACKLOG: usize = 64;

/// A request, as it is handed to the writer.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: SystemTime,
    pub(super) method: String,
    pub(super) path: String,
    /// None when the request was dropped.
    pub(super) status: Option<u16>,
    pub(super) webhook_id: Option<String>,
    pub(super) entity: Option<String>,
    pub(super) body_bytes: u64,
    /// None when it was too long to be kept.
    pub(super) body: Option<Bytes>,
    pub(super) signature_valid: bool,
    /// None when the request carries no signature of this form.
    pub(super) standard_valid: Option<bool>,
}

#[derive(Serialize)]
struct Line<'a> {
    sequence: u64,
    at: String,
    method: &'a str,
    path: &'a str,
    status: Option<u16>,
    webhook_id: Option<&'a str>,
    entity: Option<&'a str>,
    body_bytes: u64,
    body_sha256: Option<String>,
    body: Option<&'a str>,
    signature_valid: bool,
    standard_valid: Option<bool>,
}

/// An opened journal, not yet written.
pub(super) struct Journal {
    path: PathBuf,
    file: tokio::fs::File,
    entries: mpsc::Receiver<Entry>,
}

impl Journal {
    /// Opens a file to append to.
    pub(super) async fn open(path: PathBuf) -> Result<(Self, mpsc::Sender<Entry>), Error> {
        let opened = tokio::fs::OpenOptions::new().create(true).append(true).open(&path).await;
        let file = opened
            .map_err(|source| ol_chassis::fs::failure("Cannot open the journal", &path, source))?;
        let (sender, entries) = mpsc::channel(BACKLOG);
        Ok((Self { path, file, entries }, sender))
    }

    /// Writes entries until `ending`, and what has been handed over by then.
    pub(super) async fn write(mut self, ending: Shutdown) -> Result<(), Error> {
        let mut batch = Vec::with_capacity(BACKLOG);
        let mut lines = Vec::new();
        let mut sequence = 0;
        loop {
            let count = tokio::select! {
                count = self.entries.recv_many(&mut batch, BACKLOG) => count,
                () = ending.requested(), if !self.entries.is_closed() => {
                    self.entries.close();
                    continue;
                }
            };
            if count == 0 {
                return Ok(());
            }
            lines.clear();
            for entry in batch.drain(..) {
                sequence += 1;
                append(&mut lines, sequence, &entry);
            }
            let written = async {
                self.file.write_all(&lines).await?;
                self.file.flush().await
            };
            written.await.map_err(|source| {
                ol_chassis::fs::failure("Cannot write the journal", &self.path, source)
            })?;
        }
    }
}

fn append(lines: &mut Vec<u8>, sequence: u64, entry: &Entry) {
    let line = Line {
        sequence,
        at: rfc3339(entry.at),
        method: &entry.method,
        path: &entry.path,
        status: entry.status,
        webhook_id: entry.webhook_id.as_deref(),
        entity: entry.entity.as_deref(),
        body_bytes: entry.body_bytes,
        body_sha256: entry.body.as_ref().map(|body| hex(&Sha256::digest(body))),
        body: entry.body.as_ref().and_then(|body| std::str::from_utf8(body).ok()),
        signature_valid: entry.signature_valid,
        standard_valid: entry.standard_valid,
    };
    serde_json::to_writer(&mut *lines, &line).expect("texts and numbers are JSON");
    lines.push(b'\n');
}
