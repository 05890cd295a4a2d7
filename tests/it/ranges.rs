//! A table that is read by several connections at once, in ranges, under one snapshot.

use crate::common::{Case, rows};

#[test]
fn ranges_of_one_table_meet_without_gap_or_overlap() {
    let case = Case::new("ranges");
    // Holes, moved rows and a half-empty end: what block numbers look like after a year.
    case.database.psql(
        "CREATE TABLE moved (id int PRIMARY KEY, note text, seen timestamptz) WITH (fillfactor = 70);
         INSERT INTO moved SELECT g, repeat(md5(g::text), 1 + g % 5), '2024-01-01'::timestamptz + g * interval '1 s'
         FROM generate_series(1, 60000) g;
         DELETE FROM moved WHERE id % 7 = 0 OR id BETWEEN 20000 AND 26000;
         UPDATE moved SET note = note || 'x' WHERE id % 3 = 0;
         VACUUM moved;
         UPDATE moved SET id = -id WHERE id % 5 = 0;
         CREATE TABLE parent (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
         CREATE TABLE parent_low PARTITION OF parent FOR VALUES FROM (0) TO (10000);
         CREATE TABLE parent_high PARTITION OF parent FOR VALUES FROM (10000) TO (30000);
         INSERT INTO parent SELECT g, md5(g::text) FROM generate_series(0, 29999) g",
    );
    let (unit, _) = case.discover();
    let step =
        case.command("run").env("OL_INGEST__STREAMS", "4").env("OL_INGEST__RANGE_BYTES", "65536");
    let document = case.finish(step).expect_code(0).json();
    case.compare(&unit, &document).expect_equal();
    let expected: u64 = case.database.psql("SELECT count(*) FROM moved").trim().parse().unwrap();
    assert_eq!(rows(&case.state(), &case.raw_table("moved")), Some(expected));
    // The digest of the content does not depend on how the table was cut: a whole read finds nothing new.
    let whole = case.run(0);
    let again = whole["tables"].as_array().unwrap().iter().all(|table| table["files"] == 0);
    assert!(again, "a read in one range differs from a read in four: {whole}");
}
