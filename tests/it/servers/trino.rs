//! Trino on the lake's own catalog in Postgres.

use ol_testkit::{Lake, PostgresServer, TrinoCatalog, TrinoServer};
use serde_json::json;

use crate::common::Case;

#[test]
fn trino_reads_and_writes_a_lake_whose_catalog_is_in_postgres() {
    let mut case = Case::new("trino");
    let catalog = PostgresServer::shared().create_database("catalog");
    case.lake = Lake::with_catalog(&catalog.url());
    case.database.psql("CREATE TABLE kept (id int PRIMARY KEY, note text); INSERT INTO kept VALUES (1, 'é'), (2, NULL);");
    let (unit, _) = case.discover();
    let document = case.run(0);
    case.compare(&unit, &document).expect_equal();
    let trino = TrinoServer::shared();
    trino.add(&TrinoCatalog::of_postgres("reading", &catalog, case.lake.warehouse()));
    let table = format!("reading.{}.{}", case.lake.namespace(), case.raw_table("kept"));
    let answer = trino.query(&format!("SELECT id, note FROM {table} ORDER BY id"));
    assert_eq!(answer.rows, [json!([1, "é"]), json!([2, null])]);
    assert_eq!(answer.columns[0], ("id".to_owned(), "integer".to_owned()));
    trino.query(&format!("UPDATE {table} SET note = 'two' WHERE id = 2"));
    let answer = trino.query(&format!("SELECT note FROM {table} ORDER BY id"));
    assert_eq!(answer.rows, [json!(["é"]), json!(["two"])]);
    let refused = trino.try_query(&format!("SELECT absent FROM {table}")).unwrap_err();
    assert!(refused.contains("COLUMN_NOT_FOUND"), "{refused}");
}
