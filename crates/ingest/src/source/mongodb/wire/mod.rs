//! One connection that speaks MongoDB's wire protocol: commands as `OP_MSG`, and the documents of a cursor where they lie.
//!
//! **Why our own, and not the driver `mongodb`.** Of the driver we would use one cursor. It trusts a compiled-in list of
//! authorities (under a licence that is not among ours) instead of the machine's, waits in ways that no request to stop
//! ends, refuses servers below 4.4, which forums still run, hands documents over as maps that lose a name that occurs
//! twice, and turns on features of rustls, once_cell, ahash and moka for every crate of the workspace. The protocol that is
//! left is one message form, one login, and `find`. What the driver has beyond it and we do without is named in
//! `docs/mongodb.md`: hosts by DNS (`mongodb+srv`), other logins than SCRAM, compression.
//!
//! Source: MongoDB Manual, "MongoDB Wire Protocol"; MongoDB Specifications, "OP_MSG".

mod login;

use std::net::TcpStream;
use std::ops::Range;

pub use self::login::Mechanism;
use ol_chassis::shutdown::Shutdown;
use rustls::StreamOwned;

use super::bson::{Builder, Document, Value};
use super::error::SourceError;
use super::settings::Settings;
use crate::source::address::TlsMode;
use crate::source::socket::{ConnectError, Socket, Stream, connect_tcp};
use crate::source::tls;

/// The one kind of message.
const OP_MSG: u32 = 2013;
/// Length, number, the number it answers, kind.
const HEADER_BYTES: usize = 16;
/// The least flags and kind of section.
const PROLOGUE_BYTES: usize = 5;
/// A checksum follows the sections.
const CHECKSUM: u32 = 1;
/// Flags whose meaning must be known: the lower half, of which only the checksum is.
const MUST_BE_KNOWN: u32 = 0xffff;
/// The longest message that a server sends ("maxMessageSizeBytes" is 48,000,000).
const LONGEST_BYTES: usize = 64 << 20;

/// A connection, idle between commands.
pub struct Connection {
    socket: Socket,
    number: u32,
}

/// An answer: where its document lies, until the next command.
pub struct Answer(Range<usize>);

impl Connection {
    /// Connects to one host and encrypts, if that is asked for. Nobody is logged in yet.
    ///
    /// # Errors
    /// The host is not reachable or does not encrypt.
    pub fn open(
        settings: &Settings,
        host: &str,
        port: u16,
        shutdown: Shutdown,
    ) -> Result<Self, SourceError> {
        let tcp =
            connect_tcp(host, port, settings.connect_timeout).map_err(|error| match error {
                ConnectError::HostUnknown(_) => SourceError::HostUnknown,
                ConnectError::Io(error) => SourceError::Io(error),
            })?;
        tcp.set_nodelay(true)?;
        let stream = match settings.tls == TlsMode::Disable {
            true => Stream::Tcp(tcp),
            false => encrypted(settings, host, tcp)?,
        };
        let socket = Socket::new(stream, shutdown, settings.connect_timeout)?;
        Ok(Self { socket, number: 0 })
    }

    /// Proves who we are, if the settings name an account; from then on the server may be silent for as long as a query
    /// takes.
    ///
    /// # Errors
    /// The server refuses, or does not prove in turn that it knows the password.
    pub fn login(&mut self, settings: &Settings, by: Mechanism) -> Result<(), SourceError> {
        if let Some((user, password)) = &settings.login {
            login::prove(self, by, &settings.login_database, user, password)?;
        }
        self.socket.be_patient_for(settings.stall_limit);
        Ok(())
    }

    /// Takes no notice of requests to stop any more, because nothing it waits for takes long.
    pub fn ignore_stop(&mut self) {
        self.socket.ignore_stop();
    }

    /// Runs a command in a database; its answer says that all is well.
    ///
    /// # Errors
    /// The server's, or the connection is lost.
    pub fn run(&mut self, database: &str, command: Builder) -> Result<Answer, SourceError> {
        let document = command.string("$db", database).build();
        self.number = self.number.wrapping_add(1);
        let length = HEADER_BYTES + PROLOGUE_BYTES + document.len();
        let length = u32::try_from(length).map_err(|_| SourceError::Protocol("a short command"))?;
        let mut message = Vec::new();
        for word in [length, self.number, 0, OP_MSG, 0] {
            message.extend(word.to_le_bytes());
        }
        message.push(0);
        message.extend(document);
        self.socket.send(&message)?;
        let answer = self.receive()?;
        refusal(self.document(&answer)?)?;
        Ok(answer)
    }

    /// The document of an answer.
    ///
    /// # Errors
    /// It is not BSON.
    pub fn document(&self, answer: &Answer) -> Result<Document<'_>, SourceError> {
        Ok(Document::new(self.socket.bytes(answer.0.clone()))?)
    }

    /// Runs a command that opens a cursor, and hands on its documents, batch by batch, until there are no more.
    ///
    /// # Errors
    /// The server's, a broken connection, or what `take` returns; after the latter the server keeps the cursor until the
    /// connection ends.
    pub fn each<X: From<SourceError>>(
        &mut self,
        database: &str,
        command: Builder,
        mut take: impl FnMut(Document<'_>) -> Result<(), X>,
    ) -> Result<(), X> {
        let mut answer = self.run(database, command)?;
        loop {
            let batch = Batch::of(self.document(&answer)?)?;
            for element in batch.documents.elements() {
                let element = element.map_err(SourceError::Malformed)?;
                let Value::Document(document) = element.value else {
                    return Err(SourceError::Protocol("a document of a cursor").into());
                };
                take(document)?;
            }
            if batch.cursor == 0 {
                return Ok(());
            }
            let more = Builder::new().int64("getMore", batch.cursor);
            let more = more.string("collection", &batch.collection);
            answer = self.run(database, more)?;
        }
    }

    fn receive(&mut self) -> Result<Answer, SourceError> {
        let (head, length) = loop {
            let available = self.socket.available();
            if let Some((header, _)) = available.split_first_chunk::<HEADER_BYTES>() {
                let words = words(header);
                let length = words.first().copied().unwrap_or(0) as usize;
                if !(HEADER_BYTES + PROLOGUE_BYTES..=LONGEST_BYTES).contains(&length) {
                    return Err(SourceError::Protocol("a message of a possible length"));
                }
                if available.len() >= length {
                    break (words, length);
                }
                self.socket.make_room(length);
            } else {
                self.socket.make_room(HEADER_BYTES);
            }
            self.socket.fill(None)?;
        };
        let taken = self.socket.take(length);
        let [_, _, answers, kind] = head;
        if kind != OP_MSG || answers != self.number {
            return Err(SourceError::Protocol("the answer to our message"));
        }
        let body = taken.start + HEADER_BYTES..taken.end;
        let (flags, rest) = self
            .socket
            .bytes(body.clone())
            .split_first_chunk::<4>()
            .ok_or(SourceError::Protocol("a message"))?;
        let flags = u32::from_le_bytes(*flags);
        if flags & MUST_BE_KNOWN & !CHECKSUM != 0 || rest.first() != Some(&0) {
            return Err(SourceError::Protocol("a message of a known form"));
        }
        // An answer is one section of the kind 0. Over a checksum TCP, and mostly TLS, have their own.
        let end = if flags & CHECKSUM == 0 { body.end } else { body.end.saturating_sub(4) };
        Ok(Answer(body.start + PROLOGUE_BYTES..end))
    }
}

/// TLS over a connection, which begins with its first byte.
fn encrypted(settings: &Settings, host: &str, mut tcp: TcpStream) -> Result<Stream, SourceError> {
    let client = tls::client(settings.tls, settings.root_certificate.as_deref(), host);
    let mut client = client.map_err(|error| SourceError::Tls(error.0))?;
    tcp.set_read_timeout(Some(settings.connect_timeout))?;
    while client.is_handshaking() {
        client.complete_io(&mut tcp).map_err(|error| SourceError::Tls(error.to_string()))?;
    }
    Ok(Stream::Tls(Box::new(StreamOwned::new(client, tcp))))
}

/// The four numbers of a header.
fn words(header: &[u8; HEADER_BYTES]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(header.chunks_exact(4)) {
        *word = bytes.try_into().map_or(0, u32::from_le_bytes);
    }
    words
}

/// The server's error, if an answer is one.
fn refusal(answer: Document<'_>) -> Result<(), SourceError> {
    let is_ok = match answer.get("ok")? {
        Some(Value::Double(value)) => value == 1.0,
        Some(Value::Int32(value)) => value == 1,
        Some(Value::Boolean(value)) => value,
        _ => false,
    };
    if is_ok {
        return Ok(());
    }
    let code = match answer.get("code")? {
        Some(Value::Int32(code)) => code,
        _ => 0,
    };
    let name = text_of(answer, "codeName")?.unwrap_or_default();
    if let Some(Value::Array(labels)) = answer.get("errorLabels")? {
        for label in labels.elements() {
            if label?.value == Value::String(b"ResumableChangeStreamError") {
                return Err(SourceError::Resumable { code, name });
            }
        }
    }
    Err(SourceError::Server { code, name })
}

/// A text of an answer.
pub(super) fn text_of(document: Document<'_>, name: &str) -> Result<Option<String>, SourceError> {
    Ok(match document.get(name)? {
        Some(Value::String(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    })
}

/// What an answer says of a cursor.
pub(super) struct Batch<'a> {
    /// Its number; 0 when there is no more.
    pub(super) cursor: i64,
    /// The collection that it is asked for by.
    pub(super) collection: String,
    /// An array of documents.
    pub(super) documents: Document<'a>,
    /// Of a change stream: where it goes on behind the batch.
    pub(super) resume_token: Option<Document<'a>>,
}

impl<'a> Batch<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is none of a cursor.
    pub(super) fn of(answer: Document<'a>) -> Result<Self, SourceError> {
        let missing = || SourceError::Protocol("a cursor");
        let Some(Value::Document(cursor)) = answer.get("cursor")? else { return Err(missing()) };
        let documents = match cursor.get("firstBatch")? {
            None => cursor.get("nextBatch")?,
            first => first,
        };
        let (Some(Value::Array(documents)), Some(Value::Int64(id))) =
            (documents, cursor.get("id")?)
        else {
            return Err(missing());
        };
        let namespace = text_of(cursor, "ns")?.ok_or_else(missing)?;
        let (_, collection) = namespace.split_once('.').ok_or_else(missing)?;
        let resume_token = match cursor.get("postBatchResumeToken")? {
            Some(Value::Document(token)) => Some(token),
            _ => None,
        };
        Ok(Self { cursor: id, collection: collection.to_owned(), documents, resume_token })
    }
}
