//! Messages uploaded to S3 in numbered chunks, by a thread in the background.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};

use super::Channel;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::Inside;
use crate::message::{Level, Message};

/// Free text is dropped, and counted, once this much waits because the store cannot be reached.
const QUEUE_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// How often in a row the store may refuse a chunk for good before the channel gives up; more than
/// once, because fresh credentials and policies take a moment to be known everywhere.
const REFUSALS: u32 = 5;

/// When things happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// The longest a message waits before its upload starts.
    pub(crate) interval: Duration,
    /// How long closing waits for the uploads.
    pub(crate) join_timeout: Duration,
    /// The pause after the first failure; each further one doubles it.
    pub(crate) first_pause: Duration,
    /// The longest pause.
    pub(crate) longest_pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            join_timeout: Duration::from_secs(60),
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// Chunks `<prefix>/<n>.json` with n from 1 and no gaps.
///
/// The reader asks for one number after the other and never goes back. A chunk, once cut, is
/// therefore uploaded again with the same bytes until it is there, and only then is the next one
/// cut. The first chunk goes at once, so that Dagster learns early that the process is alive.
pub(crate) struct ObjectChannel {
    shared: Arc<Shared>,
    join_timeout: Duration,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    bucket: String,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<String>,
    size_bytes: usize,
    dropped: u64,
    closing: bool,
    /// Set by whoever no longer waits: the thread ends at its next step.
    abandoned: bool,
    done: bool,
    /// Why the chunk at hand is not there yet.
    last_error: Option<Error>,
    /// Why nothing more will be delivered.
    failure: Option<Error>,
}

impl ObjectChannel {
    /// Starts the thread.
    pub(crate) fn open(
        store: Arc<dyn ObjectStore>,
        bucket: &str,
        key_prefix: Option<&str>,
        timing: Timing,
    ) -> Result<Self> {
        let error = || Error::new(ErrorKind::Delivery).about("bucket", bucket);
        let prefix = Path::parse(key_prefix.unwrap_or_default())
            .map_err(|source| error().caused_by(source))?;
        let runtime = crate::object::runtime().map_err(|source| error().caused_by_io(source))?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            bucket: bucket.to_owned(),
        });
        let uploader = Uploader { store, prefix, timing, shared: Arc::clone(&shared) };
        std::thread::Builder::new()
            .name("pipes-messages".to_owned())
            .spawn(move || {
                let _inside = Inside::enter();
                let _done = Done(Arc::clone(&uploader.shared));
                uploader.run(&runtime);
            })
            .map_err(|source| error().caused_by_io(source))?;
        Ok(Self { shared, join_timeout: timing.join_timeout })
    }
}

impl Channel for ObjectChannel {
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        let mut line = message.to_line();
        line.pop(); // chunks are joined by line feeds and end without one
        let mut queue = self.shared.lock();
        if let Some(failure) = &queue.failure {
            return Err(failure.clone());
        }
        if message.is_droppable() && queue.size_bytes + line.len() > QUEUE_LIMIT_BYTES {
            queue.dropped += 1;
            return Ok(());
        }
        queue.size_bytes += line.len();
        queue.lines.push_back(line);
        self.shared.changed.notify_all();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut queue = self.shared.lock();
        queue.closing = true;
        self.shared.changed.notify_all();
        let (mut queue, timeout) = self
            .shared
            .changed
            .wait_timeout_while(queue, self.join_timeout, |queue| !queue.done)
            .unwrap_or_else(PoisonError::into_inner);
        queue.abandoned = true;
        self.shared.changed.notify_all();
        if let Some(failure) = &queue.failure {
            return Err(failure.clone());
        }
        if timeout.timed_out() {
            let error = Error::new(ErrorKind::DeliveryTimeout)
                .about("bucket", &*self.shared.bucket)
                .about("waited_seconds", self.join_timeout.as_secs().to_string());
            return Err(match queue.last_error.take() {
                Some(last_error) => error.caused_by(last_error),
                None => error,
            });
        }
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the waiting side that the thread has ended, however it did.
struct Done(Arc<Shared>);

impl Drop for Done {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.done = true;
        if !queue.lines.is_empty() && queue.failure.is_none() && !queue.abandoned {
            queue.failure = Some(
                Error::new(ErrorKind::Delivery)
                    .about("bucket", &*self.0.bucket)
                    .about("reason", "the uploading thread ended early"),
            );
        }
        self.0.changed.notify_all();
    }
}

struct Uploader {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    timing: Timing,
    shared: Arc<Shared>,
}

impl Uploader {
    fn run(&self, runtime: &tokio::runtime::Runtime) {
        let mut last_upload = None;
        for index in 1_u64.. {
            let Some(chunk) = self.next_chunk(last_upload) else { return };
            if let Err(error) = self.upload(runtime, index, &chunk) {
                self.shared.lock().failure = Some(error);
                return;
            }
            last_upload = Some(Instant::now());
        }
    }

    /// Waits until a chunk is due and cuts it; `None` when there will be no more.
    fn next_chunk(&self, last_upload: Option<Instant>) -> Option<PutPayload> {
        let mut queue = self.shared.lock();
        loop {
            if queue.abandoned {
                return None;
            }
            if queue.lines.is_empty() {
                if queue.closing {
                    return None;
                }
                queue = self.wait(queue, None);
                continue;
            }
            let remaining = last_upload
                .map_or(Duration::ZERO, |last| self.timing.interval.saturating_sub(last.elapsed()));
            if queue.closing || remaining.is_zero() {
                break;
            }
            queue = self.wait(queue, Some(remaining));
        }
        if queue.dropped > 0 {
            let text = format!("{} log messages were dropped: S3 was not reached", queue.dropped);
            let mut line = Message::Log { level: Level::Warning, text: &text }.to_line();
            line.pop();
            // Before the last line, which may be `closed`: nothing may follow that.
            let place = queue.lines.len().saturating_sub(1);
            queue.lines.insert(place, line);
            queue.dropped = 0;
        }
        queue.size_bytes = 0;
        let lines: Vec<String> = std::mem::take(&mut queue.lines).into();
        Some(PutPayload::from(lines.join("\n")))
    }

    /// Puts one chunk, again and again until it is there.
    fn upload(
        &self,
        runtime: &tokio::runtime::Runtime,
        index: u64,
        chunk: &PutPayload,
    ) -> Result<()> {
        let key = self.prefix.clone().join(format!("{index}.json"));
        let mut pause = self.timing.first_pause;
        let mut refusals = 0;
        loop {
            let Err(source) = runtime.block_on(self.store.put(&key, chunk.clone())) else {
                self.shared.lock().last_error = None;
                return Ok(());
            };
            let error = Error::new(ErrorKind::Delivery)
                .about("bucket", &*self.shared.bucket)
                .about("key", key.as_ref())
                .caused_by_object_store(source);
            refusals = if error.is_transient() { 0 } else { refusals + 1 };
            let mut queue = self.shared.lock();
            queue.last_error = Some(error.clone());
            if refusals >= REFUSALS || queue.abandoned {
                return Err(error);
            }
            let (queue, _) = self
                .shared
                .changed
                .wait_timeout_while(queue, pause, |queue| !queue.abandoned)
                .unwrap_or_else(PoisonError::into_inner);
            drop(queue);
            pause = self.timing.longest_pause.min(pause * 2);
        }
    }

    fn wait<'a>(
        &self,
        queue: MutexGuard<'a, Queue>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, Queue> {
        match timeout {
            None => self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                self.shared
                    .changed
                    .wait_timeout(queue, timeout)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        }
    }
}

#[cfg(test)]
#[path = "object_tests.rs"]
mod tests;
