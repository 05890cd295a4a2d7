//! Messages appended to a file that the orchestrator tails.

use std::fs::{File, OpenOptions};
use std::io::Write as _;

use super::Channel;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;

/// One message a line, and one `write(2)` a line in append mode.
///
/// Dagster's reader parses whatever it finds at the end of the file, even half a line, and stops
/// for good when it is not JSON. A line therefore must become visible at once; the kernel grants
/// that for a single small write, and no more can be done from this side for a large one.
pub(crate) struct FileChannel {
    file: File,
    path: String,
}

impl FileChannel {
    /// Opens the file for appending; creates it if the reader has not.
    pub(crate) fn open(path: &str) -> Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(|source| {
            Error::new(ErrorKind::Delivery).about("path", path).caused_by_io(source)
        })?;
        Ok(Self { file, path: path.to_owned() })
    }
}

impl Channel for FileChannel {
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        self.file.write_all(message.to_line().as_bytes()).map_err(|source| {
            Error::new(ErrorKind::Delivery).about("path", &*self.path).caused_by_io(source)
        })
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
