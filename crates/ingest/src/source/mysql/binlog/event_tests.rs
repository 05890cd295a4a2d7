//! Events as servers write them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;

use proptest::prelude::*;

use super::*;

/// An event as a server writes it.
fn event(kind: u8, flags: u16, body: &[u8], has_checksum: bool) -> Vec<u8> {
    let sum = if has_checksum { CHECKSUM_BYTES } else { 0 };
    let length = u32::try_from(HEAD_BYTES + body.len() + sum).unwrap();
    let mut bytes = 7u32.to_le_bytes().to_vec();
    bytes.push(kind);
    bytes.extend(11u32.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(900u32.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend_from_slice(body);
    if has_checksum {
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    }
    bytes
}

#[test]
fn an_event_that_was_changed_on_the_way_is_refused() {
    let mut bytes = event(XID, 0, &[1, 0, 0, 0, 0, 0, 0, 0], true);
    let read = Event::parse(&bytes, true).unwrap();
    assert!(matches!(read.body, Body::Commit));
    assert_eq!((read.timestamp_seconds, read.end, read.length), (7, 900, 31));
    *bytes.get_mut(20).unwrap() ^= 1;
    assert!(Event::parse(&bytes, true).is_err());
}

#[test]
fn a_kind_that_is_not_known_stops_unless_it_may_be_passed_over() {
    assert!(Event::parse(&event(250, 0, &[], false), false).is_err());
    let ignorable = u16::try_from(IGNORABLE).unwrap();
    let read = event(250, ignorable, &[], false);
    assert!(matches!(Event::parse(&read, false).unwrap().body, Body::Other));
    assert!(Event::parse(&event(TAGGED_GTID, 0, &[], false), false).is_err());
}

#[test]
fn transaction_ids_of_both_kinds() {
    // MariaDB: number 5 of domain 2, by the server of the head; all of it is the next statement.
    let mut body = 5u64.to_le_bytes().to_vec();
    body.extend(2u32.to_le_bytes());
    body.push(STANDALONE);
    let bytes = event(MARIADB_GTID, 0, &body, false);
    let Body::Gtid { gtid, is_standalone, .. } = Event::parse(&bytes, false).unwrap().body else {
        panic!("it is a transaction id");
    };
    assert_eq!(gtid, Some(Gtid::MariaDb { domain: 2, server: 11, number: 5 }));
    assert!(is_standalone);
    // MySQL 8.0: flags, the server, the number, the logical clock, and when it was committed.
    let server = Uuid::from_u128(0x3e11_fa47_71ca_11e1_9e33_c80a_a942_9562);
    let mut body = vec![1];
    body.extend_from_slice(server.as_bytes());
    body.extend(23u64.to_le_bytes());
    body.push(2);
    body.extend([0; 16]);
    body.extend(1_700_000_000_000_000u64.to_le_bytes().iter().take(7));
    let bytes = event(GTID, 0, &body, true);
    let Body::Gtid { gtid, committed_at_microseconds, .. } =
        Event::parse(&bytes, true).unwrap().body
    else {
        panic!("it is a transaction id");
    };
    assert_eq!(
        gtid,
        Some(Gtid::MySql { origin: Origin { server, tag: Tag::default() }, number: 23 })
    );
    assert_eq!(committed_at_microseconds, Some(1_700_000_000_000_000));
}

#[test]
fn events_that_were_compressed_together_come_apart() {
    let mut inner = event(XID, 0, &[0; 8], false);
    inner.extend(event(ROTATE, 0, b"\x04\0\0\0\0\0\0\0b.000002", false));
    let packed = zstd::stream::encode_all(inner.as_slice(), 3).unwrap();
    let length = u8::try_from(inner.len()).unwrap();
    // Kind 2 (how): 0 is Zstandard; kind 3 (how long it was); kind 0 ends.
    let mut body = vec![2, 1, 0, 3, 1, length, 0];
    body.extend(packed);
    let bytes = event(PAYLOAD, 0, &body, true);
    let Body::Payload(events) = Event::parse(&bytes, true).unwrap().body else {
        panic!("it is a payload");
    };
    let kinds: Vec<bool> =
        payload_events(&events).map(|it| matches!(it.unwrap().body, Body::Commit)).collect();
    assert_eq!(kinds, [true, false]);
    assert!(payload_events(&[0; 30]).next().unwrap().is_err());
}

#[test]
fn a_statement_that_mariadb_compressed_is_its_text() {
    let text = b"UPDATE t SET a = a + 1 WHERE b = 'xxxxxxxxxxxxxxxxxxxxxxxxx'";
    let mut packed = vec![0x81, u8::try_from(text.len()).unwrap()];
    let mut encoder = flate2::write::ZlibEncoder::new(&mut packed, flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap();
    let mut body = vec![0; 8];
    body.extend([2, 0, 0, 0, 0]);
    body.extend_from_slice(b"db\0");
    body.extend(packed);
    let bytes = event(QUERY_COMPRESSED, 0, &body, false);
    let Body::Query { database, statement } = Event::parse(&bytes, false).unwrap().body else {
        panic!("it is a statement");
    };
    assert_eq!((database.as_str(), statement.as_ref()), ("db", text.as_slice()));
}

proptest! {
    #[test]
    fn no_event_is_too_odd_to_refuse(kind: u8, body in prop::collection::vec(any::<u8>(), 0..80)) {
        let bytes = event(kind, 0, &body, false);
        if let Ok(Event { body: Body::Payload(events), .. }) = Event::parse(&bytes, false) {
            let _ = payload_events(&events).count();
        }
        let _ = Event::parse(&body, true);
    }
}
