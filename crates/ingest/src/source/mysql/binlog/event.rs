//! Events of the log: what kind each is, and where its parts lie.
//!
//! Every event has nineteen bytes of head (a time, the kind, the server, its own length, where it ends in the file, flags)
//! and, as the log's first event says, four bytes of CRC-32 at its end, which are checked. A kind that is not known stops the
//! reader, unless the server marks it as one that may be passed over (invariant I6).

use std::borrow::Cow;
use std::io::Read as _;

use uuid::Uuid;

use super::super::error::SourceError;
use super::super::wire::Cursor;
use super::gtid::{Gtid, Origin, Tag};

/// Bytes of an event's head.
pub const HEAD_BYTES: usize = 19;
/// Bytes of a checksum.
const CHECKSUM_BYTES: usize = 4;

/// Flags of a head (`LOG_EVENT_ARTIFICIAL_F`, `LOG_EVENT_IGNORABLE_F`).
const ARTIFICIAL: u64 = 0x20;
const IGNORABLE: u64 = 0x80;

/// Flags of MariaDB's transaction ids (`Gtid_log_event::FL_*`).
const STANDALONE: u8 = 1;
const PREPARED_XA: u8 = 64;
const COMPLETED_XA: u8 = 128;

/// An event, taken from its bytes.
#[derive(Debug)]
pub struct Event<'a> {
    /// Seconds since 1970-01-01 UTC, when the statement began.
    pub timestamp_seconds: u32,
    /// Its length in bytes.
    pub length: u32,
    /// Where it ends in its file, modulo 2³²; 0 for one that is in no file.
    pub end: u32,
    /// What it is.
    pub body: Body<'a>,
}

/// What an event is.
#[derive(Debug)]
pub enum Body<'a> {
    /// The next events are in this file.
    Rotate {
        /// The file.
        file: String,
        /// Whether the server only says so, and has no such event in its file.
        is_artificial: bool,
    },
    /// How events of the file are written.
    Format {
        /// Whether they have a checksum.
        has_checksum: bool,
    },
    /// A transaction, or a statement that is one, begins.
    Gtid {
        /// Its id, if it has one.
        gtid: Option<Gtid>,
        /// Whether the next statement is all of it (MariaDB says so; of MySQL its first words do).
        is_standalone: bool,
        /// Whether it is part of a distributed transaction, whose end is another one.
        is_distributed: bool,
        /// When it was committed, in microseconds since 1970-01-01 UTC, where the log says so.
        committed_at_microseconds: Option<i64>,
    },
    /// A statement as text.
    Query {
        /// The database that names without one belong to.
        database: String,
        /// The text; names in it are UTF-8, values may be anything.
        statement: Cow<'a, [u8]>,
    },
    /// What the rows that follow are of.
    TableMap(&'a [u8]),
    /// Rows.
    Rows(Rows<'a>),
    /// The transaction is committed.
    Commit,
    /// The log says that it lacks something.
    Incident,
    /// Events of one transaction, compressed together (MySQL).
    Payload(Vec<u8>),
    /// The server lives, and has come to this file, to where the event's head says.
    Heartbeat {
        /// The file.
        file: String,
    },
    /// Nothing that concerns rows.
    Other,
}

/// What was done to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// They were inserted.
    Insert,
    /// They were updated: before and after each.
    Update,
    /// They were deleted.
    Delete,
}

/// Rows of one table.
#[derive(Debug)]
pub struct Rows<'a> {
    /// What was done.
    pub change: Change,
    /// The number that the table has at present in the log.
    pub table: u64,
    /// Columns.
    pub columns: usize,
    /// A bit for each column that the rows have; of an update two sets.
    pub present: [&'a [u8]; 2],
    /// The rows.
    pub body: Cow<'a, [u8]>,
    /// Whether rows after an update may have changes of their JSON values instead of the values.
    pub is_partial: bool,
}

const SHORT: SourceError = SourceError::Protocol("a whole event of the log");

impl<'a> Event<'a> {
    /// Takes an event. `has_checksum` is what the file's first event said.
    ///
    /// # Errors
    /// It is not whole, its checksum is another, or its kind is not known.
    pub fn parse(bytes: &'a [u8], has_checksum: bool) -> Result<Self, SourceError> {
        let mut head = Cursor::new(bytes);
        let timestamp_seconds = number32(&mut head)?;
        let kind = head.byte()?;
        let server = number32(&mut head)?;
        let length = number32(&mut head)?;
        let end = number32(&mut head)?;
        let flags = head.number(2)?;
        if length as usize != bytes.len() {
            return Err(SHORT);
        }
        let is_artificial = flags & ARTIFICIAL != 0 || end == 0;
        // The first event of a file has the four bytes whatever it says of the others.
        let body = head.rest();
        let body = match has_checksum && kind != FORMAT {
            true => {
                let body = checked(bytes, is_artificial)?;
                body.get(HEAD_BYTES..).ok_or(SHORT)?
            }
            false => body,
        };
        let body = match kind {
            ROTATE => {
                let mut cursor = Cursor::new(body);
                cursor.number(8)?;
                let file = String::from_utf8_lossy(cursor.rest()).into_owned();
                Body::Rotate { file, is_artificial }
            }
            FORMAT => format(body)?,
            GTID | ANONYMOUS_GTID => mysql_gtid(body, kind == GTID)?,
            MARIADB_GTID => mariadb_gtid(body, server)?,
            QUERY => query(body, false)?,
            QUERY_COMPRESSED => query(body, true)?,
            TABLE_MAP => Body::TableMap(body),
            // Of a distributed transaction, what was prepared is committed by a statement, later.
            XID | XA_PREPARE => Body::Commit,
            INCIDENT => Body::Incident,
            HEARTBEAT => Body::Heartbeat { file: String::from_utf8_lossy(body).into_owned() },
            PAYLOAD => Body::Payload(payload(body)?),
            TAGGED_GTID => super::tagged::gtid(body)?,
            PARTIAL_UPDATE => {
                let rows = rows(body, Change::Update, true, false)?;
                Body::Rows(Rows { is_partial: true, ..rows })
            }
            START_ENCRYPTION => Body::Other,
            23 | 30 => Body::Rows(rows(body, Change::Insert, kind == 30, false)?),
            24 | 31 => Body::Rows(rows(body, Change::Update, kind == 31, false)?),
            25 | 32 => Body::Rows(rows(body, Change::Delete, kind == 32, false)?),
            166 | 169 => Body::Rows(rows(body, Change::Insert, kind == 169, true)?),
            167 | 170 => Body::Rows(rows(body, Change::Update, kind == 170, true)?),
            168 | 171 => Body::Rows(rows(body, Change::Delete, kind == 171, true)?),
            _ if NOTHING.contains(&kind) || flags & IGNORABLE != 0 => Body::Other,
            _ => return Err(SourceError::Protocol("a kind of event of the log")),
        };
        Ok(Self { timestamp_seconds, length, end, body })
    }
}

const QUERY: u8 = 2;
const ROTATE: u8 = 4;
const FORMAT: u8 = 15;
const XID: u8 = 16;
const TABLE_MAP: u8 = 19;
const INCIDENT: u8 = 26;
const HEARTBEAT: u8 = 27;
const GTID: u8 = 33;
const ANONYMOUS_GTID: u8 = 34;
const XA_PREPARE: u8 = 38;
const PARTIAL_UPDATE: u8 = 39;
const PAYLOAD: u8 = 40;
const TAGGED_GTID: u8 = 42;
const MARIADB_GTID: u8 = 162;
const START_ENCRYPTION: u8 = 164;
const QUERY_COMPRESSED: u8 = 165;

/// Kinds that say nothing of rows: STOP, INTVAR, RAND, USER_VAR, IGNORABLE, ROWS_QUERY, PREVIOUS_GTIDS,
/// TRANSACTION_CONTEXT, VIEW_CHANGE, HEARTBEAT (v2); of MariaDB ANNOTATE_ROWS, BINLOG_CHECKPOINT, GTID_LIST.
const NOTHING: &[u8] = &[3, 5, 13, 14, 28, 29, 35, 36, 37, 41, 160, 161, 163];

/// The event without its checksum. That of an event which is in no file is the server's to make, and not checked.
fn checked(bytes: &[u8], is_artificial: bool) -> Result<&[u8], SourceError> {
    let (event, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(SHORT)?;
    if !is_artificial && crc32fast::hash(event) != u32::from_le_bytes(*sum) {
        return Err(SourceError::Protocol("an event of the log with the checksum that it names"));
    }
    Ok(event)
}

fn number32(cursor: &mut Cursor<'_>) -> Result<u32, SourceError> {
    u32::try_from(cursor.number(4)?).map_err(|_| SHORT)
}

/// `Format_description_event`: the last five bytes are the kind of checksum and the event's own.
fn format(body: &[u8]) -> Result<Body<'_>, SourceError> {
    let mut cursor = Cursor::new(body);
    if cursor.number(2)? != 4 {
        return Err(SourceError::Protocol("a log of version 4"));
    }
    let kind = body.len().checked_sub(CHECKSUM_BYTES + 1).and_then(|place| body.get(place));
    match kind {
        Some(0) => Ok(Body::Format { has_checksum: false }),
        Some(1) => Ok(Body::Format { has_checksum: true }),
        _ => Err(SourceError::Protocol("a kind of checksum")),
    }
}

/// `Gtid_event`: flags, the server, the number, and since 5.7 a logical clock, since 8.0 the time of the commit.
fn mysql_gtid(body: &[u8], has_gtid: bool) -> Result<Body<'_>, SourceError> {
    let mut cursor = Cursor::new(body);
    cursor.byte()?;
    let server: [u8; 16] = cursor.bytes(16)?.try_into().map_err(|_| SHORT)?;
    let number = cursor.number(8)?;
    let origin = Origin { server: Uuid::from_bytes(server), tag: Tag::default() };
    let gtid = has_gtid.then_some(Gtid::MySql { origin, number });
    let mut committed_at_microseconds = None;
    if cursor.rest().first() == Some(&2) {
        cursor.bytes(17)?;
        if cursor.rest().len() >= 7 {
            // The highest bit says that the time of the first server that committed it follows; this is that of this one.
            let time = cursor.number(7)? & !(1 << 55);
            committed_at_microseconds = i64::try_from(time).ok();
        }
    }
    Ok(Body::Gtid { gtid, is_standalone: false, is_distributed: false, committed_at_microseconds })
}

/// `Gtid_log_event`: the number, the domain, flags.
fn mariadb_gtid(body: &[u8], server: u32) -> Result<Body<'_>, SourceError> {
    let mut cursor = Cursor::new(body);
    let number = cursor.number(8)?;
    let domain = number32(&mut cursor)?;
    let flags = cursor.byte()?;
    Ok(Body::Gtid {
        gtid: Some(Gtid::MariaDb { domain, server, number }),
        is_standalone: flags & STANDALONE != 0,
        is_distributed: flags & (PREPARED_XA | COMPLETED_XA) != 0,
        committed_at_microseconds: None,
    })
}

/// `Query_event`: thread, seconds, lengths, an error's number, variables, the database, the text.
fn query(body: &[u8], is_compressed: bool) -> Result<Body<'_>, SourceError> {
    let mut cursor = Cursor::new(body);
    cursor.number(8)?;
    let database = cursor.byte()?;
    cursor.number(2)?;
    let variables = usize::try_from(cursor.number(2)?).map_err(|_| SHORT)?;
    cursor.bytes(variables)?;
    let database = String::from_utf8_lossy(cursor.bytes(usize::from(database))?).into_owned();
    cursor.byte()?;
    let statement = match is_compressed {
        true => Cow::Owned(uncompressed(cursor.rest())?),
        false => Cow::Borrowed(cursor.rest()),
    };
    Ok(Body::Query { database, statement })
}

/// `Rows_event`: the table's number, flags, since version 2 further data, columns and which of them there are.
fn rows(
    body: &[u8],
    change: Change,
    is_second: bool,
    is_compressed: bool,
) -> Result<Rows<'_>, SourceError> {
    let mut cursor = Cursor::new(body);
    let table = cursor.number(6)?;
    cursor.number(2)?;
    if is_second {
        let further = usize::try_from(cursor.number(2)?).map_err(|_| SHORT)?;
        cursor.bytes(further.checked_sub(2).ok_or(SHORT)?)?;
    }
    let columns = usize::try_from(cursor.length()?).map_err(|_| SHORT)?;
    let first = cursor.bytes(columns.div_ceil(8))?;
    let second = match change {
        Change::Update => cursor.bytes(columns.div_ceil(8))?,
        Change::Insert | Change::Delete => first,
    };
    let body = match is_compressed {
        true => Cow::Owned(uncompressed(cursor.rest())?),
        false => Cow::Borrowed(cursor.rest()),
    };
    Ok(Rows { change, table, columns, present: [first, second], body, is_partial: false })
}

/// What MariaDB compresses (`binlog_buf_compress`): a byte with the method (0 is zlib) and the count of the bytes of the
/// length, the length with its highest byte first, and the compressed bytes.
fn uncompressed(bytes: &[u8]) -> Result<Vec<u8>, SourceError> {
    const UNKNOWN: SourceError = SourceError::Protocol("a compressed event of the log");
    let mut cursor = Cursor::new(bytes);
    let head = cursor.byte()?;
    if head & 0x80 == 0 || head & 0x70 != 0 {
        return Err(UNKNOWN);
    }
    let length = cursor.bytes(usize::from(head & 7))?;
    let length = length.iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
    inflate(flate2::read::ZlibDecoder::new(cursor.rest()), length).ok_or(UNKNOWN)
}

/// What a decoder gives, if it is of the length that it should have.
pub(super) fn inflate(decoder: impl std::io::Read, length: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    decoder.take(length.checked_add(1)?).read_to_end(&mut out).ok()?;
    (out.len() as u64 == length).then_some(out)
}

/// `Transaction_payload_event`: fields of a kind, a length and a value, up to the kind 0; then the events, compressed by
/// Zstandard (0) or not at all (255).
fn payload(body: &[u8]) -> Result<Vec<u8>, SourceError> {
    const UNKNOWN: SourceError = SourceError::Protocol("a compressed transaction of the log");
    let mut cursor = Cursor::new(body);
    let (mut kind, mut length) = (None, None);
    loop {
        let field = cursor.length()?;
        if field == 0 {
            break;
        }
        let mut value = Cursor::new(cursor.counted_bytes()?);
        match field {
            2 => kind = Some(value.length()?),
            3 => length = Some(value.length()?),
            _ => {}
        }
    }
    match (kind, length) {
        (Some(255), _) => Ok(cursor.rest().to_vec()),
        (Some(0), Some(length)) => {
            let decoder = zstd::stream::read::Decoder::new(cursor.rest()).map_err(|_| UNKNOWN)?;
            inflate(decoder, length).ok_or(UNKNOWN)
        }
        _ => Err(UNKNOWN),
    }
}

/// The events that were compressed together. They have no checksums.
pub fn payload_events(mut bytes: &[u8]) -> impl Iterator<Item = Result<Event<'_>, SourceError>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let length = bytes.get(9..13).and_then(|length| length.try_into().ok());
        let length = length.map_or(0, u32::from_le_bytes) as usize;
        let Some((event, rest)) = bytes.split_at_checked(length).filter(|_| length >= HEAD_BYTES)
        else {
            bytes = &[];
            return Some(Err(SHORT));
        };
        bytes = rest;
        Some(Event::parse(event, false))
    })
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
