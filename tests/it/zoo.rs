//! The type zoo: 87 relations with adversarial values. Each lands exactly, or is refused with a reason, or is named by
//! `discover` as left out; none is missing without a word.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ol_testkit::{Database, PostgresServer, Readers, Unit, shared_data};

use crate::common::{Case, entry, text};

/// The database with values of 50 MB, filled once; `None` where the shared data is absent.
fn zoo() -> Option<&'static Database<'static>> {
    static ZOO: OnceLock<Option<Database<'static>>> = OnceLock::new();
    ZOO.get_or_init(|| {
        let script = shared_data("type_zoo.sql")?;
        let database = PostgresServer::shared().create_database("zoo");
        database.file(&script, &[("toast_mb", "50")]);
        Some(database)
    })
    .as_ref()
}

fn case(deployment: &'static str) -> Option<Case> {
    let database = PostgresServer::shared().create_copy(zoo()?, deployment);
    Some(Case::of(deployment, database))
}

/// Relation → rows, as the zoo's author counted them.
fn counted() -> BTreeMap<String, u64> {
    let counts = shared_data("type_zoo.counts.tsv").expect("the counts lie beside the zoo");
    std::fs::read_to_string(counts)
        .unwrap()
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(relation, rows)| (relation.to_owned(), rows.parse().unwrap()))
        .collect()
}

#[test]
fn every_relation_lands_exactly_or_is_refused_or_is_named() {
    let Some(case) = case("zoo") else { return };
    let (unit, draft) = case.discover();
    let plan = case.finish(case.command("plan")).expect_code(2).json();
    let document = case.run_with_refusals();
    let comparison = case.compare(&unit, &document);
    comparison.expect_equal();

    let (equal, refused) = (comparison.tables("equal"), comparison.tables("refused"));
    let left_out = draft.split_once("# Found and left out:").map_or("", |(_, rest)| rest);
    let named = |relation: &str| {
        let line =
            left_out.lines().find_map(|line| line.strip_prefix(&format!("# - {relation}: ")));
        line.is_some_and(|reason| !reason.trim().is_empty())
    };
    let counted = counted();
    let silent: Vec<_> = counted
        .keys()
        .filter(|relation| {
            !equal.contains(relation) && !refused.contains(relation) && !named(relation)
        })
        .collect();
    assert!(silent.is_empty(), "nothing is said of {silent:?}");
    for relation in equal.iter().filter(|relation| counted.contains_key(*relation)) {
        let found = comparison.rows(relation);
        // Between the count and the reading the zoo's own list of expectations grew by its last rows.
        assert_eq!(found, counted.get(relation).copied(), "rows of {relation}");
    }
    for view in ["zoo.v_simple", "zoo.v_join", "zoo.mv_simple", "zoo.mv_unpopulated"] {
        assert!(
            named(view) || refused.iter().any(|table| table == view),
            "nothing is said of {view}"
        );
    }
    let planned: Vec<_> = plan["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| text(table, "source_table"))
        .collect();
    for relation in equal.iter().chain(&refused) {
        assert!(planned.contains(&relation.as_str()), "plan says nothing of {relation}");
    }
    // A refusal is a loss, however honest: each is here with its reason, and a new one is to be decided.
    let reasons = [
        ("zoo.MixedCase", "differ only in case"),
        ("zoo.t_meta_names", "metadata column of Iceberg"),
    ];
    assert_eq!(refused, reasons.map(|(table, _)| table));
    for (table, reason) in reasons {
        let found = comparison.reason(table).unwrap();
        assert!(found.contains(reason), "{table}: {found}");
    }
    eprintln!("zoo: {} equal, {} refused, {} relations", equal.len(), refused.len(), counted.len());
}

/// Spark reads every value of the zoo as the source shows it; what Iceberg for Spark does not know at all is a time of day.
#[test]
fn spark_reads_every_relation_that_has_no_time_of_day() {
    let Some(case) = case("zoospark") else { return };
    let (unit, _) = case.discover();
    let document = case.run_with_refusals();
    let comparison =
        Readers::compare_in_all(&case.database.url(), &case.lake, &unit, Some(&document));
    let untold = ["different", "missing"].map(|outcome| comparison.tables(outcome));
    assert_eq!(untold, [Vec::<String>::new(), Vec::new()], "{:#}", comparison.document);
    let unread = comparison.tables("failed");
    assert_eq!(unread, ["zoo.t_datetime"]);
    let reason = comparison.reason("zoo.t_datetime").unwrap();
    assert!(reason.contains("Spark does not support time fields"), "{reason}");
    let equal = comparison.tables("equal").len();
    assert!(equal > 60, "only {equal} relations were compared");
    eprintln!("{equal} relations; {}", comparison.document["seconds"]);
}

#[test]
fn partitions_land_as_tables_when_the_unit_lists_them() {
    let Some(case) = case("zooparts") else { return };
    let partitions = [
        "p_range_2023",
        "p_range_2024",
        "p_range_2024_h0",
        "p_range_2024_h1",
        "p_range_default",
        "p_range_attached",
        "p_list_null",
        "inh_child",
    ];
    let mut unit = Unit::new(case.deployment);
    for name in partitions {
        unit = unit.table("zoo", name, "full_refresh_overwrite");
    }
    let accented = case.raw_table("p_list_unicode");
    let path = case.inventory.unit(&unit.table_as(
        "zoo",
        "p_list_Ünïcode",
        &accented,
        "full_refresh_overwrite",
    ));
    let document = case.run(0);
    let comparison = case.compare(&path, &document);
    comparison.expect_equal();
    assert_eq!(comparison.tables("equal").len(), partitions.len() + 1);
    for (name, rows) in
        [("p_range_2023", 8_760), ("p_range_2024", 8_784), ("p_range_attached", 8_760)]
    {
        let table = entry(&document, &case.raw_table(name));
        assert_eq!(text(table, "outcome"), "done");
        assert_eq!(table.get("rows").and_then(serde_json::Value::as_u64), Some(rows), "{name}");
    }
}
