//! Messages appended to a file that the orchestrator tails.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

use super::Channel;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;

/// The unit in which the kernel makes a growing file visible to readers.
const PAGE_BYTES: u64 = 4096;

/// The longest line that fits a page.
const LONGEST_LINE_BYTES: usize = 4096;

/// One message a line, one `write(2)` a line in append mode, and each line from the start of a page.
///
/// Dagster's reader parses whatever it finds at the end of the file, even half a line, and stops for
/// good when that is not JSON: all later messages are lost, and the step passes. The kernel grows a
/// file page by page, so a line that crosses a page can be seen in halves (measured on ext4: up to
/// 16 of 1000 lines while the reader is awake). Spaces before the line feed therefore fill the rest
/// of the page, and free text is split. A message that is longer than a page, which only large
/// metadata or payloads make, keeps a small chance of being seen in halves.
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

    fn append(&mut self, mut line: String) -> io::Result<()> {
        let length_bytes = self.file.metadata()?.len() + line.len() as u64;
        let rest_bytes = (PAGE_BYTES - length_bytes % PAGE_BYTES) % PAGE_BYTES;
        line.pop();
        line.extend(std::iter::repeat_n(' ', usize::try_from(rest_bytes).unwrap_or_default()));
        line.push('\n');
        self.file.write_all(line.as_bytes())
    }
}

impl Channel for FileChannel {
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        message.to_lines(LONGEST_LINE_BYTES).into_iter().try_for_each(|line| {
            self.append(line).map_err(|source| {
                Error::new(ErrorKind::Delivery).about("path", &*self.path).caused_by_io(source)
            })
        })
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::{Value, json};

    use super::*;
    use crate::message::Level;

    #[test]
    fn every_line_fills_whole_pages_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("messages");
        let mut channel = Box::new(FileChannel::open(path.to_str().unwrap()).unwrap());
        for size in [0, 1, 4_005, 4_006, 4_007, 4_008, 4_009, 9_000] {
            channel.send(Message::Custom(&json!("x".repeat(size)))).unwrap();
        }
        let text = "y".repeat(9_000);
        channel.send(Message::Log { level: Level::Info, text: &text }).unwrap();
        channel.finish().unwrap();
        let written = std::fs::read_to_string(path).unwrap();
        let mut logged = String::new();
        for line in written.split_inclusive('\n') {
            assert_eq!(line.len() as u64 % PAGE_BYTES, 0, "{}", line.len());
            let message: Value = serde_json::from_str(line).unwrap();
            if let Some(text) = message.pointer("/params/message") {
                assert_eq!(line.len(), LONGEST_LINE_BYTES);
                logged.push_str(text.as_str().unwrap());
            }
        }
        assert_eq!(logged, text);
    }
}
