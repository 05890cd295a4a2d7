//! What is asked of a publication, and what is done about it.
use super::*;

fn wanted(name: &str, columns: &[&str], excluded: &[&str]) -> Wanted {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Wanted {
        oid: 1,
        namespace: "s".into(),
        name: name.into(),
        columns: owned(columns),
        key: Vec::new(),
        excluded: owned(excluded),
    }
}

fn published(name: &str, columns: Option<&[&str]>) -> PublishedTable {
    PublishedTable {
        namespace: "s".into(),
        name: name.into(),
        columns: columns.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        filtered: false,
        entry: Some(1),
    }
}

fn publication(tables: Vec<PublishedTable>) -> PublicationFacts {
    PublicationFacts {
        name: "p".into(),
        all_tables: false,
        inserts: true,
        updates: true,
        deletes: true,
        truncates: true,
        via_partition_root: true,
        tables,
    }
}

fn reason(facts: &PublicationFacts, tables: &[Wanted]) -> String {
    match facts.check(tables, 150_000) {
        Err(SlotError::Publication { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_gap_of_a_publication_is_named() {
    let tables = [wanted("a", &["x"], &[])];
    let whole = publication(vec![published("a", None)]);
    assert_eq!(whole.check(&tables, 150_000), Ok(()));
    let gaps = [
        (PublicationFacts { deletes: false, ..whole.clone() }, "it does not publish deletes"),
        (PublicationFacts { truncates: false, ..whole.clone() }, "it does not publish truncates"),
        (
            PublicationFacts { via_partition_root: false, ..whole.clone() },
            "it does not publish via the partition root",
        ),
        (publication(vec![]), "it does not publish s.a"),
        (publication(vec![published("a", Some(&["y"]))]), "it leaves out x of s.a"),
        (
            publication(vec![PublishedTable { filtered: true, ..published("a", None) }]),
            "it publishes only some rows of s.a",
        ),
    ];
    for (facts, expected) in gaps {
        assert_eq!(reason(&facts, &tables), expected);
    }
    let secret = [wanted("a", &["x"], &["z"])];
    assert_eq!(reason(&whole, &secret), "it publishes the excluded z of s.a");
    let listed = publication(vec![published("a", Some(&["x"]))]);
    assert_eq!(listed.check(&secret, 150_000), Ok(()));
}

#[test]
fn a_publication_is_created_extended_and_left_alone() {
    let tables = [wanted("a", &["x"], &[]), wanted("b\"c", &["y"], &["z"])];
    assert_eq!(
        statements("p", None, &tables, 150_000),
        [
            "CREATE PUBLICATION \"p\" FOR TABLE \"s\".\"a\", \"s\".\"b\"\"c\" (\"y\") WITH (publish = 'insert, \
             update, delete, truncate', publish_via_partition_root = true)"
        ]
    );
    let facts = publication(vec![published("a", None), published("b\"c", None)]);
    assert_eq!(
        statements("p", Some(&facts), &tables, 150_000),
        [
            "ALTER PUBLICATION \"p\" DROP TABLE \"s\".\"b\"\"c\"",
            "ALTER PUBLICATION \"p\" ADD TABLE \"s\".\"b\"\"c\" (\"y\")"
        ]
    );
    let facts = publication(vec![published("a", None), published("b\"c", Some(&["y"]))]);
    assert!(statements("p", Some(&facts), &tables, 150_000).is_empty());
    let partial = PublicationFacts { updates: false, ..facts };
    assert_eq!(
        statements("p", Some(&partial), &tables, 120_000),
        ["ALTER PUBLICATION \"p\" SET (publish = 'insert, update, delete, truncate')"]
    );
}

#[test]
fn names_fit_a_slot_and_stay_apart() {
    let name = |deployment: &str, layer: &str| {
        default_name(&UnitId { deployment: deployment.into(), layer: layer.into() })
    };
    assert_eq!(name("mitxonline", "app_postgres"), "ol_mitxonline_app_postgres");
    assert_eq!(name("mit-Learn", "app"), "ol_mit_learn_app");
    let (one, other) = (name(&"a".repeat(80), "b"), name(&"a".repeat(80), "c"));
    assert_eq!((one.len(), other.len()), (63, 63));
    assert_ne!(one, other);
}
