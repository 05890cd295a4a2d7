//! The bytes below the protocol: a TCP or Unix socket, encrypted or not.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::{ClientConnection, StreamOwned};

use super::super::settings::{Address, Settings, TlsMode};
use super::super::tls;
use super::WireError;

/// How often a blocked read looks up to see whether it should stop.
pub(super) const POLL: Duration = Duration::from_millis(500);

pub(super) enum Stream {
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
    pub(super) fn set_read_timeout(&self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Self::Unix(stream) => stream.set_read_timeout(Some(limit)),
            Self::Tls(stream) => stream.sock.set_read_timeout(Some(limit)),
        }
    }
}

/// Connects, and encrypts as far as `sslmode` asks; reads wait for [`POLL`].
///
/// # Errors
/// No address of the host answers, or TLS is not to be had.
pub(super) fn connect(settings: &Settings) -> Result<Stream, WireError> {
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
