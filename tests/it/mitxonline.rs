//! A real application's schema: 159 tables, every one exactly.

use ol_testkit::{PostgresServer, shared_data};

use crate::common::Case;

#[test]
fn every_table_of_a_real_application_lands_exactly() {
    let (Some(dump), Some(counts)) =
        (shared_data("mitxonline.dump"), shared_data("mitxonline.counts.tsv"))
    else {
        return;
    };
    let database = PostgresServer::shared().create_database("mitxonline");
    database.restore(&dump);
    let case = Case::of("mitxonline", database);
    let (unit, _) = case.discover();
    let document = case.run(0);
    let comparison = case.compare(&unit, &document);
    comparison.expect_equal();
    let counts = std::fs::read_to_string(counts).unwrap();
    assert_eq!(counts.lines().count(), 159);
    for line in counts.lines() {
        let (table, rows) = line.split_once('\t').unwrap();
        assert_eq!(comparison.rows(table), Some(rows.parse().unwrap()), "rows of {table}");
    }
}
