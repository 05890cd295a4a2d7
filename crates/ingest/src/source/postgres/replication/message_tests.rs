//! Messages, encoded as the documentation has them, decoded, cut short and lengthened.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
use proptest::prelude::*;

use super::*;

/// A message with values of its own, from which a borrowed one is compared.
#[derive(Debug, Clone)]
enum Sample {
    Begin(u64, i32, u32),
    Commit(u64, u64, i32),
    Relation(RelationMessage),
    Type(u32, String, String),
    Origin(u64, String),
    Logical(bool, u64, String, Vec<u8>),
    Insert(u32, Row),
    Update(u32, Option<(bool, Row)>, Row),
    Delete(u32, (bool, Row)),
    Truncate(Vec<u32>, bool, bool),
}

type Row = Vec<Value>;

#[derive(Debug, Clone)]
enum Value {
    Null,
    Unchanged,
    Text(Vec<u8>),
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.as_bytes());
    out.push(0);
}

fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend(bytes);
}

fn put_row(out: &mut Vec<u8>, letter: u8, row: &Row) {
    out.push(letter);
    out.extend(u16::try_from(row.len()).unwrap().to_be_bytes());
    for value in row {
        match value {
            Value::Null => out.push(b'n'),
            Value::Unchanged => out.push(b'u'),
            Value::Text(text) => {
                out.push(b't');
                put_counted(out, text);
            }
        }
    }
}

fn put_old(out: &mut Vec<u8>, (full, row): &(bool, Row)) {
    put_row(out, if *full { b'O' } else { b'K' }, row);
}

fn encode(sample: &Sample) -> Vec<u8> {
    let mut out = Vec::new();
    match sample {
        Sample::Begin(lsn, time, transaction) => {
            out.push(b'B');
            out.extend(lsn.to_be_bytes());
            out.extend(i64::from(*time).to_be_bytes());
            out.extend(transaction.to_be_bytes());
        }
        Sample::Commit(lsn, end, time) => {
            out.extend([b'C', 0]);
            out.extend(lsn.to_be_bytes());
            out.extend(end.to_be_bytes());
            out.extend(i64::from(*time).to_be_bytes());
        }
        Sample::Relation(relation) => {
            out.push(b'R');
            out.extend(relation.oid.to_be_bytes());
            put_text(&mut out, &relation.namespace);
            put_text(&mut out, &relation.name);
            out.push(match relation.replica_identity {
                ReplicaIdentity::Default => b'd',
                ReplicaIdentity::Index => b'i',
                ReplicaIdentity::Full => b'f',
                ReplicaIdentity::Nothing => b'n',
            });
            out.extend(u16::try_from(relation.columns.len()).unwrap().to_be_bytes());
            for column in &relation.columns {
                out.push(u8::from(column.key));
                put_text(&mut out, &column.name);
                out.extend(column.type_oid.to_be_bytes());
                out.extend(column.modifier.to_be_bytes());
            }
        }
        Sample::Type(oid, namespace, name) => {
            out.push(b'Y');
            out.extend(oid.to_be_bytes());
            put_text(&mut out, namespace);
            put_text(&mut out, name);
        }
        Sample::Origin(lsn, name) => {
            out.push(b'O');
            out.extend(lsn.to_be_bytes());
            put_text(&mut out, name);
        }
        Sample::Logical(transactional, lsn, prefix, content) => {
            out.extend([b'M', u8::from(*transactional)]);
            out.extend(lsn.to_be_bytes());
            put_text(&mut out, prefix);
            put_counted(&mut out, content);
        }
        Sample::Insert(relation, new) => {
            out.push(b'I');
            out.extend(relation.to_be_bytes());
            put_row(&mut out, b'N', new);
        }
        Sample::Update(relation, old, new) => {
            out.push(b'U');
            out.extend(relation.to_be_bytes());
            if let Some(old) = old {
                put_old(&mut out, old);
            }
            put_row(&mut out, b'N', new);
        }
        Sample::Delete(relation, old) => {
            out.push(b'D');
            out.extend(relation.to_be_bytes());
            put_old(&mut out, old);
        }
        Sample::Truncate(relations, cascade, restart) => {
            out.push(b'T');
            out.extend(u32::try_from(relations.len()).unwrap().to_be_bytes());
            out.push(u8::from(*cascade) | u8::from(*restart) << 1);
            relations.iter().for_each(|relation| out.extend(relation.to_be_bytes()));
        }
    }
    out
}

fn same_row(tuple: &Tuple<'_>, row: &Row) -> bool {
    let cells: Vec<Cell<'_>> = tuple.cells().collect();
    tuple.len() == row.len()
        && cells.len() == row.len()
        && cells.iter().zip(row).all(|(cell, value)| match (cell, value) {
            (Cell::Null, Value::Null) | (Cell::Unchanged, Value::Unchanged) => true,
            (Cell::Text(text), Value::Text(expected)) => text == expected,
            _ => false,
        })
}

fn same_old(old: Option<&Old<'_>>, expected: Option<&(bool, Row)>) -> bool {
    match (old, expected) {
        (None, None) => true,
        (Some(Old::Full(tuple)), Some((true, row)))
        | (Some(Old::Key(tuple)), Some((false, row))) => same_row(tuple, row),
        _ => false,
    }
}

fn same(message: &Message<'_>, sample: &Sample) -> bool {
    let since_2000 = |microseconds: i64| microseconds - EPOCH_MICROSECONDS;
    match (message, sample) {
        (
            Message::Begin { commit_lsn, committed_at_microseconds, transaction },
            Sample::Begin(lsn, time, number),
        ) => {
            (commit_lsn, since_2000(*committed_at_microseconds), transaction)
                == (lsn, i64::from(*time), number)
        }
        (
            Message::Commit { commit_lsn, end_lsn, committed_at_microseconds },
            Sample::Commit(lsn, end, time),
        ) => {
            (commit_lsn, end_lsn, since_2000(*committed_at_microseconds))
                == (lsn, end, i64::from(*time))
        }
        (Message::Relation(relation), Sample::Relation(expected)) => relation == expected,
        (Message::Type { oid, namespace, name }, Sample::Type(number, schema, expected)) => {
            (oid, *namespace, *name) == (number, schema.as_str(), expected.as_str())
        }
        (Message::Origin { lsn, name }, Sample::Origin(place, expected)) => {
            (lsn, *name) == (place, expected.as_str())
        }
        (
            Message::Logical { transactional, lsn, prefix, content },
            Sample::Logical(in_transaction, place, about, says),
        ) => {
            (transactional, lsn, *prefix, *content)
                == (in_transaction, place, about.as_str(), says.as_slice())
        }
        (Message::Insert { relation, new }, Sample::Insert(oid, row)) => {
            relation == oid && same_row(new, row)
        }
        (Message::Update { relation, old, new }, Sample::Update(oid, before, row)) => {
            relation == oid && same_old(old.as_ref(), before.as_ref()) && same_row(new, row)
        }
        (Message::Delete { relation, old }, Sample::Delete(oid, before)) => {
            relation == oid && same_old(Some(old), Some(before))
        }
        (
            Message::Truncate { relations, cascade, restart_identity },
            Sample::Truncate(oids, cascaded, restarted),
        ) => (relations, cascade, restart_identity) == (oids, cascaded, restarted),
        _ => false,
    }
}

fn rows() -> impl Strategy<Value = Row> {
    let value = prop_oneof![
        Just(Value::Null),
        Just(Value::Unchanged),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Value::Text),
    ];
    prop::collection::vec(value, 0..6)
}

fn samples() -> impl Strategy<Value = Sample> {
    let name = || "[a-zé\"]{1,8}";
    let identity = prop_oneof![
        Just(ReplicaIdentity::Default),
        Just(ReplicaIdentity::Index),
        Just(ReplicaIdentity::Full),
        Just(ReplicaIdentity::Nothing),
    ];
    let column = (name(), any::<u32>(), any::<i32>(), any::<bool>()).prop_map(
        |(name, type_oid, modifier, key)| RelationColumn { name, type_oid, modifier, key },
    );
    let relation = (any::<u32>(), name(), name(), identity, prop::collection::vec(column, 0..5))
        .prop_map(|(oid, namespace, name, replica_identity, columns)| {
            Sample::Relation(RelationMessage { oid, namespace, name, replica_identity, columns })
        });
    let old = || (any::<bool>(), rows());
    let content = prop::collection::vec(any::<u8>(), 0..9);
    prop_oneof![
        any::<(u64, i32, u32)>().prop_map(|(a, b, c)| Sample::Begin(a, b, c)),
        any::<(u64, u64, i32)>().prop_map(|(a, b, c)| Sample::Commit(a, b, c)),
        relation,
        (any::<u32>(), name(), name()).prop_map(|(a, b, c)| Sample::Type(a, b, c)),
        (any::<u64>(), name()).prop_map(|(a, b)| Sample::Origin(a, b)),
        (any::<bool>(), any::<u64>(), name(), content)
            .prop_map(|(a, b, c, d)| Sample::Logical(a, b, c, d)),
        (any::<u32>(), rows()).prop_map(|(a, b)| Sample::Insert(a, b)),
        (any::<u32>(), prop::option::of(old()), rows())
            .prop_map(|(a, b, c)| Sample::Update(a, b, c)),
        (any::<u32>(), old()).prop_map(|(a, b)| Sample::Delete(a, b)),
        (prop::collection::vec(any::<u32>(), 0..4), any::<bool>(), any::<bool>())
            .prop_map(|(a, b, c)| Sample::Truncate(a, b, c)),
    ]
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(sample in samples()) {
        let bytes = encode(&sample);
        let message = Message::decode(&bytes).unwrap();
        prop_assert!(same(&message, &sample), "{:?} for {:?}", message, sample);
    }

    /// Every prefix of a message is an error, and so is a byte more.
    #[test]
    fn a_message_has_one_length(sample in samples(), more: u8) {
        let mut bytes = encode(&sample);
        for length in 0..bytes.len() {
            prop_assert!(Message::decode(&bytes[..length]).is_err(), "{} bytes of {:?}", length, sample);
        }
        bytes.push(more);
        prop_assert!(Message::decode(&bytes).is_err());
    }

    /// Whatever bytes arrive, they are decoded or refused; what is decoded is no larger than what arrived.
    #[test]
    fn foreign_bytes_are_decoded_or_refused(tag in prop::sample::select(b"BCRYOMIUDTz".to_vec()), rest in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut bytes = vec![tag];
        bytes.extend(rest);
        if let Ok(Message::Truncate { relations, .. }) = Message::decode(&bytes) {
            prop_assert!(relations.len() * 4 <= bytes.len());
        }
    }
}

#[test]
fn unknown_tags_kinds_and_flags_are_refused() {
    let refused: [&[u8]; 8] = [
        b"",
        b"S\0\0\0\x01\x01",
        b"I\0\0\0\x01K\0\0",
        b"I\0\0\0\x01N\0\x01b\0\0\0\x01x",
        b"I\0\0\0\x01N\0\x01x",
        b"D\0\0\0\x01N\0\0",
        b"U\0\0\0\x01K\0\0O\0\0",
        b"T\0\0\0\0\x04",
    ];
    for bytes in refused {
        assert!(Message::decode(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn what_an_update_does_not_say_is_taken_from_the_old_row_that_says_it() {
    let row = |values: &[Value]| {
        let mut out = Vec::new();
        put_row(&mut out, b'N', &values.to_vec());
        out
    };
    let text = |text: &str| Value::Text(text.as_bytes().to_vec());
    let new = row(&[text("k"), Value::Unchanged, Value::Unchanged, Value::Unchanged]);
    let old = row(&[text("o"), text("b"), Value::Null, Value::Unchanged]);
    let new = Reader(&new[1..]).tuple().unwrap();
    let old = Reader(&old[1..]).tuple().unwrap();
    let completed = |old| new.completed_by(old).collect::<Vec<_>>();
    assert_eq!(
        completed(Some(Old::Full(old))),
        [Cell::Text(b"k"), Cell::Text(b"b"), Cell::Null, Cell::Unchanged]
    );
    assert_eq!(
        completed(Some(Old::Key(old))),
        [Cell::Text(b"k"), Cell::Text(b"b"), Cell::Unchanged, Cell::Unchanged],
        "NULL in a key says nothing"
    );
    assert_eq!(
        completed(None),
        [Cell::Text(b"k"), Cell::Unchanged, Cell::Unchanged, Cell::Unchanged]
    );
}

#[test]
fn no_value_is_shown() {
    let shown = format!("{:?}", [Cell::Text(b"secret"), Cell::Null]);
    assert_eq!(shown, "[Text(6 bytes), Null]");
}
