//! Messages among the output of the process, which the orchestrator picks out of a pod's log.

use std::io::{self, Write};

use super::Channel;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, Stream};

/// The longest line, line feed included, that a container runtime keeps in one piece.
///
/// The Container Runtime Interface cuts at 16 KiB. Dagster puts the pieces together again unless
/// the connection breaks between them, so free text is split below the limit and other messages,
/// which cannot be split, go out whole.
const LONGEST_LINE_BYTES: usize = 16 * 1024 - 1;

/// One message a line, written at once.
///
/// Dagster joins two lines of one timestamp and then loses both; runtimes stamp in nanoseconds per
/// line, so each line is a write of its own. The standard library's lock of the stream is held
/// meanwhile, so a line of a logger that uses the same lock never lands inside a message. Where
/// every message counts, Dagster should be told to read from S3.
pub(crate) struct StdioChannel {
    stream: Stream,
}

impl StdioChannel {
    pub(crate) fn open(stream: Stream) -> Self {
        Self { stream }
    }
}

impl Channel for StdioChannel {
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        for line in message.to_lines(LONGEST_LINE_BYTES) {
            write_line(self.stream, &line)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// All messages at the end, one a line and one a write.
pub(crate) struct BufferedStdioChannel {
    stream: Stream,
    lines: Vec<String>,
}

impl BufferedStdioChannel {
    pub(crate) fn open(stream: Stream) -> Self {
        Self { stream, lines: Vec::new() }
    }
}

impl Channel for BufferedStdioChannel {
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        self.lines.extend(message.to_lines(LONGEST_LINE_BYTES));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.lines.iter().try_for_each(|line| write_line(self.stream, line))
    }
}

fn write_line(stream: Stream, line: &str) -> Result<()> {
    fn write_to(mut stream: impl Write, line: &str) -> io::Result<()> {
        // What stands in the buffer of standard output goes first, in a write of its own.
        stream.flush()?;
        stream.write_all(line.as_bytes())?;
        stream.flush()
    }
    match stream {
        Stream::Stdout => write_to(io::stdout().lock(), line),
        Stream::Stderr => write_to(io::stderr().lock(), line),
    }
    .map_err(|source| {
        Error::new(ErrorKind::Delivery).about("stream", stream.name()).caused_by_io(source)
    })
}
