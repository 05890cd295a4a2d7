//! A transaction with a tagged id, as MySQL 8.3 and later write it (`Gtid_tagged_log_event`).
//!
//! The event is a message of MySQL's serialization library: a version, the length of what follows, the number of the last field
//! that must be understood, then fields, each its number and its value. Numbers are of 1 to 9 bytes: the ones at the low end
//! of the first byte say how many follow, the rest is the number, the lowest byte first. One with a sign has it at the low end.
//! Text is its length and its bytes; the sixteen bytes of the server are sixteen numbers.
//!
//! Source: MySQL Source Code Documentation, "MySQL Serialization Library", and `Gtid_event::define_fields`.

use uuid::Uuid;

use super::super::error::SourceError;
use super::super::wire::Cursor;
use super::event::Body;
use super::gtid::{Gtid, Origin, Tag};

const UNKNOWN: SourceError = SourceError::Protocol("a transaction with a tagged id");

/// The version of the library.
const VERSION: u64 = 1;

/// The fields, by number: of those that are not listed here only the values matter to nobody who reads rows.
const SERVER: u64 = 1;
const NUMBER: u64 = 2;
const TAG: u64 = 3;
const COMMITTED_AT: u64 = 6;
/// The last field that is known. A later one that must be understood is refused.
const LAST: u64 = 11;

/// Takes the body of an event.
///
/// # Errors
/// It is not whole, or has a field that must be understood and is not known.
pub(super) fn gtid(body: &[u8]) -> Result<Body<'_>, SourceError> {
    let mut cursor = Cursor::new(body);
    if number(&mut cursor)? != VERSION {
        return Err(UNKNOWN);
    }
    number(&mut cursor)?;
    if number(&mut cursor)? > LAST {
        return Err(UNKNOWN);
    }
    let (mut server, mut tag, mut counted, mut committed_at) = (None, Tag::default(), None, None);
    while !cursor.rest().is_empty() {
        match number(&mut cursor)? {
            SERVER => {
                let mut bytes = [0; 16];
                for byte in &mut bytes {
                    *byte = u8::try_from(number(&mut cursor)?).map_err(|_| UNKNOWN)?;
                }
                server = Some(Uuid::from_bytes(bytes));
            }
            // It is positive, so its sign is 0.
            NUMBER => counted = Some(number(&mut cursor)? >> 1),
            TAG => {
                let length = usize::try_from(number(&mut cursor)?).map_err(|_| UNKNOWN)?;
                tag = Tag::new(cursor.bytes(length)?).map_err(|_| UNKNOWN)?;
            }
            COMMITTED_AT => committed_at = i64::try_from(number(&mut cursor)?).ok(),
            field if field <= LAST => drop(number(&mut cursor)?),
            // Behind the last that must be understood; of what length it is, is not known.
            _ => break,
        }
    }
    let (server, number) = server.zip(counted).ok_or(UNKNOWN)?;
    Ok(Body::Gtid {
        gtid: Some(Gtid::MySql { origin: Origin { server, tag }, number }),
        is_standalone: false,
        is_distributed: false,
        committed_at_microseconds: committed_at,
    })
}

/// A number of 1 to 9 bytes.
fn number(cursor: &mut Cursor<'_>) -> Result<u64, SourceError> {
    let first = cursor.byte()?;
    let further = first.trailing_ones();
    let behind = cursor.number(further as usize)?;
    // Of one with eight further bytes, the first byte holds none of it, and there is no 0 behind the ones.
    Ok(match further {
        8 => behind,
        _ => behind << (7 - further) | u64::from(first) >> (further + 1),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn of(bytes: &[u8]) -> u64 {
        let mut cursor = Cursor::new(bytes);
        let found = number(&mut cursor).unwrap();
        assert!(cursor.rest().is_empty());
        found
    }

    /// The examples of the library's documentation, and both ends of each length.
    #[test]
    fn numbers_are_those_of_the_documentation() {
        assert_eq!(of(&[0b1111_1011, 0xff, 0b0000_0111]), 65_535);
        assert_eq!((of(&[0]), of(&[0xfe])), (0, 127));
        assert_eq!(of(&[0b0000_0001, 0b0000_0010]), 128);
        assert_eq!(of(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), (1 << 56) - 1);
        assert_eq!(of(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), u64::MAX);
    }

    #[test]
    fn a_transaction_names_its_server_tag_and_number() {
        let mut body = vec![2, 0, 0, 0, 2, 2];
        // 0x77 takes a byte, 0xd1 two.
        body.extend([0xee, 0x45, 0x03].repeat(8));
        body.extend([4, 46 << 2, 6, 6, b't', b'a', b'g', 12, 0b0000_0001, 0b0000_0010]);
        let Body::Gtid { gtid, committed_at_microseconds, .. } = gtid(&body).unwrap() else {
            panic!("not a transaction")
        };
        let origin = Origin {
            server: Uuid::from_bytes([0x77, 0xd1].repeat(8).try_into().unwrap()),
            tag: Tag::new(b"tag").unwrap(),
        };
        assert_eq!(gtid, Some(Gtid::MySql { origin, number: 46 }));
        assert_eq!(committed_at_microseconds, Some(128));
        assert!(super::gtid(&[2, 0, 24]).is_err() && super::gtid(&[4]).is_err());
    }
}
