//! Output as messages, line by line.

use std::io::{self, Write};

use serde_json::Map;

use crate::message::Stream;
use crate::session::Pipes;

/// Lines longer than this are sent in pieces.
const LONGEST_LINE_BYTES: usize = 8 * 1024;

/// A writer that sends each whole line as a message `log_external_stream`.
///
/// What stands after the last line feed is sent when the writer is flushed or dropped. Bytes that
/// are not UTF-8 arrive as `U+FFFD`.
#[derive(Debug)]
pub struct ExternalStream {
    pipes: Pipes,
    stream: Stream,
    pending: Vec<u8>,
}

impl ExternalStream {
    pub(crate) fn new(pipes: Pipes, stream: Stream) -> Self {
        Self { pipes, stream, pending: Vec::new() }
    }

    fn send(&mut self, length_bytes: usize) -> io::Result<()> {
        let rest = self.pending.split_off(length_bytes);
        let piece = std::mem::replace(&mut self.pending, rest);
        self.pipes
            .log_external_stream(self.stream, &String::from_utf8_lossy(&piece), &Map::new())
            .map_err(io::Error::other)
    }
}

impl Write for ExternalStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if let Some(last) = self.pending.iter().rposition(|byte| *byte == b'\n') {
            self.send(last + 1)?;
        }
        while self.pending.len() > LONGEST_LINE_BYTES {
            // Cut before a byte that starts a character, which is at most three bytes back.
            let cut = (LONGEST_LINE_BYTES - 3..=LONGEST_LINE_BYTES)
                .rev()
                .find(|index| self.pending.get(*index).is_some_and(|byte| byte & 0xC0 != 0x80))
                .unwrap_or(LONGEST_LINE_BYTES);
            self.send(cut)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() { Ok(()) } else { self.send(self.pending.len()) }
    }
}

impl Drop for ExternalStream {
    fn drop(&mut self) {
        drop(self.flush());
    }
}
