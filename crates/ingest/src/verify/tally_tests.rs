#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use std::sync::Arc;

use arrow_array::builder::{MapBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int32Array, StringArray};

use super::*;
use crate::column::metadata;

fn digester() -> Digester {
    Digester::new(&["id".to_owned(), "note".to_owned()], &["id".to_owned()])
}

fn rows(rows: &[(i32, &str)]) -> RecordBatch {
    let mut odd = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for _ in rows {
        odd.append(false).unwrap();
    }
    let ids: Vec<i32> = rows.iter().map(|(id, _)| *id).collect();
    let notes: Vec<&str> = rows.iter().map(|(_, note)| *note).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int32Array::from(ids))),
        ("note", Arc::new(StringArray::from(notes))),
        (metadata::ODD, Arc::new(odd.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, it)| (name, it, true))).unwrap()
}

fn key(id: i32) -> u128 {
    *digester().digest(&rows(&[(id, "")])).unwrap().keys.first().unwrap()
}

const ALL: usize = 1;

fn everything() -> Scope {
    Scope::Ranges { of: ALL, chosen: BTreeSet::from([0]) }
}

/// The lake's rows, then the source's with their versions.
fn compared(
    scope: Scope,
    lake: &[(i32, &str)],
    moved: &[i32],
    source: &[(i32, &str, u64)],
) -> ByKey {
    let mut by_key = ByKey::new(scope);
    let held = digester().digest(&rows(lake)).unwrap();
    for (key, row) in held.keys.iter().zip(&held.rows) {
        by_key.lake(*key, *row);
    }
    by_key.moved.extend(moved.iter().map(|id| key(*id)));
    let versions: Vec<u64> = source.iter().map(|(_, _, version)| *version).collect();
    let batch: Vec<(i32, &str)> = source.iter().map(|(id, note, _)| (*id, *note)).collect();
    by_key.source(&digester(), &rows(&batch), &versions).unwrap();
    by_key
}

fn sides(found: &Found) -> Vec<(u128, Side)> {
    found.differing.iter().map(|(key, side)| (*key, *side)).collect()
}

#[test]
fn the_same_rows_agree_in_any_order_and_any_cut() {
    let survey = |parts: &[&[(i32, &str)]]| {
        let mut survey = Survey::new(8, 3);
        for part in parts {
            let digested = digester().digest(&rows(part)).unwrap();
            (0..part.len()).for_each(|row| survey.add(&digested, row));
        }
        survey
    };
    let one = survey(&[&[(1, "a"), (2, "b"), (3, "c")]]);
    let two = survey(&[&[(3, "c")], &[(2, "b"), (1, "a")]]);
    assert_eq!(one, two);
    let other = survey(&[&[(1, "a"), (2, "x"), (3, "c")]]);
    assert_eq!(one.differing(&other), [range_of(key(2), 8)]);
    let doubled = survey(&[&[(1, "a"), (2, "b"), (3, "c"), (3, "c")]]);
    assert_eq!(one.differing(&doubled), [range_of(key(3), 8)]);
}

#[test]
fn what_is_taken_back_was_never_there() {
    let digested = digester().digest(&rows(&[(1, "a"), (2, "b")])).unwrap();
    let mut survey = Survey::new(4, 3);
    survey.take_back(&digested, 1);
    survey.add(&digested, 0);
    survey.add(&digested, 1);
    let mut left = Survey::new(4, 3);
    left.add(&digested, 0);
    assert_eq!(survey, left);
}

#[test]
fn rows_that_differ_are_told_with_their_side() {
    let source = [(1, "a", 5), (2, "x", 5), (4, "d", 5)];
    let found = compared(everything(), &[(1, "a"), (2, "b"), (3, "c")], &[], &source).found(true);
    let mut expected = vec![(key(2), Side::Both), (key(3), Side::Lake), (key(4), Side::Source)];
    expected.sort_unstable();
    assert_eq!(sides(&found), expected);
    assert!(found.unsettled.is_empty());
    let shown = |id: i32| found.samples.get(&key(id)).and_then(|it| it.key.get("id")).cloned();
    assert_eq!((shown(2), shown(4), shown(1)), (Some("2".into()), Some("4".into()), None));
}

#[test]
fn a_doubled_row_of_the_lake_differs() {
    let found = compared(everything(), &[(1, "a"), (1, "a")], &[], &[(1, "a", 5)]).found(false);
    assert_eq!(sides(&found), [(key(1), Side::Both)]);
}

#[test]
fn a_row_that_the_lake_lacks_is_lost_only_when_it_was_there_all_the_while() {
    let found = compared(everything(), &[], &[], &[(1, "a", 5)]).found(false);
    assert_eq!((sides(&found), &found.unsettled), (Vec::new(), &HashMap::from([(key(1), 5)])));
    let again = |version| {
        let scope = Scope::Keys(found.unsettled.clone());
        compared(scope, &[], &[], &[(1, "a", version), (2, "b", 1)]).found(false)
    };
    assert_eq!(sides(&again(5)), [(key(1), Side::Source)]);
    // Deleted and inserted in between: the lake may have been read just then.
    let renewed = again(6);
    assert_eq!((sides(&renewed), renewed.unsettled), (Vec::new(), HashMap::from([(key(1), 6)])));
    let gone = compared(Scope::Keys(found.unsettled.clone()), &[], &[], &[]).found(false);
    assert!(gone.differing.is_empty() && gone.unsettled.is_empty());
}

#[test]
fn a_key_that_moved_on_is_looked_at_again_if_the_source_had_it() {
    let found = compared(everything(), &[(3, "c")], &[1, 2], &[(1, "old", 5), (3, "c", 5)]);
    let found = found.found(false);
    assert_eq!((sides(&found), found.unsettled), (Vec::new(), HashMap::from([(key(1), 0)])));
}

#[test]
fn rows_of_later_than_the_place_differ_when_they_are_the_same_at_the_next_look() {
    let look = |scope: Scope, lake: &[(i32, &str)], source: &[(i32, &str)]| {
        let mut by_key = ByKey::moving(scope);
        let held = digester().digest(&rows(lake)).unwrap();
        for (key, row) in held.keys.iter().zip(&held.rows) {
            by_key.lake(*key, *row);
        }
        by_key.source(&digester(), &rows(source), &[]).unwrap();
        by_key.found(true)
    };
    let lake = [(1, "a"), (2, "b"), (3, "c"), (4, "d")];
    let first = look(everything(), &lake, &[(1, "a"), (2, "x"), (4, "y"), (5, "e")]);
    assert!(first.differing.is_empty(), "{:?}", first.differing);
    let again: BTreeSet<u128> = first.unsettled.keys().copied().collect();
    assert_eq!(again, BTreeSet::from([2, 3, 4, 5].map(key)));
    // The lake has come to what the second was; the others are as they were, but for the fourth, which goes on moving.
    let lake = [(2, "x"), (3, "c"), (4, "d")];
    let second = look(Scope::Keys(first.unsettled), &lake, &[(2, "x"), (4, "z"), (5, "e")]);
    assert_eq!(
        sides(&second),
        sides(&Found {
            differing: BTreeMap::from([(key(3), Side::Lake), (key(5), Side::Source)]),
            ..Found::default()
        })
    );
    assert_eq!(second.unsettled.keys().copied().collect::<Vec<_>>(), [key(4)]);
}
