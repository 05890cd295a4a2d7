//! One connection that speaks the Postgres frontend/backend protocol 3.0, for COPY.
//!
//! Everything else (the catalog, the exported snapshot) goes through sqlx. COPY does not, for two reasons.
//! A full load is nothing but COPY, and the server sends one `CopyData` message per row: a library that wraps
//! each message in its own buffer and hands it through a channel or an async stream costs more per row than
//! decoding it. Here rows are decoded in place, in one read buffer, by the thread that read them. And change
//! capture needs `CopyBoth`, which sqlx does not have.
//!
//! The connection is blocking on purpose: a reader owns its thread, and the only other thing it ever waits for
//! is room in the encoder's queue, which is the back-pressure we want. Reads time out every half second, so that a
//! request to stop is seen within that time.
//!
//! Source: PostgreSQL documentation, "Frontend/Backend Protocol" (message flow and formats).

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ol_chassis::shutdown::Shutdown;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use rustls::{ClientConnection, StreamOwned};

use super::settings::{Address, Settings, TlsMode};
use super::tls;

/// How often a blocked read looks up to see whether it should stop.
const POLL: Duration = Duration::from_millis(500);
/// The size of the read buffer, in bytes; it grows for one larger message and shrinks again.
const READ_BUFFER_BYTES: usize = 512 * 1024;

/// What can go wrong on the wire. `error.rs` maps it to a failure.
#[derive(Debug)]
pub enum WireError {
    /// The socket failed.
    Io(io::Error),
    /// The host's name has no address.
    HostUnknown(io::Error),
    /// TLS was required and is not to be had, or the certificate was refused.
    Tls(String),
    /// The server answered with an error.
    Server(ServerError),
    /// The server asks for a kind of authentication that we do not speak.
    Authentication(&'static str),
    /// The server sent something that we do not understand; nothing is skipped (invariant I6).
    Protocol(String),
    /// Nothing arrived for longer than the limit.
    Stalled(Duration),
    /// The process was asked to stop.
    Stopped,
}

/// The fields of an `ErrorResponse` that we use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The five-character SQLSTATE.
    pub code: String,
    /// The primary message. It may hold a value of a cell when the class is 22 or 23.
    pub message: String,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("The connection to the server failed"),
            Self::HostUnknown(_) => f.write_str("The host name has no address"),
            Self::Tls(reason) => write!(f, "TLS with the server failed: {reason}"),
            Self::Server(error) => write!(f, "The server answered: {error}"),
            Self::Authentication(method) => {
                write!(f, "The server asks for {method} authentication, which is not supported")
            }
            Self::Protocol(what) => write!(f, "The server sent an unexpected message: {what}"),
            Self::Stalled(limit) => {
                write!(f, "The server sent nothing for {} seconds", limit.as_secs())
            }
            Self::Stopped => f.write_str("Stopped by request"),
        }
    }
}

impl fmt::Display for ServerError {
    /// The code, and the message where its class cannot quote a cell (classes 22 and 23 can).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code.get(..2) {
            Some("22" | "23") => write!(f, "SQLSTATE {}", self.code),
            _ => write!(f, "{} (SQLSTATE {})", self.message, self.code),
        }
    }
}

impl std::error::Error for WireError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) | Self::HostUnknown(error) => Some(error),
            Self::Tls(_)
            | Self::Server(_)
            | Self::Authentication(_)
            | Self::Protocol(_)
            | Self::Stalled(_)
            | Self::Stopped => None,
        }
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

enum Stream {
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

/// A connection after start-up, idle between queries.
pub struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    shutdown: Shutdown,
    stall_limit: Duration,
}

/// One backend message: its tag and where its body lies in the buffer.
struct Frame {
    tag: u8,
    body: std::ops::Range<usize>,
}

impl Connection {
    /// Connects, authenticates and waits until the server is ready.
    ///
    /// # Errors
    /// Any [`WireError`]; a refused password is a [`WireError::Server`] of class 28.
    pub fn open(settings: &Settings, shutdown: Shutdown) -> Result<Self, WireError> {
        let mut connection = Self {
            stream: connect(settings)?,
            buffer: vec![0; READ_BUFFER_BYTES],
            start: 0,
            end: 0,
            shutdown,
            stall_limit: settings.stall_limit,
        };
        let mut message = BytesMut::new();
        let parameters = [
            ("user", settings.user.as_str()),
            ("database", settings.database.as_str()),
            ("application_name", settings.application_name.as_str()),
            ("client_encoding", "UTF8"),
        ];
        frontend::startup_message(parameters, &mut message)?;
        connection.send(&message)?;
        connection.authenticate(settings)?;
        connection.until_ready()?;
        Ok(connection)
    }

    /// Runs statements whose rows, if any, are of no interest.
    ///
    /// # Errors
    /// The first error the server answers with.
    pub fn execute(&mut self, sql: &str) -> Result<(), WireError> {
        self.send_query(sql)?;
        self.until_ready()
    }

    /// Runs a query and returns the first column of its first row, as text.
    ///
    /// # Errors
    /// The first error the server answers with.
    pub fn scalar(&mut self, sql: &str) -> Result<Option<String>, WireError> {
        self.send_query(sql)?;
        let mut value = None;
        loop {
            let frame = self.next_frame()?;
            let body = self.buffer.get(frame.body).unwrap_or_default();
            match frame.tag {
                b'D' => value = first_column(body),
                b'Z' => return Ok(value),
                b'E' => {
                    let error = parse_error(body);
                    self.until_ready()?;
                    return Err(WireError::Server(error));
                }
                b'T' | b'C' | b'N' | b'S' => {}
                tag => return Err(unexpected(tag, "a query")),
            }
        }
    }

    /// Runs `COPY … TO STDOUT` and hands the body of every `CopyData` message to `consume`, in order.
    ///
    /// Returns when the server is ready again. When `consume` fails, the rest is not read and the connection
    /// must be dropped, which cancels the query.
    ///
    /// # Errors
    /// The server's error, a broken connection, or what `consume` returns.
    pub fn copy_out<F, X>(&mut self, sql: &str, mut consume: F) -> Result<(), X>
    where
        F: FnMut(&[u8]) -> Result<(), X>,
        X: From<WireError>,
    {
        self.send_query(sql)?;
        let mut complete = false;
        loop {
            let frame = self.next_frame()?;
            let body = self.buffer.get(frame.body).unwrap_or_default();
            match frame.tag {
                b'd' => consume(body)?,
                b'c' => complete = true,
                b'H' | b'C' | b'N' | b'S' => {}
                b'E' => {
                    let error = parse_error(body);
                    self.until_ready()?;
                    return Err(WireError::Server(error).into());
                }
                b'Z' if complete => return Ok(()),
                tag => return Err(unexpected(tag, "COPY").into()),
            }
        }
    }

    fn send_query(&mut self, sql: &str) -> Result<(), WireError> {
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message)?;
        self.send(&message)
    }

    fn send(&mut self, message: &[u8]) -> Result<(), WireError> {
        self.stream.write_all(message)?;
        self.stream.flush()?;
        Ok(())
    }

    fn authenticate(&mut self, settings: &Settings) -> Result<(), WireError> {
        let mut scram: Option<ScramSha256> = None;
        loop {
            let frame = self.next_frame()?;
            let body = self.buffer.get(frame.body).unwrap_or_default();
            match frame.tag {
                b'E' => return Err(WireError::Server(parse_error(body))),
                b'R' => {}
                b'N' | b'v' => continue,
                tag => return Err(unexpected(tag, "authentication")),
            }
            let (kind, rest) = body
                .split_first_chunk::<4>()
                .ok_or_else(|| WireError::Protocol("a short authentication message".into()))?;
            let password =
                settings.password.as_ref().map_or("", |secret| secret.expose()).as_bytes();
            let mut message = BytesMut::new();
            match i32::from_be_bytes(*kind) {
                0 => return Ok(()),
                3 => frontend::password_message(password, &mut message)?,
                5 => {
                    let salt: [u8; 4] = rest
                        .try_into()
                        .map_err(|_| WireError::Protocol("an MD5 salt of a wrong length".into()))?;
                    let hash = md5_hash(settings.user.as_bytes(), password, salt);
                    frontend::password_message(hash.as_bytes(), &mut message)?;
                }
                10 => {
                    if !rest.split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) {
                        return Err(WireError::Authentication("an unknown SASL"));
                    }
                    let client = ScramSha256::new(password, ChannelBinding::unsupported());
                    frontend::sasl_initial_response(SCRAM_SHA_256, client.message(), &mut message)?;
                    scram = Some(client);
                }
                11 => {
                    let client = scram_state(&mut scram)?;
                    client.update(rest)?;
                    frontend::sasl_response(client.message(), &mut message)?;
                }
                12 => {
                    // The server proves that it knows the password, too.
                    scram_state(&mut scram)?.finish(rest)?;
                    continue;
                }
                2 => return Err(WireError::Authentication("Kerberos V5")),
                7 | 8 => return Err(WireError::Authentication("GSSAPI")),
                9 => return Err(WireError::Authentication("SSPI")),
                _ => return Err(WireError::Authentication("an unknown")),
            }
            self.send(&message)?;
        }
    }

    /// Reads to `ReadyForQuery`; returns the first error on the way.
    fn until_ready(&mut self) -> Result<(), WireError> {
        let mut failed = None;
        loop {
            let frame = self.next_frame()?;
            match frame.tag {
                b'Z' => return failed.map_or(Ok(()), |error| Err(WireError::Server(error))),
                b'E' => {
                    let error = parse_error(self.buffer.get(frame.body).unwrap_or_default());
                    // A fatal error at start-up is followed by the end of the connection.
                    if error.code.starts_with("28") || error.code.starts_with("57P") {
                        return Err(WireError::Server(error));
                    }
                    failed.get_or_insert(error);
                }
                // Row descriptions, rows, completion, notices, parameters, key data, empty query, COPY data.
                b'T' | b'D' | b'C' | b'N' | b'S' | b'K' | b'I' | b'd' | b'c' | b'H' => {}
                tag => return Err(unexpected(tag, "a query")),
            }
        }
    }

    /// The next whole message; its body stays in the buffer until the next call.
    fn next_frame(&mut self) -> Result<Frame, WireError> {
        loop {
            let available = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some((head, _)) = available.split_first_chunk::<5>() {
                let [tag, length @ ..] = *head;
                let length = usize::try_from(i32::from_be_bytes(length))
                    .ok()
                    .filter(|length| *length >= 4)
                    .ok_or_else(|| WireError::Protocol("a message of a negative length".into()))?;
                if available.len() > length {
                    let body = self.start + 5..self.start + 1 + length;
                    self.start = body.end;
                    return Ok(Frame { tag, body });
                }
                self.make_room(1 + length);
            } else {
                self.make_room(5);
            }
            self.fill()?;
        }
    }

    /// Moves what is unread to the front, and makes the buffer large enough for a message of `needed` bytes.
    fn make_room(&mut self, needed: usize) {
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

    fn fill(&mut self) -> Result<(), WireError> {
        let mut waiting_since: Option<Instant> = None;
        loop {
            if self.shutdown.is_requested() {
                return Err(WireError::Stopped);
            }
            match self.stream.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => {
                    return Err(WireError::Io(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection",
                    )));
                }
                Ok(count) => {
                    self.end += count;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    let since = *waiting_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.stall_limit {
                        return Err(WireError::Stalled(self.stall_limit));
                    }
                }
                Err(error) => return Err(WireError::Io(error)),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Terminate, so that the server's log does not show a lost client. It may be gone already.
        let mut message = BytesMut::new();
        frontend::terminate(&mut message);
        let _ignored = self.send(&message);
    }
}

fn scram_state(scram: &mut Option<ScramSha256>) -> Result<&mut ScramSha256, WireError> {
    scram.as_mut().ok_or_else(|| WireError::Protocol("SASL data before SASL began".into()))
}

fn unexpected(tag: u8, during: &str) -> WireError {
    WireError::Protocol(format!("tag {:?} during {during}", char::from(tag)))
}

fn connect(settings: &Settings) -> Result<Stream, WireError> {
    let (host, port) = match &settings.address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(POLL))?;
            return Ok(Stream::Unix(stream));
        }
        Address::Tcp { host, port } => (host.as_str(), *port),
    };
    let mut stream = connect_tcp(host, port, settings.connect_timeout)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(settings.connect_timeout))?;
    if settings.tls == TlsMode::Disable {
        stream.set_read_timeout(Some(POLL))?;
        return Ok(Stream::Tcp(stream));
    }
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request)?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    let encrypted = match answer {
        [b'S'] => Some(tls::client(settings, host)?),
        [b'N'] if settings.tls == TlsMode::Prefer => None,
        [b'N'] => return Err(WireError::Tls("the server does not offer TLS".into())),
        _ => return Err(WireError::Protocol("an answer to the request for TLS".into())),
    };
    match encrypted {
        None => {
            stream.set_read_timeout(Some(POLL))?;
            Ok(Stream::Tcp(stream))
        }
        Some(mut client) => {
            client.complete_io(&mut stream).map_err(|error| WireError::Tls(error.to_string()))?;
            stream.set_read_timeout(Some(POLL))?;
            Ok(Stream::Tls(Box::new(StreamOwned::new(client, stream))))
        }
    }
}

/// Tries every address the name has, so that an unreachable IPv6 address does not hide an IPv4 one.
fn connect_tcp(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, WireError> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in (host, port).to_socket_addrs().map_err(WireError::HostUnknown)? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(WireError::Io(last))
}

/// The first column of a `DataRow`: a column count, then a length and the bytes of each.
fn first_column(body: &[u8]) -> Option<String> {
    let (length, rest) = body.get(2..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    Some(String::from_utf8_lossy(rest.get(..length)?).into_owned())
}

/// Reads the fields of an `ErrorResponse`: a type byte and a zero-terminated text each, ended by a zero byte.
fn parse_error(body: &[u8]) -> ServerError {
    let mut error = ServerError { code: String::new(), message: String::new() };
    for field in body.split(|byte| *byte == 0) {
        if let Some((kind, text)) = field.split_first() {
            let text = String::from_utf8_lossy(text).into_owned();
            match kind {
                b'C' => error.code = text,
                b'M' => error.message = text,
                _ => {}
            }
        }
    }
    error
}
