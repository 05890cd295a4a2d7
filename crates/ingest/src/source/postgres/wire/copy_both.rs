//! The sub-protocol in which both sides send `CopyData`: change capture.

use std::time::{Duration, Instant};

use bytes::{BufMut as _, BytesMut};

use super::error::parse_error;
use super::{Connection, WireError, unexpected};

/// What arrived in a `CopyBoth` stream.
#[derive(Debug, PartialEq, Eq)]
pub enum CopyBoth<'a> {
    /// The body of a `CopyData` message; it stays where it is until the next call.
    Data(&'a [u8]),
    /// Nothing, within the time.
    Nothing,
}

impl Connection {
    /// Runs a command that answers with `CopyBothResponse`.
    ///
    /// # Errors
    /// The server's error; the connection is idle again after it.
    pub fn begin_copy_both(&mut self, command: &str) -> Result<(), WireError> {
        self.send_query(command)?;
        loop {
            let frame = self.next_frame()?;
            match frame.tag {
                b'W' => return Ok(()),
                b'N' | b'S' => {}
                b'E' => {
                    let error = parse_error(self.socket.bytes(frame.body));
                    return Err(self.refused(error));
                }
                tag => return Err(unexpected(tag, "the start of a stream")),
            }
        }
    }

    /// The next `CopyData`, or nothing when none has arrived after `wait`.
    ///
    /// # Errors
    /// The server's error; the end of the stream or of the connection, which is never a success (invariant I8).
    pub fn receive(&mut self, wait: Duration) -> Result<CopyBoth<'_>, WireError> {
        let deadline = Instant::now() + wait;
        loop {
            let Some(frame) = self.next_frame_before(deadline)? else {
                return Ok(CopyBoth::Nothing);
            };
            match frame.tag {
                b'd' => {
                    let body = self.socket.bytes(frame.body);
                    return Ok(CopyBoth::Data(body));
                }
                b'N' | b'S' => {}
                b'E' => {
                    let body = self.socket.bytes(frame.body);
                    return Err(WireError::Server(parse_error(body)));
                }
                // A server that shuts down ends the stream in good order.
                b'c' | b'C' => {
                    return Err(WireError::Io(std::io::Error::new(
                        std::io::ErrorKind::UnexpectedEof,
                        "the server ended the stream",
                    )));
                }
                tag => return Err(unexpected(tag, "a stream")),
            }
        }
    }

    /// Sends one `CopyData`.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send_copy_data(&mut self, body: &[u8]) -> Result<(), WireError> {
        let length = i32::try_from(body.len() + 4)
            .map_err(|_| WireError::Protocol("a message of ours is too long".into()))?;
        let mut message = BytesMut::with_capacity(body.len() + 5);
        message.put_u8(b'd');
        message.put_i32(length);
        message.put_slice(body);
        self.send(&message)
    }

    /// Ends the stream from our side, and waits until the server has ended it, too. What it still sends is not
    /// looked at. Requests to stop are not heeded: this is how one stops.
    ///
    /// # Errors
    /// The server's error, a broken connection, or no end after `limit`.
    pub fn end_copy_both(&mut self, limit: Duration) -> Result<(), WireError> {
        self.socket.ignore_stop();
        self.send(b"c\0\0\0\x04")?;
        let deadline = Instant::now() + limit;
        let mut failed = None;
        loop {
            let frame = self.next_frame_before(deadline)?;
            let Some(frame) = frame else { return Err(WireError::Stalled(limit)) };
            match frame.tag {
                b'Z' => return failed.map_or(Ok(()), |error| Err(WireError::Server(error))),
                b'E' => {
                    let body = self.socket.bytes(frame.body);
                    failed.get_or_insert(parse_error(body));
                }
                // A server may be far behind with what it has to send.
                b'd' if Instant::now() >= deadline => return Err(WireError::Stalled(limit)),
                b'd' | b'c' | b'C' | b'N' | b'S' => {}
                tag => return Err(unexpected(tag, "the end of a stream")),
            }
        }
    }
}
