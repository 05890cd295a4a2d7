//! A blocking [`Write`] over the storage of the table, so that an encoded row group leaves memory as soon as it ends.

use std::io::{self, Write};

use bytes::Bytes;
use iceberg::io::FileWrite;
use tokio::runtime::Handle;

/// Writes smaller than this are gathered; one call to the storage costs a system call or a request.
const GATHER_BYTES: usize = 1 << 20;

pub(crate) struct Sink {
    file: Box<dyn FileWrite>,
    runtime: Handle,
    gathered: Vec<u8>,
}

impl Sink {
    pub(crate) fn new(file: Box<dyn FileWrite>, runtime: Handle) -> Self {
        Self { file, runtime, gathered: Vec::new() }
    }

    fn forward(&mut self, bytes: Bytes) -> io::Result<()> {
        self.runtime.block_on(self.file.write(bytes)).map_err(io::Error::other)
    }

    /// Writes what is left and closes the file.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.send()?;
        self.runtime.block_on(self.file.close()).map_err(io::Error::other)
    }

    fn send(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let gathered = std::mem::take(&mut self.gathered);
        self.forward(Bytes::from(gathered))
    }
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(buffer);
        if self.gathered.len() >= GATHER_BYTES {
            self.send()?;
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}
