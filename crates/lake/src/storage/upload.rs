//! Writing one object: a small one by one request, a large one in parts.
//!
//! What is held in memory is the part that is being filled and those under way, whatever the size of the object. Parts
//! have the same size but for the last, since not every server takes others. An upload that is not finished is aborted,
//! also by dropping it; only a killed process leaves one, which a lifecycle rule of the bucket has to sweep.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use iceberg::io::FileWrite;
use object_store::{MultipartUpload, ObjectStore, PutMultipartOptions, PutPayload};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::answer::answer;
use super::failed;
use super::s3::Object;
use crate::error::{ErrorKind, StorageFailure};

/// The writer of one object.
pub(super) struct S3Write {
    object: Object,
    runtime: Handle,
    part: Vec<Bytes>,
    part_bytes: usize,
    total: u64,
    upload: Option<Upload>,
    is_closed: bool,
}

struct Upload {
    upload: Box<dyn MultipartUpload>,
    under_way: JoinSet<object_store::Result<()>>,
}

impl fmt::Debug for S3Write {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "S3Write({}, {} bytes)", self.object.address, self.total)
    }
}

impl S3Write {
    /// Must be called inside a runtime: parts are sent by its tasks.
    pub(super) fn new(object: Object) -> Self {
        Self {
            object,
            runtime: Handle::current(),
            part: Vec::new(),
            part_bytes: 0,
            total: 0,
            upload: None,
            is_closed: false,
        }
    }

    pub(super) async fn add(&mut self, mut bytes: Bytes) -> Result<(), StorageFailure> {
        self.must_be_open()?;
        self.total += bytes.len() as u64;
        while !bytes.is_empty() {
            // Sent only when more comes, so that an object of one full part is one request.
            if self.part_bytes == self.object.bucket.options.part_bytes {
                let sent = self.send_part().await;
                self.or_abort(sent).await?;
            }
            let room = self.object.bucket.options.part_bytes - self.part_bytes;
            let piece = bytes.split_to(room.min(bytes.len()));
            self.part_bytes += piece.len();
            self.part.push(piece);
        }
        Ok(())
    }

    /// Sends what is left; the object exists from now on.
    pub(super) async fn finish(&mut self) -> Result<(), StorageFailure> {
        self.must_be_open()?;
        if self.upload.is_none() {
            self.is_closed = true;
            let payload = self.take_part();
            return self.object.create(payload).await;
        }
        let finished = self.complete().await;
        self.or_abort(finished).await?;
        self.is_closed = true;
        self.upload = None;
        Ok(())
    }

    fn must_be_open(&self) -> Result<(), StorageFailure> {
        if !self.is_closed {
            return Ok(());
        }
        let reason = std::io::Error::other("the file is closed");
        let kind = ErrorKind::WarehouseUnwritable;
        Err(StorageFailure::of(kind, "write", &self.object.address, reason))
    }

    fn take_part(&mut self) -> PutPayload {
        self.part_bytes = 0;
        std::mem::take(&mut self.part).into_iter().collect()
    }

    async fn send_part(&mut self) -> Result<(), StorageFailure> {
        let payload = self.take_part();
        let object = self.object.clone();
        let unwritable = |error| object.unwritable("write a part of", error);
        if self.upload.is_none() {
            let options = PutMultipartOptions::default();
            let started = object.bucket.store.put_multipart_opts(&object.path, options).await;
            let upload = started.map_err(|error| object.unwritable("start writing", error))?;
            self.upload = Some(Upload { upload, under_way: JoinSet::new() });
        }
        if let Some(Upload { upload, under_way }) = &mut self.upload {
            while under_way.len() >= object.bucket.options.parts_in_flight {
                one_done(under_way).await.map_err(unwritable)?;
            }
            under_way.spawn_on(upload.put_part(payload), &self.runtime);
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), StorageFailure> {
        if self.part_bytes > 0 {
            self.send_part().await?;
        }
        let Some(Upload { upload, under_way }) = &mut self.upload else { return Ok(()) };
        while !under_way.is_empty() {
            let done = one_done(under_way).await;
            done.map_err(|error| self.object.unwritable("write a part of", error))?;
        }
        match upload.complete().await {
            Ok(_written) => Ok(()),
            // The upload is gone because an earlier try has completed it, whose answer got lost.
            Err(error)
                if answer(&error).is_some_and(|answer| answer.code == "NoSuchUpload")
                    && self.object.size().await.is_ok_and(|size| size == self.total) =>
            {
                Ok(())
            }
            Err(error) => Err(self.object.unwritable("finish writing", error)),
        }
    }

    /// Ends the upload when a part of it failed; what it has sent costs money until then.
    async fn or_abort(
        &mut self,
        outcome: Result<(), StorageFailure>,
    ) -> Result<(), StorageFailure> {
        if outcome.is_err() {
            self.is_closed = true;
            if let Some(upload) = self.upload.take() {
                upload.abort(&self.object.address).await;
            }
        }
        outcome
    }
}

impl Upload {
    async fn abort(mut self, address: &str) {
        // Parts under way are waited for and not called off: one that the server takes after the abortion would stay.
        while self.under_way.join_next().await.is_some() {}
        if let Err(error) = self.upload.abort().await {
            tracing::warn!(address, %error, "an unfinished upload could not be aborted");
        }
    }
}

/// Waits for one of the parts.
async fn one_done(under_way: &mut JoinSet<object_store::Result<()>>) -> object_store::Result<()> {
    match under_way.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(source)) => Err(object_store::Error::JoinError { source }),
        None => Ok(()),
    }
}

#[async_trait]
impl FileWrite for S3Write {
    async fn write(&mut self, bytes: Bytes) -> iceberg::Result<()> {
        self.add(bytes).await.map_err(failed)
    }

    async fn close(&mut self) -> iceberg::Result<()> {
        self.finish().await.map_err(failed)
    }
}

impl Drop for S3Write {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            let address = self.object.address.clone();
            // Nobody waits for it: a run that ends at once leaves the parts to the lifecycle rule.
            drop(self.runtime.spawn(async move { upload.abort(&address).await }));
        }
    }
}
