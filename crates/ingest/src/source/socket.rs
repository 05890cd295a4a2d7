//! The bytes below the sources' own protocols: a TCP or Unix socket, encrypted or not, and what has arrived on it.
//!
//! It blocks on purpose: a reader owns its thread, and the only other thing it ever waits for is room in the encoder's
//! queue, which is the back-pressure we want. Reads time out every half second, so that a request to stop is seen within
//! that time. What arrives is decoded in place, in one read buffer.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ol_chassis::shutdown::Shutdown;
use rustls::{ClientConnection, StreamOwned};

/// How often a blocked read looks up to see whether it should stop.
pub(crate) const POLL: Duration = Duration::from_millis(500);
/// The size of the read buffer, in bytes; it grows for one larger message and shrinks again.
const READ_BUFFER_BYTES: usize = 512 * 1024;

/// What can go wrong.
#[derive(Debug)]
pub(crate) enum SocketError {
    /// The socket failed.
    Io(io::Error),
    /// Nothing arrived for longer than the limit.
    Stalled(Duration),
    /// The process was asked to stop.
    Stopped,
}

impl From<io::Error> for SocketError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The socket itself.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Stream {
    /// How long a read waits before it gives up for now.
    pub(crate) fn set_read_timeout(&self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Self::Unix(stream) => stream.set_read_timeout(Some(limit)),
            Self::Tls(stream) => stream.sock.set_read_timeout(Some(limit)),
        }
    }
}

/// Why no address of a host answers.
pub(crate) enum ConnectError {
    /// The name has no address.
    HostUnknown(io::Error),
    /// No connection.
    Io(io::Error),
}

/// Tries every address the name has, so that an unreachable IPv6 address does not hide an IPv4 one.
pub(crate) fn connect_tcp(
    host: &str,
    port: u16,
    timeout: Duration,
) -> Result<TcpStream, ConnectError> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in (host, port).to_socket_addrs().map_err(ConnectError::HostUnknown)? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(ConnectError::Io(last))
}

/// A socket with what has arrived on it.
pub(crate) struct Socket {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// `None` once the connection is only being wound up.
    shutdown: Option<Shutdown>,
    stall_limit: Duration,
    /// How long the socket waits at present.
    patience: Duration,
}

impl Socket {
    /// A socket whose reads wait for [`POLL`], and whose silence for longer than `stall_limit` is an error.
    pub(crate) fn new(
        stream: Stream,
        shutdown: Shutdown,
        stall_limit: Duration,
    ) -> io::Result<Self> {
        stream.set_read_timeout(POLL)?;
        Ok(Self {
            stream,
            buffer: vec![0; READ_BUFFER_BYTES],
            start: 0,
            end: 0,
            shutdown: Some(shutdown),
            stall_limit,
            patience: POLL,
        })
    }

    /// Takes no notice of requests to stop any more.
    pub(crate) fn ignore_stop(&mut self) {
        self.shutdown = None;
    }

    /// From now on, silence for longer than `stall_limit` is an error.
    pub(crate) fn be_patient_for(&mut self, stall_limit: Duration) {
        self.stall_limit = stall_limit;
    }

    /// The same socket once more, if it is one of TCP that is not encrypted.
    pub(crate) fn tcp(&self) -> Option<io::Result<TcpStream>> {
        match &self.stream {
            Stream::Tcp(stream) => Some(stream.try_clone()),
            Stream::Unix(_) | Stream::Tls(_) => None,
        }
    }

    /// What has arrived and was not taken.
    pub(crate) fn available(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes the next bytes: they stay where they are until more room is made. Where they lie, for [`Self::bytes`].
    pub(crate) fn take(&mut self, count: usize) -> Range<usize> {
        let taken = self.start..(self.start + count).min(self.end);
        self.start = taken.end;
        taken
    }

    /// Bytes that were taken.
    pub(crate) fn bytes(&self, taken: Range<usize>) -> &[u8] {
        self.buffer.get(taken).unwrap_or_default()
    }

    /// Sends.
    pub(crate) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.stream.write_all(message)?;
        self.stream.flush()
    }

    /// Moves what is unread to the front, and makes the buffer large enough for a message of `needed` bytes.
    pub(crate) fn make_room(&mut self, needed: usize) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if needed > self.buffer.len() {
            self.buffer.resize(needed, 0);
        } else if self.buffer.len() > READ_BUFFER_BYTES
            && self.end < READ_BUFFER_BYTES
            && needed < READ_BUFFER_BYTES
        {
            self.buffer.truncate(READ_BUFFER_BYTES);
            self.buffer.shrink_to_fit();
        }
    }

    /// Reads some bytes; false when none came before the deadline. Without one, silence for longer than the stall
    /// limit is an error.
    pub(crate) fn fill(&mut self, deadline: Option<Instant>) -> Result<bool, SocketError> {
        let mut waiting_since: Option<Instant> = None;
        loop {
            if self.shutdown.as_ref().is_some_and(Shutdown::is_requested) {
                return Err(SocketError::Stopped);
            }
            self.be_patient_until(deadline)?;
            match self.stream.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => {
                    return Err(SocketError::Io(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection",
                    )));
                }
                Ok(count) => {
                    self.end += count;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    let since = *waiting_since.get_or_insert_with(Instant::now);
                    match deadline {
                        Some(deadline) if Instant::now() >= deadline => return Ok(false),
                        Some(_) => {}
                        None if since.elapsed() >= self.stall_limit => {
                            return Err(SocketError::Stalled(self.stall_limit));
                        }
                        None => {}
                    }
                }
                Err(error) => return Err(SocketError::Io(error)),
            }
        }
    }

    /// Lets the next read wait no longer than to the deadline; the socket is told only when that changes.
    fn be_patient_until(&mut self, deadline: Option<Instant>) -> Result<(), SocketError> {
        /// The socket takes no zero.
        const LEAST: Duration = Duration::from_millis(1);
        let left = deadline.map_or(POLL, |deadline| {
            deadline.saturating_duration_since(Instant::now()).clamp(LEAST, POLL)
        });
        if left != self.patience {
            self.stream.set_read_timeout(left)?;
            self.patience = left;
        }
        Ok(())
    }
}
