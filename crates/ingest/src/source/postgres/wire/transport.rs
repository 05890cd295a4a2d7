//! The start of a connection: the socket, and encryption as far as `sslmode` asks.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::StreamOwned;

use super::super::settings::{Address, Settings, TlsMode};
use super::WireError;
use crate::source::socket::{Stream, connect_tcp};
use crate::source::tls;

/// Connects, and encrypts as far as `sslmode` asks.
///
/// # Errors
/// No address of the host answers, or TLS is not to be had.
pub(super) fn connect(settings: &Settings) -> Result<Stream, WireError> {
    let (host, port) = match &settings.address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            return Ok(Stream::Unix(stream));
        }
        Address::Tcp { host, port } => (host.as_str(), *port),
    };
    let mut stream = connect_tcp(host, port, settings.connect_timeout)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(settings.connect_timeout))?;
    if settings.tls == TlsMode::Disable {
        return Ok(Stream::Tcp(stream));
    }
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request)?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    let encrypted = match answer {
        [b'S'] => Some(tls::client(settings.tls, settings.root_certificate.as_deref(), host)?),
        [b'N'] if settings.tls == TlsMode::Prefer => None,
        [b'N'] => return Err(WireError::Tls("the server does not offer TLS".into())),
        _ => return Err(WireError::Protocol("an answer to the request for TLS".into())),
    };
    match encrypted {
        None => Ok(Stream::Tcp(stream)),
        Some(mut client) => {
            client.complete_io(&mut stream).map_err(|error| WireError::Tls(error.to_string()))?;
            Ok(Stream::Tls(Box::new(StreamOwned::new(client, stream))))
        }
    }
}
